//! Flows opened and closed in all the ways there are, between two stacks in virtual time: none is left, and
//! neither is their memory.

use crate::process;
use brooklet::local::{Builder, Parts, Stack, TcpListener, TcpRequest, TcpStream};
use brooklet_sim::{Link, LinkConfig, Simulation};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Flows at a time.
const WORKERS: u64 = 64;
/// Longer than every timeout of a connection without a handle.
const AFTERWARDS: Duration = Duration::from_secs(300);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ANSWER: [u8; 10_000] = [b'a'; 10_000];

/// How a flow ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closes first.
    Client,
    /// The server closes first.
    Server,
    /// Both close at once.
    Both,
    /// The client drops the stream with data that it has not read.
    ClientDrops,
    /// The server does.
    ServerDrops,
    /// The client resets by a linger time of 0.
    Linger,
    /// The client aborts.
    Abort,
    /// The server refuses the request.
    Refused,
    /// The server leaves the request unanswered, and the client gives up.
    Unanswered,
    /// The client closes its side, and the server sends what it has.
    HalfClose,
}

impl End {
    const ALL: [Self; 10] = [
        Self::Client,
        Self::Server,
        Self::Both,
        Self::ClientDrops,
        Self::ServerDrops,
        Self::Linger,
        Self::Abort,
        Self::Refused,
        Self::Unanswered,
        Self::HalfClose,
    ];

    fn port(self) -> u16 {
        1_000 + self as u16
    }

    fn of_port(port: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.port() == port)
    }
}

/// Opens and closes flows. Returns whether nothing is left.
pub(crate) fn run(flows: u64) -> io::Result<bool> {
    let pid = std::process::id();
    let start = Instant::now();
    let simulation = Rc::new(Simulation::new());
    simulation.set_limit(Duration::from_secs(1 << 30));
    let path = LinkConfig::new().delay(Duration::from_micros(500));
    let (_link, here, there) = Link::new(simulation.time(), 1, path);
    let Parts {
        stack: server,
        tcp,
        driver,
        ..
    } = Builder::new().build_with_timer(there, simulation.time().timer())?;
    simulation.spawn(driver).detach();
    simulation
        .spawn(serve(Rc::downgrade(&simulation), tcp))
        .detach();
    let Parts {
        stack: client,
        driver,
        ..
    } = Builder::new().build_with_timer(here, simulation.time().timer())?;
    simulation.spawn(driver).detach();

    let opened = Rc::new(Cell::new(0));
    // The tables have grown to their size after these.
    let warm_up = (flows / 5).clamp(1_000, 200_000);
    let batch = |until: u64| -> io::Result<()> {
        let workers = (0..WORKERS).map(|_| {
            let (client, opened) = (client.clone(), opened.clone());
            let time = simulation.time().clone();
            simulation.spawn(async move {
                while opened.get() < until {
                    let number = opened.get();
                    opened.set(number + 1);
                    let sleep = time.sleep(Duration::from_secs(3));
                    flow(&client, number, sleep).await?;
                }
                io::Result::Ok(())
            })
        });
        let workers: Vec<_> = workers.collect();
        simulation
            .run(async {
                for worker in workers {
                    worker.await?;
                }
                io::Result::Ok(())
            })
            .map_err(io::Error::other)?
    };
    batch(warm_up)?;
    let before = process::resident(pid);
    batch(warm_up + flows)?;
    let after = process::resident(pid);
    let afterwards = simulation.time().sleep(AFTERWARDS);
    simulation.run(afterwards).map_err(io::Error::other)?;
    let left: u64 = [&client, &server].map(left).iter().sum();
    let held: u64 = [&client, &server]
        .map(|stack| stack.stats().tcp.buffers)
        .iter()
        .sum();
    let settled = process::resident(pid);

    let change = (after as f64 - before as f64) / before as f64 * 100.0;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "flows: {flows} opened and closed in {:.1} s; {left} left, {held} bytes of buffers left; resident \
         {:.1} MiB after the first {warm_up}, {:.1} MiB at the end ({change:+.1} %), {:.1} MiB settled",
        start.elapsed().as_secs_f64(),
        mib(before),
        mib(after),
        mib(settled),
    );
    // The tables of so few flows are still growing.
    let small = flows < 100_000;
    Ok(left == 0 && held == 0 && (small || change <= 5.0))
}

/// The connections, requests and TIME-WAIT entries of a stack.
fn left(stack: &Stack) -> u64 {
    let tcp = stack.stats().tcp;
    tcp.connections + tcp.requests + tcp.time_wait
}

async fn serve(simulation: std::rc::Weak<Simulation>, listener: TcpListener) {
    let mut requests = listener.requests();
    while let Some(Ok(request)) = requests.next().await {
        if let Some(simulation) = simulation.upgrade() {
            let served = async move {
                // The client's side says what went wrong.
                let _ = answer(request).await;
            };
            simulation.spawn(served).detach();
        }
    }
}

async fn answer(request: TcpRequest) -> io::Result<()> {
    let Some(end) = End::of_port(request.local_addr().port()) else {
        return Ok(());
    };
    match end {
        End::Refused => {
            request.refuse();
            return Ok(());
        }
        End::Unanswered => {
            request.drop_silently();
            return Ok(());
        }
        _ => {}
    }
    let mut stream: TcpStream = request.accept().await?;
    let mut buffer = [0; 100];
    match end {
        End::Both => return stream.close().await,
        End::Server | End::ClientDrops => {
            stream.write_all(&ANSWER[..100]).await?;
            if end == End::Server {
                stream.close().await?;
            }
        }
        // The question waits in the receive buffer: dropping the stream resets the connection.
        End::ServerDrops => {
            let _ = stream.peek(&mut buffer).await?;
            return Ok(());
        }
        _ => {}
    }
    while stream.read(&mut buffer).await? > 0 {}
    if end == End::HalfClose {
        stream.write_all(&ANSWER).await?;
    }
    stream.close().await
}

/// Opens one flow and closes it.
async fn flow(client: &Stack, number: u64, late: impl Future<Output = ()>) -> io::Result<()> {
    let end = End::ALL[(number % End::ALL.len() as u64) as usize];
    let [a, b, c, _] = ((number / 50_000) as u32).to_le_bytes();
    let from = SocketAddr::from((
        Ipv4Addr::new(10, c, b, a),
        10_000 + (number % 50_000) as u16,
    ));
    let to = SocketAddr::from((SERVER, end.port()));
    let wrong = |what: String| Err(io::Error::other(format!("flow {number}, {end:?}: {what}")));
    let connect = client.connect_from(from, to);
    if end == End::Unanswered {
        let connected = future::or(async { Some(connect.await) }, async {
            late.await;
            None
        });
        return match connected.await {
            None => Ok(()),
            Some(connected) => wrong(format!("{connected:?}")),
        };
    }
    let mut stream = match connect.await {
        Ok(stream) if end != End::Refused => stream,
        Err(error) if end == End::Refused && error.kind() == io::ErrorKind::ConnectionRefused => {
            return Ok(());
        }
        other => return wrong(format!("{other:?}")),
    };
    let mut back = Vec::new();
    match end {
        End::Client | End::HalfClose => {
            stream.write_all(b"question").await?;
            stream.close().await?;
            stream.read_to_end(&mut back).await?;
            let expected = if end == End::HalfClose {
                ANSWER.len()
            } else {
                0
            };
            if back.len() != expected {
                return wrong(format!("{} bytes came", back.len()));
            }
        }
        End::Server => {
            stream.read_to_end(&mut back).await?;
            stream.close().await?;
        }
        End::Both => {
            stream.close().await?;
            stream.read_to_end(&mut back).await?;
        }
        End::ClientDrops => {
            let _ = stream.peek(&mut [0; 10]).await?;
        }
        End::ServerDrops => {
            stream.write_all(b"question").await?;
            match stream.read_to_end(&mut back).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                other => return wrong(format!("{other:?}")),
            }
        }
        End::Linger => stream.set_linger(Some(Duration::ZERO)),
        End::Abort => stream.abort(),
        End::Refused | End::Unanswered => {}
    }
    Ok(())
}
