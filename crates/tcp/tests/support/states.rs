//! A connection in a given state, what happens to it, and what it sends.

use super::support::*;
use Event::*;
use Sent::*;
use brooklet_tcp::TcpState::{self, *};
use std::future::Future;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::Poll;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// The SYN of this connection once more, with its first number.
    Syn,
    /// A SYN inside the window.
    NewSyn,
    /// A SYN-ACK that acknowledges our SYN.
    SynAck,
    /// A SYN-ACK that acknowledges something that was never sent.
    WrongSynAck,
    /// An ACK of everything that was sent before our FIN.
    OldAck,
    /// An ACK of everything that was sent.
    AckOfAll,
    /// An ACK of something that was never sent.
    WrongAck,
    /// Data and an ACK of everything before our FIN.
    Data,
    /// A FIN and an ACK of everything before our FIN.
    Fin,
    /// A FIN and an ACK of everything.
    FinAckOfAll,
    /// The FIN once more, with an ACK of everything before ours.
    FinAgain,
    /// The FIN once more, with an ACK of everything.
    FinAgainAckOfAll,
    /// A RST with the number RCV.NXT and an ACK of everything.
    Rst,
    /// A RST without an ACK, with the number 0.
    RstWithoutAck,
    /// A RST inside the window, not at RCV.NXT.
    RstInWindow,
    /// The application closes for writing.
    Close,
    /// The application aborts.
    Abort,
    /// The retransmission timer runs out.
    Rto,
    /// The user timeout passes.
    UserTimeout,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sent {
    TheSyn,
    TheSynAck,
    Ack,
    TheFin,
    Reset,
}

pub(crate) type Connecting = Pin<Box<dyn Future<Output = std::io::Result<Stream>>>>;

pub(crate) enum Handle {
    Stream(Stream),
    Connecting(Connecting),
    /// The listener accepts it once the handshake is done.
    Listening,
    Failed,
}

pub(crate) struct Case {
    pub(crate) host: Host,
    pub(crate) peer: Peer,
    handle: Handle,
    /// SND.NXT, and whether a FIN lies before it.
    nxt: u32,
    fin_sent: bool,
}

/// How a connection comes to be in a state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum From {
    /// SYN-RECEIVED from LISTEN.
    Passive,
    /// SYN-SENT.
    Active,
    /// SYN-RECEIVED from SYN-SENT.
    Simultaneous,
    /// A synchronized state.
    In(TcpState),
}

impl Case {
    pub(crate) fn new(from: From) -> Self {
        let mut case = Self {
            host: host(),
            peer: Peer::new(CLIENT, SERVER),
            handle: Handle::Listening,
            nxt: 0,
            fin_sent: false,
        };
        let events: &[Event] = match from {
            From::Passive | From::In(Established) => &[],
            From::Active | From::Simultaneous => {
                let connector = case.host.connector.clone();
                let (local, remote) = (case.peer.to, case.peer.from);
                let connecting = async move { connect(&connector, local, remote).await };
                case.handle = Handle::Connecting(Box::pin(connecting));
                case.poll();
                assert_eq!(case.sent(), [TheSyn]);
                if from == From::Simultaneous {
                    case.event(Syn);
                    assert_eq!(case.sent(), [TheSynAck]);
                }
                return case;
            }
            From::In(state) => match state {
                FinWait1 => &[Close],
                FinWait2 => &[Close, AckOfAll],
                CloseWait => &[Fin],
                Closing => &[Close, Fin],
                LastAck => &[Fin, Close],
                TimeWait => &[Close, AckOfAll, Fin],
                _ => panic!("no way to {state:?}"),
            },
        };
        case.host.tx(case.peer.syn());
        case.peer.seq += 1;
        case.poll();
        assert_eq!(case.sent(), [TheSynAck]);
        if let From::In(state) = from {
            case.event(AckOfAll);
            for event in events {
                case.event(*event);
                case.sent();
            }
            assert_eq!(case.state(), state);
        }
        case
    }

    /// Takes the stream if there is one now. A connection that failed leaves none.
    pub(crate) fn poll(&mut self) {
        let done = match &mut self.handle {
            Handle::Stream(_) | Handle::Failed => return,
            Handle::Connecting(connecting) => poll(connecting),
            Handle::Listening => {
                let mut accept = Box::pin(self.host.listener().accept());
                poll(&mut accept).map(|accepted| accepted.map(|(stream, _)| stream))
            }
        };
        match done {
            Poll::Ready(Ok(stream)) => self.handle = Handle::Stream(stream),
            Poll::Ready(Err(_)) => self.handle = Handle::Failed,
            Poll::Pending => {}
        }
    }

    pub(crate) fn state(&mut self) -> TcpState {
        self.poll();
        if let Handle::Stream(stream) = &self.handle {
            return stream.info().state;
        }
        if self.host.engine.stats().connections == 0 {
            return Closed;
        }
        // What it repeats tells what it is.
        assert_eq!(self.host.all(), []);
        self.host.pass(5 * SECOND);
        match self.host.all().pop().map(|seg| seg.flags.ack()) {
            Some(true) => SynReceived,
            Some(false) => SynSent,
            None => panic!("a handshake that repeats nothing"),
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        match &self.handle {
            Handle::Stream(stream) => stream,
            _ => panic!("no stream yet"),
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        let Self {
            host, peer, nxt, ..
        } = self;
        let before_fin = nxt.wrapping_sub(u32::from(self.fin_sent));
        let with_ack = |peer: &Peer, ack: u32, seq: u32, flags: u8, data: &[u8]| {
            let peer = Peer {
                ack,
                ..peer.clone()
            };
            peer.at(seq, flags, data)
        };
        let seq = peer.seq;
        let packet = match event {
            Syn => peer.at(1000, SYN, &[]),
            NewSyn => peer.at(seq + 100, SYN, &[]),
            SynAck => with_ack(peer, *nxt, 1000, SYN | ACK, &[]),
            WrongSynAck => with_ack(peer, *nxt + 5, seq, SYN | ACK, &[]),
            OldAck => with_ack(peer, before_fin, seq, ACK, &[]),
            AckOfAll => with_ack(peer, *nxt, seq, ACK, &[]),
            WrongAck => with_ack(peer, *nxt + 5, seq, ACK, &[]),
            Data => with_ack(peer, before_fin, seq, ACK, b"data"),
            Fin => with_ack(peer, before_fin, seq, FIN | ACK, &[]),
            FinAckOfAll => with_ack(peer, *nxt, seq, FIN | ACK, &[]),
            FinAgain => with_ack(peer, before_fin, seq - 1, FIN | ACK, &[]),
            FinAgainAckOfAll => with_ack(peer, *nxt, seq - 1, FIN | ACK, &[]),
            Rst => with_ack(peer, *nxt, seq, RST | ACK, &[]),
            RstWithoutAck => peer.at(0, RST, &[]),
            RstInWindow => peer.at(seq + 100, RST, &[]),
            Close => return self.stream().shutdown(Shutdown::Write).unwrap_or(()),
            Abort => return self.stream().abort(),
            Rto => {
                let at = host.engine.poll_timeout(host.now());
                let wait = at.unwrap().saturating_duration_since(host.now());
                return host.pass(wait);
            }
            UserTimeout => {
                return host.pass(301 * SECOND);
            }
        };
        host.tx(packet);
        match event {
            Data => peer.seq += 4,
            Fin | FinAckOfAll => peer.seq += 1,
            Syn | SynAck if peer.seq == 1000 => {
                peer.seq += 1;
            }
            _ => {}
        }
        self.poll();
    }

    /// What the stack sends. An ACK must acknowledge exactly what has come in order.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(seg) = self.host.rx() {
            let flags = seg.flags;
            sent.push(match () {
                () if flags.rst() => Reset,
                () if flags.syn() && flags.ack() => TheSynAck,
                () if flags.syn() => TheSyn,
                () if flags.fin() => TheFin,
                () => Ack,
            });
            if matches!(sent.last(), Some(TheSynAck | TheFin | Ack)) {
                assert_eq!(seg.ack, self.peer.seq, "{seg:?}");
            }
            if !flags.rst() {
                self.fin_sent |= flags.fin();
                let end = seg.end().wrapping_add(u32::from(flags.syn()));
                self.nxt = if self.nxt == 0 {
                    end
                } else {
                    self.nxt.max(end)
                };
            }
        }
        sent
    }
}
