//! HTTP/1.1 over TLS: hyper and rustls on the streams of a stack, on smol.
//!
//! hyper takes its I/O from `smol_hyper`, which wraps anything that implements the traits of
//! `futures-io`, and rustls from `futures_rustls`, which takes the same traits.

use brooklet::{Builder, TcpListener, TcpStream};
use futures_lite::StreamExt;
use futures_rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use smol_hyper::rt::FuturesIo;
use std::error::Error;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The name in the certificate.
const NAME: &str = "server.example";

#[test]
fn requests_over_tls_are_answered() -> Result<()> {
    smol::block_on(async {
        let (here, there) = brooklet::pipe(64);
        let client = Builder::new().address([10, 0, 0, 1]).build(here)?;
        let server = Builder::new().build(there)?;
        smol::spawn(client.driver).detach();
        smol::spawn(server.driver).detach();

        let (acceptor, connector) = tls()?;
        smol::spawn(serve(server.tcp, acceptor)).detach();

        let stream = client.stack.connect("192.0.2.1:443".parse()?).await?;
        let stream = connector.connect(NAME.try_into()?, stream).await?;
        let io = FuturesIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        let connection = smol::spawn(connection);
        // Two requests on one connection; the second body is longer than a window.
        for body in ["hello".into(), "x".repeat(1024 * 1024)] {
            let request = Request::post("/echo").header(HOST, NAME);
            let request = request.body(Full::new(Bytes::from(body.clone())))?;
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            assert_eq!(response.status(), StatusCode::OK);
            let echoed = response.into_body().collect().await?.to_bytes();
            assert!(echoed == body, "{} bytes came back", echoed.len());
        }
        drop(sender);
        Ok(connection.await?)
    })
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    let mut incoming = listener.incoming();
    // An error is the end of the stack.
    while let Some(Ok(stream)) = incoming.next().await {
        let acceptor = acceptor.clone();
        smol::spawn(async move {
            if let Err(error) = serve_one(stream, acceptor).await {
                eprintln!("a connection failed: {error}");
            }
        })
        .detach();
    }
}

async fn serve_one(stream: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    let stream = acceptor.accept(stream).await?;
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(FuturesIo::new(stream), service_fn(echo));
    Ok(connection.await?)
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

/// Makes a certificate, and both sides of TLS that know the certificate.
fn tls() -> Result<(TlsAcceptor, TlsConnector)> {
    let made = rcgen::generate_simple_self_signed([NAME.into()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(server).into(), Arc::new(client).into()))
}
