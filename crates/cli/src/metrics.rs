//! `--metrics`: the figures as OpenMetrics text over HTTP, at `/metrics`.

use async_executor::LocalExecutor;
use async_lock::Semaphore;
use brooklet_reactor::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The most HTTP connections at a time. More of them wait in the backlog of the listener.
const CONNECTIONS: usize = 8;

/// How long a connection may take, from its request to the end of the answer.
const LIMIT: Duration = Duration::from_secs(5);

/// The longest request, in bytes, and the most header fields.
const REQUEST: usize = 8 * 1024;
const FIELDS: usize = 64;

/// A listener that answers HTTP requests.
#[derive(Debug)]
pub(crate) struct Server(Async<TcpListener>);

impl Server {
    /// Listens at `address`.
    ///
    /// # Errors
    ///
    /// One line that names the address.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).and_then(Async::new);
        listener.map(Self).map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::AddrInUse => "choose another port",
                io::ErrorKind::AddrNotAvailable => "choose an address of this host",
                io::ErrorKind::PermissionDenied => "choose a port from 1024",
                _ => "choose another address",
            };
            let text = format!("--metrics {address}: {help}: {error}");
            io::Error::new(error.kind(), text)
        })
    }

    /// Returns the address, with the port that the system chose where the port was 0.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Answers requests with what `text` returns, until the future is dropped.
    pub(crate) async fn serve(self, text: impl Fn() -> String + 'static) {
        let text = Rc::new(text);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let executor = LocalExecutor::new();
        let accept = async {
            loop {
                let place = places.acquire_arc().await;
                let accepted = self.0.read_with(TcpListener::accept).await;
                let Ok(connection) = accepted.and_then(|(stream, _)| Async::new(stream)) else {
                    // Out of files, for instance: let connections end.
                    Timer::after(Duration::from_millis(100)).await;
                    continue;
                };
                let text = text.clone();
                let answer = async move {
                    let late = async {
                        Timer::after(LIMIT).await;
                        Err(io::ErrorKind::TimedOut.into())
                    };
                    // The client sees the end of the connection, and nobody else cares.
                    let _ = future::or(answer(&connection, &*text), late).await;
                    drop(place);
                };
                executor.spawn(answer).detach();
            }
        };
        executor.run(accept).await
    }
}

/// Answers the first request of a connection.
async fn answer(mut connection: &Async<TcpStream>, text: &dyn Fn() -> String) -> io::Result<()> {
    let mut request = Vec::with_capacity(1024);
    let response = loop {
        if let Some(response) = respond(&request, text) {
            break response;
        }
        let mut buffer = [0; 1024];
        let n = connection.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..n]);
    };
    connection.write_all(response.as_bytes()).await?;
    connection.get_ref().shutdown(Shutdown::Write)?;
    // A socket that closes with unread data resets the connection, and the answer may be lost.
    let mut buffer = [0; 1024];
    while connection.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Returns the answer to a request, `None` while the request is not whole.
fn respond(request: &[u8], text: &dyn Fn() -> String) -> Option<String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let error = match parsed.parse(request) {
        Ok(httparse::Status::Complete(_)) => None,
        Ok(httparse::Status::Partial) if request.len() < REQUEST => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            Some("431 Request Header Fields Too Large")
        }
        Err(_) => Some("400 Bad Request"),
    };
    if let Some(status) = error {
        return Some(response(status, "", "text/plain", &format!("{status}\n")));
    }
    let path = parsed.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    Some(match (parsed.method, path) {
        (Some("GET"), "/metrics") => {
            let kind = brooklet_relay::metrics::CONTENT_TYPE;
            response("200 OK", "", kind, &text())
        }
        (_, "/metrics") => {
            let status = "405 Method Not Allowed";
            response(status, "Allow: GET\r\n", "text/plain", "GET /metrics\n")
        }
        _ => response("404 Not Found", "", "text/plain", "GET /metrics\n"),
    })
}

fn response(status: &str, fields: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str) -> Option<String> {
        let response = respond(request.as_bytes(), &|| "figures 1\n".to_owned())?;
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        let length = format!("Content-Length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{response}");
        assert!(
            head.lines().any(|line| line == "Connection: close"),
            "{response}"
        );
        let (status, _) = head.split_once("\r\n").expect("a status line");
        status.strip_prefix("HTTP/1.1 ").map(str::to_owned)
    }

    #[test]
    fn only_get_of_metrics_has_figures() {
        for (request, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n", "200 OK"),
            ("GET /metrics?name=a HTTP/1.0\r\n\r\n", "200 OK"),
            ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST / HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("nothing\0 like HTTP\r\n\r\n", "400 Bad Request"),
        ] {
            assert_eq!(status(request).as_deref(), Some(expected), "{request}");
        }
    }

    #[test]
    fn a_request_that_is_not_whole_waits_for_the_rest_within_limits() {
        let request = "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n";
        for end in 0..request.len() {
            assert_eq!(status(&request[..end]), None, "{end}");
        }
        let too_large = Some("431 Request Header Fields Too Large");
        let endless = format!("GET /metrics HTTP/1.1\r\nName: {}", "a".repeat(REQUEST));
        assert_eq!(status(&endless).as_deref(), too_large);
        let many = "Name: a\r\n".repeat(FIELDS + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
        assert_eq!(status(&many).as_deref(), too_large);
    }

    #[test]
    fn a_port_in_use_is_named_with_what_to_do() {
        let first = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = Server::bind(address).expect_err("a port in use");
        let text = error.to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("choose another port"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_client_is_answered_while_others_say_nothing() {
        use std::io::{Read as _, Write as _};
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.local_addr().unwrap();
        let silent: Vec<_> = (1..CONNECTIONS)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let client = smol::unblock(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        });
        let serve = async {
            server.serve(|| "figures 1\n".to_owned()).await;
            None
        };
        let client = async { Some(client.await) };
        let answer = brooklet_reactor::block_on(future::or(serve, client));
        drop(silent);
        let answer = answer.expect("the server goes on").unwrap();
        assert!(answer.ends_with("\r\n\r\nfigures 1\n"), "{answer}");
    }
}
