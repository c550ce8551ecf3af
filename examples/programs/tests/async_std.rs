//! A server on async-std. async-std is no longer developed; programs that have it can keep it.

use async_std::prelude::*;
use async_std::{io, task};
use brooklet::{Builder, TcpListener};
use std::net::Shutdown;
use std::time::Duration;

#[test]
fn an_echo_server_on_async_std() -> io::Result<()> {
    task::block_on(async {
        let (here, there) = brooklet::pipe(64);
        let client = Builder::new().address([10, 0, 0, 1]).build(here)?;
        let server = Builder::new().build(there)?;
        task::spawn(client.driver);
        task::spawn(server.driver);
        task::spawn(echo(server.tcp));

        let talks: Vec<_> = (0..8)
            .map(|n: u8| {
                let stack = client.stack.clone();
                task::spawn(async move {
                    let mut stream = stack.connect("192.0.2.1:7".parse().unwrap()).await?;
                    let sent = vec![n; 10_000];
                    stream.write_all(&sent).await?;
                    let mut received = vec![0; sent.len()];
                    stream.read_exact(&mut received).await?;
                    assert!(sent == received, "other bytes came back than were sent");
                    stream.shutdown(Shutdown::Write)
                })
            })
            .collect();
        for talk in talks {
            io::timeout(Duration::from_secs(30), talk).await?;
        }
        Ok(())
    })
}

async fn echo(listener: TcpListener) -> io::Result<()> {
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let stream = stream?;
        task::spawn(async move {
            io::copy(&mut &stream, &mut &stream).await?;
            stream.shutdown(Shutdown::Write)
        });
    }
    Ok(())
}
