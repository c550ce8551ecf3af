use brooklet::EchoRequest;
use brooklet_packet::SourcePrefix;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The most echo requests that wait for a reply, for each IP version.
const MOST: usize = 4096;

/// The most bytes of these requests.
const MOST_BYTES: usize = 4 << 20;

/// The most of them of one client, so that its flood loses nobody else's.
const MOST_OF_CLIENT: usize = 64;

/// The most bytes of one client: four of the longest requests.
const MOST_BYTES_OF_CLIENT: usize = 256 << 10;

/// The echo requests that the host has sent and that wait for a reply, by sequence number.
#[derive(Default)]
pub(super) struct Waiting {
    requests: HashMap<u16, (Instant, EchoRequest)>,
    /// The same, oldest first.
    order: BTreeSet<(Instant, u16)>,
    bytes: usize,
    clients: HashMap<SourcePrefix, Client>,
    next: u16,
}

/// What waits of one client.
#[derive(Clone, Copy, Default)]
struct Client {
    requests: usize,
    bytes: usize,
}

impl Waiting {
    /// Returns a sequence number that no waiting request has. Drops requests that wait for too long,
    /// and the oldest ones if they are too many. `None` if too many of the client wait.
    pub(super) fn unused(&mut self, client: IpAddr, patience: Duration) -> Option<u16> {
        while let Some(&(since, sequence)) = self.order.first()
            && since.elapsed() >= patience
        {
            self.remove(sequence);
        }
        let client = SourcePrefix::new(client);
        let client = self.clients.get(&client).copied().unwrap_or_default();
        if client.requests >= MOST_OF_CLIENT || client.bytes >= MOST_BYTES_OF_CLIENT {
            return None;
        }
        while let Some(&(_, sequence)) = self.order.first()
            && (self.order.len() >= MOST || self.bytes >= MOST_BYTES)
        {
            self.remove(sequence);
        }
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        (!self.requests.contains_key(&sequence)).then_some(sequence)
    }

    pub(super) fn insert(&mut self, sequence: u16, request: EchoRequest) {
        let (now, bytes) = (Instant::now(), request.payload().len());
        let client = SourcePrefix::new(request.source());
        let client = self.clients.entry(client).or_default();
        client.requests += 1;
        client.bytes += bytes;
        self.bytes += bytes;
        self.order.insert((now, sequence));
        self.requests.insert(sequence, (now, request));
    }

    fn remove(&mut self, sequence: u16) -> Option<EchoRequest> {
        let (since, request) = self.requests.remove(&sequence)?;
        let bytes = request.payload().len();
        self.order.remove(&(since, sequence));
        self.bytes -= bytes;
        let client = SourcePrefix::new(request.source());
        if let Some(waiting) = self.clients.get_mut(&client) {
            waiting.requests -= 1;
            waiting.bytes -= bytes;
            if waiting.requests == 0 {
                self.clients.remove(&client);
            }
        }
        Some(request)
    }

    /// Takes the request that a reply answers. A reply of another host answers nothing.
    pub(super) fn answered(&mut self, sequence: u16, from: IpAddr) -> Option<EchoRequest> {
        let (_, request) = self.requests.get(&sequence)?;
        (request.destination() == from).then(|| self.remove(sequence))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brooklet::{Builder, Echo, IcmpMessage};
    use futures_lite::future::block_on;

    const PATIENCE: Duration = Duration::from_secs(30);
    const HOST: &str = "192.0.2.1";

    /// Returns echo requests from these clients.
    fn requests(clients: &[&str]) -> Vec<EchoRequest> {
        let (near, far) = brooklet::pipe(256);
        let (near, far) = (Builder::new().build(near), Builder::new().build(far));
        let (near, far) = (near.expect("a stack"), far.expect("a stack"));
        smol::spawn(near.driver).detach();
        smol::spawn(far.driver).detach();
        let sender = near.stack.bind_icmp().expect("the first socket");
        let receiver = far.stack.bind_icmp().expect("the first socket");
        let to = HOST.parse().expect("an address");
        block_on(async {
            let mut received = Vec::new();
            for client in clients {
                let from = client.parse().expect("an address");
                let echo = Echo {
                    identifier: 1,
                    sequence: 1,
                };
                let sent = sender.send_echo_request(from, to, echo, b"data").await;
                sent.expect("the stack lives");
                match receiver.recv().await.expect("the stack lives") {
                    IcmpMessage::EchoRequest(request) => received.push(request),
                    other => panic!("{other:?}"),
                }
            }
            received
        })
    }

    #[test]
    fn a_flood_of_one_client_loses_only_its_own_requests() {
        let mut waiting = Waiting::default();
        let (flood, other) = (["10.0.0.1"; MOST_OF_CLIENT], ["10.0.0.2"]);
        let add = |waiting: &mut Waiting, request: EchoRequest| {
            let sequence = waiting.unused(request.source(), PATIENCE)?;
            waiting.insert(sequence, request);
            Some(sequence)
        };
        for request in requests(&flood) {
            assert!(add(&mut waiting, request).is_some());
        }
        let flood = "10.0.0.1".parse().unwrap();
        for _ in 0..2 * MOST {
            assert_eq!(waiting.unused(flood, PATIENCE), None);
        }
        let others = requests(&other).pop().unwrap();
        let sequence = add(&mut waiting, others).expect("another client has room");

        // An answer makes room, and a flood that is answered loses nobody's request either.
        let host = HOST.parse().unwrap();
        assert!(waiting.answered(0, host).is_some());
        let mut again = requests(&["10.0.0.1"]).pop().unwrap();
        for _ in 0..2 * MOST {
            let used = add(&mut waiting, again).expect("there is room");
            again = waiting.answered(used, host).expect("it waits");
        }
        let request = waiting.answered(sequence, host).expect("it still waits");
        assert_eq!(request.source(), IpAddr::from([10, 0, 0, 2]));
    }

    #[test]
    fn requests_that_wait_for_too_long_make_room() {
        let mut waiting = Waiting::default();
        for request in requests(&["10.0.0.1"; MOST_OF_CLIENT]) {
            let sequence = waiting.unused(request.source(), PATIENCE).unwrap();
            waiting.insert(sequence, request);
        }
        let client = "10.0.0.1".parse().unwrap();
        assert_eq!(waiting.unused(client, PATIENCE), None);
        assert!(waiting.unused(client, Duration::ZERO).is_some());
        assert!(waiting.clients.is_empty() && waiting.order.is_empty());
        assert_eq!(waiting.bytes, 0);
    }
}
