//! WebSocket: async-tungstenite on the streams of a stack, on smol.

use async_tungstenite::tungstenite::{Message, Result};
use async_tungstenite::{accept_async, client_async};
use brooklet::{Builder, TcpStream};
use futures_lite::{StreamExt, future};

#[test]
fn messages_come_back_and_both_sides_close() -> Result<()> {
    smol::block_on(async {
        let (here, there) = brooklet::pipe(64);
        let client = Builder::new().address([10, 0, 0, 1]).build(here)?;
        let server = Builder::new().build(there)?;
        smol::spawn(client.driver).detach();
        smol::spawn(server.driver).detach();

        let listener = server.tcp;
        let serve = async {
            let (stream, _) = listener.accept().await?;
            echo(stream).await
        };
        let talk = async {
            let stream = client
                .stack
                .connect("192.0.2.1:80".parse().unwrap())
                .await?;
            let (mut socket, response) = client_async("ws://server.example/chat", stream).await?;
            assert_eq!(response.status(), 101);
            // The last one is longer than a window.
            let messages = [
                Message::text("hello"),
                Message::binary(vec![]),
                Message::binary(vec![7; 1024 * 1024]),
            ];
            for message in messages {
                socket.send(message.clone()).await?;
                assert!(socket.next().await.transpose()? == Some(message));
            }
            socket.close(None).await?;
            while socket.next().await.transpose()?.is_some() {}
            Ok(())
        };
        future::try_zip(serve, talk).await.map(drop)
    })
}

/// Sends every message back until the client closes the WebSocket.
async fn echo(stream: TcpStream) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
