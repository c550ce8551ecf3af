//! Connections to the remote hosts.

use super::upstream::Upstream;
use crate::Relay;
use crate::host::{self, DialError, Fields, HostStream, is_shortage};
use crate::stats::{Counter, Counters};
use brooklet::{IcmpErrorKind, TcpRequest, Unreachable, icmp_error_of};
use brooklet_reactor::Timer;
use futures_lite::future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DialRequest {
    /// The address of the client.
    pub client: SocketAddr,
    /// The address that the client asks for.
    pub requested: SocketAddr,
    /// The address to connect to, after the [`Map`](crate::Map).
    pub to: SocketAddr,
    /// The fields of the IP header of the client's SYN, with the hop limit that is left.
    pub fields: Fields,
}

/// Makes the connections that the relay passes the data of its clients to.
///
/// [`HostDialer`] connects directly. A program that connects through a proxy passes a closure, or
/// implements this trait.
///
/// The client waits until the dial is done, and then sees its outcome: the errors of a dial become
/// what a client without a relay would see, by the table of
/// [`icmp_error_of`](brooklet::icmp_error_of); an error that the table does not have refuses the
/// connection, and [`TimedOut`](io::ErrorKind::TimedOut) is no answer. The relay drops the dial
/// when the client gives up and after [`Limits::dial`](crate::Limits::dial).
///
/// ```
/// use brooklet_relay::host::{self, Fields, HostStream};
/// use brooklet_relay::{Dial, DialRequest};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use std::io;
/// use std::net::SocketAddr;
///
/// /// Connects through an HTTP proxy.
/// fn through(proxy: SocketAddr) -> impl Dial<Stream = HostStream> {
///     move |request: DialRequest| async move {
///         let mut stream = host::connect(proxy, Fields::default()).await?;
///         let to = request.to;
///         let connect = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
///         stream.write_all(connect.as_bytes()).await?;
///         let mut answer = Vec::new();
///         while !answer.ends_with(b"\r\n\r\n") && answer.len() < 4096 {
///             let mut byte = [0];
///             stream.read_exact(&mut byte).await?;
///             answer.extend(byte);
///         }
///         match answer.starts_with(b"HTTP/1.1 200") {
///             true => Ok(stream),
///             false => Err(io::Error::from(io::ErrorKind::HostUnreachable).into()),
///         }
///     }
/// }
/// # let _ = through("192.0.2.1:8080".parse().unwrap());
/// ```
pub trait Dial: Send + Sync + 'static {
    /// The connection that a dial makes.
    type Stream: Upstream;

    /// Connects to `request.to`.
    fn dial(
        &self,
        request: DialRequest,
    ) -> impl Future<Output = Result<Self::Stream, DialError>> + Send;
}

impl<F, T, S> Dial for F
where
    F: Fn(DialRequest) -> T + Send + Sync + 'static,
    T: Future<Output = Result<S, DialError>> + Send,
    S: Upstream,
{
    type Stream = S;

    fn dial(&self, request: DialRequest) -> impl Future<Output = Result<S, DialError>> + Send {
        self(request)
    }
}

/// Connects by the host's own TCP, along the host's routes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostDialer;

impl Dial for HostDialer {
    type Stream = HostStream;

    async fn dial(&self, request: DialRequest) -> Result<HostStream, DialError> {
        host::connect(request.to, request.fields).await
    }
}

/// Dials for at most this time.
pub(super) async fn dial<D: Dial>(
    dialer: &D,
    request: DialRequest,
    limit: Duration,
) -> Result<D::Stream, DialError> {
    let late = async {
        Timer::after(limit).await;
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    };
    future::or(dialer.dial(request), late).await
}

/// Answers a request whose remote host cannot be reached, as the host was answered, and counts it.
pub(super) fn decline(relay: &Relay, request: TcpRequest, to: SocketAddr, failed: &DialError) {
    let failure = Failure::of(failed);
    failure.counter(&relay.counters).count();
    let report = failed.report.as_ref();
    match report.and_then(|report| Some((report, report.kind?))) {
        Some((report, kind)) => {
            let requested = request.local_addr().ip();
            match relay.reporter(report, requested, to.ip()) {
                Some(router) => request.reject_from(kind, router),
                None => request.reject(kind),
            }
        }
        None => match failure {
            Failure::TimedOut => request.drop_silently(),
            Failure::Unreachable(kind) => request.reject(kind),
            // A refusal would be taken for the answer of the host, and is final. The client of an
            // unreachable host tries again.
            Failure::OutOfFiles => request.reject(Unreachable::Host),
            Failure::Refused | Failure::Other => request.refuse(),
        },
    }
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The host has refused the connection by a RST or "port unreachable".
    Refused,
    Unreachable(IcmpErrorKind),
    TimedOut,
    /// This process or the system has no file or no memory left.
    OutOfFiles,
    Other,
}

impl Failure {
    fn of(failed: &DialError) -> Self {
        let error = &failed.error;
        if is_shortage(error) {
            return Self::OutOfFiles;
        }
        let kind = failed.report.as_ref().and_then(|report| report.kind);
        match kind.or_else(|| icmp_error_of(error)) {
            Some(IcmpErrorKind::Unreachable(Unreachable::Port)) => Self::Refused,
            Some(kind) => Self::Unreachable(kind),
            None if error.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
            None => Self::Other,
        }
    }

    fn counter(self, counters: &Counters) -> &Counter {
        match self {
            Self::Refused => &counters.dials_refused,
            Self::Unreachable(_) => &counters.dials_unreachable,
            Self::TimedOut => &counters.dials_timed_out,
            Self::OutOfFiles => &counters.dials_out_of_files,
            Self::Other => &counters.dials_failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_shortage_is_no_refusal() {
        use rustix::io::Errno;
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            let failed = io::Error::from_raw_os_error(errno.raw_os_error()).into();
            assert_eq!(Failure::of(&failed), Failure::OutOfFiles, "{errno}");
        }
        let unreachable = io::Error::from_raw_os_error(Errno::HOSTUNREACH.raw_os_error());
        let expected = Failure::Unreachable(Unreachable::Host.into());
        assert_eq!(Failure::of(&unreachable.into()), expected);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Failure::of(&refused.into()), Failure::Refused);
    }
}
