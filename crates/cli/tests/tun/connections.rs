//! Connections through `brooklet forward` to hosts that answer late.

use crate::support::Forward;
use brooklet::{Builder, Parts};
use brooklet_testbed::{LIMIT, in_namespace, ip};
use brooklet_tun::TunBuilder;
use smol::Timer;
use smol::stream::StreamExt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// A network behind a TUN device, in the namespace of this thread, whose hosts accept a connection
/// after two seconds.
fn late_hosts() -> smol::Task<()> {
    let tun = TunBuilder::new("distant").open().expect("a TUN device");
    ip("address add 192.0.2.254/24 dev distant
        link set distant up");
    let Parts { tcp, driver, .. } = Builder::new().build(tun).expect("a stack");
    smol::spawn(async move {
        let accept = async {
            let mut requests = tcp.requests();
            while let Some(Ok(request)) = requests.next().await {
                smol::spawn(async {
                    Timer::after(Duration::from_secs(2)).await;
                    if let Ok(stream) = request.accept().await {
                        Timer::after(LIMIT).await;
                        drop(stream);
                    }
                })
                .detach();
            }
        };
        let ended = smol::future::zip(driver, accept).await.0;
        ended.expect("a device that works");
    })
}

#[test]
fn hundreds_of_late_hosts_are_waited_for_at_the_same_time() {
    const CONNECTS: usize = 600;
    in_namespace(|| {
        let _hosts = late_hosts();
        let forward = Forward::start(&[]);
        let took = forward.clients().run(|| {
            let executor = smol::LocalExecutor::new();
            let start = Instant::now();
            let connects: Vec<_> = (0..CONNECTS)
                .map(|n| {
                    let host = Ipv4Addr::new(192, 0, 2, (n % 250 + 1) as u8);
                    executor.spawn(smol::net::TcpStream::connect((host, 80)))
                })
                .collect();
            smol::block_on(executor.run(async {
                for connect in connects {
                    connect.await.expect("a connection");
                }
            }));
            start.elapsed()
        });
        assert!(took >= Duration::from_secs(2), "{took:?}");
        assert!(took < Duration::from_secs(6), "{took:?}");
        forward.stop();
    });
}
