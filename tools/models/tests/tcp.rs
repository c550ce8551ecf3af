//! TCP between two stacks.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::TcpStream;
use brooklet_models::{Options, addr, all, briefly, check, net, run, task};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

const CLIENT: SocketAddr = addr(1, 1);
const SERVER: SocketAddr = addr(2, 2);

/// More than the two buffers of a direction hold, so that windows close and open.
const MUCH: usize = 5000;

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7) as u8).collect()
}

async fn expect(mut stream: &TcpStream, data: &[u8]) {
    let mut got = vec![0; data.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert!(got == data, "other bytes than were sent");
}

#[test]
fn a_reader_and_a_writer_of_one_stream_and_an_echo() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        // It is dropped while the client's window is closed: what is left, and the end, come
        // when that opens, and not when it is probed.
        let echo = task(async move {
            let (stream, _) = tcp.accept().await.unwrap();
            let (mut reader, mut writer) = (&stream, &stream);
            let mut buf = [0; 900];
            loop {
                match reader.read(&mut buf).await.unwrap() {
                    0 => break,
                    n => writer.write_all(&buf[..n]).await.unwrap(),
                }
            }
        });
        let stream = run(net.here.connect_from(CLIENT, SERVER)).unwrap();
        let (mut reader, mut writer) = stream.split();
        let write = task(async move { writer.write_all(&data(MUCH)).await.unwrap() });
        let mut got = Vec::new();
        run(reader.read_to_end(&mut got)).unwrap();
        assert!(got == data(MUCH), "other bytes than were sent");
        all([echo, write]);
        net.drivers.end();
    });
}

#[test]
fn two_tasks_read_one_stream_and_two_write_it() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        let server = task(async move {
            let stream = Arc::new(tcp.accept().await.unwrap().0);
            let readers = [0, 1].map(|_| {
                let stream = stream.clone();
                task(async move {
                    let (mut buf, mut sum) = ([0; 700], 0);
                    loop {
                        match (&*stream).read(&mut buf).await.unwrap() {
                            0 => return sum,
                            n => sum += buf[..n].iter().map(|&b| u64::from(b)).sum::<u64>(),
                        }
                    }
                })
            });
            all(readers).iter().sum::<u64>()
        });
        let stream = run(net.here.connect_from(CLIENT, SERVER)).unwrap();
        let writers = [1, 2].map(|n| {
            let stream = stream.clone();
            task(async move { (&stream).write_all(&[n; 1500]).await.unwrap() })
        });
        all(writers);
        run((&stream).close()).unwrap();
        assert_eq!(all([server]), [1500 + 3000]);
        net.drivers.end();
    });
}

#[test]
fn one_task_is_lent_the_data_and_another_the_room() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        // It passes the data on from one buffer to the other by way of its own.
        let echo = task(async move {
            let (stream, _) = tcp.accept().await.unwrap();
            loop {
                let mut got = Vec::new();
                let read = stream.read_with(|data| {
                    got.extend_from_slice(&data[0]);
                    Ok(got.len())
                });
                if read.await.unwrap() == 0 {
                    break;
                }
                lend(&stream, &got).await;
            }
        });
        let stream = run(net.here.connect_from(CLIENT, SERVER)).unwrap();
        let reader = stream.clone();
        let write = task(async move {
            lend(&stream, &data(MUCH)).await;
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        let mut read = || {
            run(reader.read_with(|data| {
                got.extend(data.iter().flat_map(|slice| slice.iter().copied()));
                Ok(data.iter().map(|slice| slice.len()).sum())
            }))
        };
        while read().unwrap() > 0 {}
        assert!(got == data(MUCH), "other bytes than were sent");
        all([echo, write]);
        net.drivers.end();
    });
}

/// Writes all of `data` into the room that it is lent.
async fn lend(stream: &TcpStream, mut data: &[u8]) {
    while !data.is_empty() {
        let written = stream.write_with(|room| {
            let places = room.iter_mut().flat_map(|slice| slice.iter_mut());
            Ok(places.zip(data).map(|(to, from)| *to = *from).count())
        });
        data = &data[written.await.unwrap()..];
    }
}

#[test]
fn two_tasks_accept_what_two_clients_open() {
    check(|| {
        // One place for each client: without SYN cookies a newer handshake takes the place of an older.
        let net = net(Options {
            max_half_open: 2,
            ..Options::default()
        });
        let servers = [0, 1].map(|_| {
            let tcp = net.tcp.clone();
            task(async move {
                let (stream, peer) = tcp.accept().await.unwrap();
                expect(&stream, &[peer.port() as u8]).await;
                peer.port()
            })
        });
        let clients = [1, 2].map(|port| {
            let here = net.here.clone();
            task(async move {
                let stream = here.connect_from(addr(1, port), SERVER).await.unwrap();
                (&stream).write_all(&[port as u8]).await.unwrap();
                // Until the other end has let go.
                assert_eq!((&stream).read(&mut [0]).await.unwrap(), 0);
            })
        });
        let mut ports = all(servers);
        ports.sort();
        assert_eq!(ports, [1, 2]);
        all(clients);
        net.drivers.end();
    });
}

#[test]
fn an_accept_that_is_given_up_leaves_its_connection_to_another() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp.clone();
        let fickle = task(async move {
            for _ in 0..3 {
                if let Some(accepted) = briefly(tcp.accept()).await {
                    let (stream, _) = accepted.unwrap();
                    return Some(stream);
                }
            }
            None
        });
        let here = net.here.clone();
        let client = task(async move { here.connect_from(CLIENT, SERVER).await.unwrap() });
        let stream = match fickle.join().unwrap() {
            Some(stream) => stream,
            None => run(net.tcp.accept()).unwrap().0,
        };
        assert_eq!(stream.peer_addr().unwrap(), CLIENT);
        all([client]);
        net.drivers.end();
    });
}

#[test]
fn requests_are_answered_from_two_tasks() {
    check(|| {
        let net = net(Options::default());
        let servers = [0, 1].map(|_| {
            let tcp = net.tcp.clone();
            task(async move {
                let request = std::future::poll_fn(|cx| tcp.poll_request(cx))
                    .await
                    .unwrap();
                if request.peer_addr().port() == 1 {
                    Some(request.accept().await.unwrap())
                } else {
                    request.refuse();
                    None
                }
            })
        });
        let clients = [1, 2].map(|port| {
            let here = net.here.clone();
            task(async move { here.connect_from(addr(1, port), SERVER).await })
        });
        let outcomes = all(clients);
        assert!(outcomes[0].is_ok());
        let refused = outcomes[1].as_ref().unwrap_err().kind();
        assert_eq!(refused, ErrorKind::ConnectionRefused);
        assert_eq!(all(servers).iter().flatten().count(), 1);
        net.drivers.end();
    });
}

#[test]
fn connections_share_an_outbound_queue_of_two() {
    check(|| {
        let net = net(Options {
            wire: 1,
            ..Options::default()
        });
        let server = {
            let tcp = net.tcp;
            task(async move {
                let mut tasks = Vec::new();
                for _ in 0..3 {
                    let (stream, _) = tcp.accept().await.unwrap();
                    tasks.push(task(async move {
                        expect(&stream, &data(1700)).await;
                        (&stream).write_all(&data(1300)).await.unwrap();
                        stream
                    }));
                }
                all(tasks)
            })
        };
        let clients = [1, 2, 3].map(|port| {
            let here = net.here.clone();
            task(async move {
                let stream = here.connect_from(addr(1, port), SERVER).await.unwrap();
                (&stream).write_all(&data(1700)).await.unwrap();
                expect(&stream, &data(1300)).await;
                stream
            })
        });
        all(clients);
        all([server]);
        net.drivers.end();
    });
}

#[test]
fn an_abort_reaches_the_other_tasks_of_both_ends() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        let server = task(async move {
            let (stream, _) = tcp.accept().await.unwrap();
            (&stream).write_all(b"x").await.unwrap();
            (&stream).read(&mut [0]).await.unwrap_err().kind()
        });
        let stream = run(net.here.connect_from(CLIENT, SERVER)).unwrap();
        run(expect(&stream, b"x")); // or a client that has gone may never be accepted
        let waiting = {
            let stream = stream.clone();
            task(async move { (&stream).read(&mut [0]).await.unwrap_err().kind() })
        };
        stream.abort();
        assert_eq!(all([server]), [ErrorKind::ConnectionReset]);
        assert_eq!(all([waiting]), [ErrorKind::ConnectionAborted]);
        net.drivers.end();
    });
}

#[test]
fn what_was_written_is_read_before_the_end_that_a_drop_makes() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        let server = task(async move {
            let (stream, _) = tcp.accept().await.unwrap();
            (&stream).write_all(&data(1500)).await.unwrap();
        });
        let stream = run(net.here.connect_from(CLIENT, SERVER)).unwrap();
        let reader = task(async move {
            let mut got = Vec::new();
            (&stream).read_to_end(&mut got).await.unwrap();
            got
        });
        assert!(all([reader])[0] == data(1500));
        all([server]);
        net.drivers.end();
    });
}

#[test]
fn a_reading_end_shut_by_another_task_ends_the_read() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        let server = task(async move { tcp.accept().await.unwrap().0 });
        let stream = run(net.here.connect_from(CLIENT, SERVER)).unwrap();
        let reader = {
            let stream = stream.clone();
            task(async move { (&stream).read(&mut [0]).await.unwrap() })
        };
        stream.shutdown(std::net::Shutdown::Read).unwrap();
        assert_eq!(all([reader]), [0]);
        all([server]);
        net.drivers.end();
    });
}

#[test]
fn the_end_of_the_driver_ends_every_wait() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp.clone();
        let server = task(async move { tcp.accept().await.map(|(stream, _)| stream) });
        let stream = run(net.here.connect_from(CLIENT, SERVER)).unwrap();
        let server = server.join().unwrap().unwrap();
        let read = {
            let stream = stream.clone();
            task(async move { (&stream).read(&mut [0]).await.map(drop) })
        };
        // Nobody reads this at the other end: it waits for room, and then for ever.
        let write = task(async move { (&stream).write_all(&data(9000)).await });
        let connect = {
            let here = net.here.clone();
            // Nobody accepts it at the other end.
            task(async move { here.connect_from(addr(1, 9), SERVER).await.map(drop) })
        };
        let datagram = {
            let udp = net.here_udp.clone();
            task(async move { udp.recv_datagram().await.map(drop) })
        };
        let accept = task(async move { net.here_tcp.accept().await.map(drop) });
        net.drivers.kill();
        for ended in all([read, write, connect, datagram, accept]) {
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::NetworkDown);
        }
        // The far driver ends as well, as its device does.
        let far = run((&server).read_to_end(&mut Vec::new())).unwrap_err();
        assert_eq!(far.kind(), ErrorKind::NetworkDown);
        let accept = run(net.tcp.accept()).unwrap_err();
        assert_eq!(accept.kind(), ErrorKind::NetworkDown);
        net.drivers.end();
    });
}

#[test]
fn a_listener_dropped_while_a_client_knocks_refuses_it() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        let here = net.here.clone();
        let client = task(async move { here.connect_from(CLIENT, SERVER).await });
        drop(tcp);
        let refused = client.join().unwrap().unwrap_err().kind();
        assert_eq!(refused, ErrorKind::ConnectionRefused);
        net.drivers.end();
    });
}
