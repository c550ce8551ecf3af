//! A user-space TCP/IP stack: the IP packets of a TUN device become TCP streams and UDP
//! datagrams, on smol or on any executor.
//!
//! ```
//! # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
//! use brooklet::{Builder, Parts};
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
//!
//! // Two stacks, joined by a pipe in place of a TUN device.
//! let (client_device, server_device) = brooklet::pipe(64);
//! let Parts { stack, driver: client, .. } = Builder::new().build(client_device)?;
//! let Parts { tcp, driver: server, .. } = Builder::new().build(server_device)?;
//!
//! let exchange = async {
//!     let accept = async {
//!         let (mut stream, peer) = tcp.accept().await?;
//!         stream.write_all(format!("hello, {peer}").as_bytes()).await
//!     };
//!     let connect = async {
//!         let (from, to) = ("10.0.0.1:4000", "192.0.2.1:80"); // any address is served
//!         let mut stream = stack.connect_from(from.parse().unwrap(), to.parse().unwrap()).await?;
//!         let mut greeting = String::new();
//!         stream.read_to_string(&mut greeting).await?;
//!         assert_eq!(greeting, "hello, 10.0.0.1:4000");
//!         std::io::Result::Ok(())
//!     };
//!     future::try_zip(accept, connect).await.map(drop)
//! };
//! // The library spawns nothing: the program runs the drivers.
//! async_io::block_on(future::or(exchange, future::or(client, server)))
//! # }
//! # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
//! ```
//!
//! # The parts
//!
//! A `Builder` takes a device, which is anything that sends and receives IP packets ([`PacketIo`]),
//! and returns the `Parts` of a stack:
//!
//! | part | type | what it does |
//! |---|---|---|
//! | `tcp` | `TcpListener` | accepts the TCP connections to every address |
//! | `udp` | `TransparentUdpSocket` | receives the datagrams to every address, and sends from every address |
//! | `stack` | `Stack` | opens connections, binds listeners and sockets, states path MTUs, has the counters, shuts down |
//! | `driver` | `Driver` | moves the packets: a future that the program runs |
//!
//! The crate [`brooklet-tun`](https://docs.rs/brooklet-tun) provides a TUN device. To use another
//! device, implement [`PacketIo`].
//!
//! The full documentation of each type is in [`generic`]; `F` is the flavor.
//!
//! The stack works only while its driver runs: spawn the driver, or await it beside the rest of
//! the program. Await the driver's task, or log its result: its error is why the stack ended.
//!
//! The handles may be used by any task. Once the driver has ended, calls that need the network fail
//! with [`NetworkDown`](std::io::ErrorKind::NetworkDown). A stream first returns data that it has
//! received, and an end that it already knows (see
//! [the close contract](generic::TcpStream#the-close-contract)).
//!
//! A stack on a TUN device serves every address that the machine sends packets to, so that a
//! program can be a VPN, a proxy or a tunnel. A [`filter`] decides on each packet, and
//! [`TcpListener::requests`](generic::TcpListener::requests) lets the program decide on each
//! connection before the stack answers the client.
//!
//! # What happens to a packet
//!
//! A packet from the device, by the first line that fits:
//!
//! | packet | what the stack does |
//! |---|---|
//! | malformed | drops it; answers with an ICMP parameter problem where RFC 8200, 4.2 to 4.5 asks for that |
//! | from or to an address that no host uses on a link | drops it: a [martian](generic::Driver#addresses) |
//! | fragment | reassembles it within [limits](generic::Builder::reassembly), and goes on with the whole packet; answers "reassembly time exceeded" after 15 s |
//! | [dropped](filter::Verdict::Drop) by the filter, by default multicast and broadcast | drops it without a word |
//! | [rejected](filter::Verdict::Reject) by the filter | answers with a RST or an ICMP error |
//! | [diverted](filter::Verdict::Divert) by the filter | passes it to the [raw sockets](generic::Stack::bind_raw) |
//! | TCP segment of a connection | the `TcpStream` |
//! | TCP SYN | a listener [bound](generic::Stack::bind) to its destination, else `Parts::tcp`; without a listener a RST |
//! | other TCP segment | answers with a RST |
//! | datagram | a socket [bound](generic::Stack::bind_udp) to its destination, else its [session](generic::TransparentUdpSocket::into_sessions) or `Parts::udp`; without a socket ICMP "port unreachable" |
//! | datagram or echo request above the [path MTU](generic::Stack::set_path_mtu) of its destination, not to be fragmented | answers "fragmentation needed" or "packet too big" |
//! | ICMP echo request | answers it, or passes it to the [ICMP socket](generic::Stack::bind_icmp), or follows the [policy](generic::Stack::set_echo_policy) |
//! | ICMP echo reply or error about something that the stack has sent | the ICMP socket, the connection, the UDP socket or the session |
//! | other protocol, such as IGMP | the raw sockets that ask for it, else ICMP "protocol unreachable" |
//! | multicast or broadcast, if the filter passes it | the raw sockets that ask for it; datagrams to `Parts::udp` as well |
//!
//! A hop limit of 1 is enough: the stack is the host of every address. The program sees the hop
//! limit and decides what a router would have done, such as answering "time exceeded"
//! ([`send_error_from`](generic::Stack::send_error_from)).
//!
//! A packet that the program sends is judged by the filter once, whole. What is
//! [rejected](filter::Verdict::Reject) there fails the call of the connection or the socket that
//! sent it, as an answer from the network would. What is [diverted](filter::Verdict::Divert) goes to
//! the raw sockets, except for the packets of raw and ICMP sockets themselves, which pass: a program
//! can send what was diverted to it. Datagrams, ICMP messages and raw packets above the
//! path MTU leave in fragments, unless they must not be fragmented: up to 65,507 bytes of payload
//! with IPv4 and 65,487 with IPv6.
//!
//! The stack sends at most 100 ICMP errors per second to one IPv4 address or IPv6 /64, and 50 at
//! once; to all together 1,000 per second, and 500 at once. "Fragmentation needed" and "packet too
//! big" have no limit, as with Linux. [`Stats`] counts every packet that is dropped, by its
//! [`DropReason`].
//!
//! # How a connection ends
//!
//! [The close contract](generic::TcpStream#the-close-contract) lists what a program can rely on
//! when a connection ends by `close`, a drop, a reset or a timeout.
//!
//! The TCP engine is brooklet's own; headers are read and written with `smoltcp::wire`. A
//! connection holds buffers only while it has data, and all buffers come out of one budget
//! ([`TcpConfig::memory`]).
//!
//! # Flavors
//!
//! Most programs can skip this section. The flavor selects how the handles of a stack share its
//! state: `Threaded` uses `Arc<Mutex<_>>`, `SingleThread` uses `Rc<RefCell<_>>`.
//!
//! | flavor | feature | names | handles |
//! |---|---|---|---|
//! | [`Threaded`] | `sync` (default) | at the root, such as `brooklet::TcpStream` | are `Send` and `Sync` |
//! | [`SingleThread`] | `local` | in the module `local`, such as `brooklet::local::TcpStream` | stay on their thread |
//!
//! The two modules have the same names, and a program can use both. Code for either flavor is
//! generic over [`Flavor`] and uses the types in [`generic`].
//!
//! A driver is `Send` if its flavor, device, timer and filter are; the compiler derives that from
//! the fields.
#![cfg_attr(all(feature = "sync", feature = "async-io"), doc = include_str!("send.md"))]
//!
//! # Features
//!
//! - `sync` (default): the flavor for several threads, at the root.
//! - `local`: the flavor for one thread, in the module `local`.
//! - `async-io` (default): `AsyncIoTimer`, a timer that works on every executor, and
//!   `Builder::build`, which uses it. Without the feature, pass a [`Timer`] to
//!   [`build_with_timer`](generic::Builder::build_with_timer).
//! - `futures`: `Stream` and `Sink` for `Pipe`; `Stream` for `TcpListener` itself, `UdpReadHalf`,
//!   the sessions of a `UdpListener`, `IcmpSocket` and `RawSocket`; `Sink` for `UdpWriteHalf`.
//!   `incoming()` and `requests()` of a `TcpListener` are streams without this feature.
//! - `capture`: `Stack::capture`, which captures packets in the format pcapng for Wireshark, and can
//!   be switched on and off while the stack runs.
//! - `log`: the start and the end of each TCP connection and UDP session are log events of the crate
//!   [`log`](https://docs.rs/log), of the level `Debug` and with the targets `brooklet::tcp` and
//!   `brooklet::udp`. They have the addresses, the reason of the end, the age and the bytes of both
//!   directions, and never a payload.
//! - `serde`: `Serialize` and `Deserialize` for configuration, statistics and plain data. A
//!   configuration may be partial, and an unknown field is an error.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod capture;
mod common;
mod driver;
mod drop_reason;
mod engines;
mod flows;
mod memory;
mod mtu;
mod parts;
mod pipe;
mod random;
mod shared_filter;
mod shutdown;
mod stack;
mod stats;
mod time;
mod timer;
mod tx_scheduler;
mod udp_batch;

pub use brooklet_cell::wakers::panics as waker_panics;
pub use brooklet_cell::{Flavor, SingleThread, Threaded};
pub use brooklet_filter as filter;
pub use brooklet_io::{Checksum, DeviceFault, Meta, Offload, PacketBuf, PacketIo, StackClosed};
pub use brooklet_packet::icmp::{
    Echo, IcmpError, IcmpErrorKind, ParameterProblem, ParameterProblemKind,
};
pub use brooklet_packet::reassembly::{Config as ReassemblyConfig, Stats as ReassemblyStats};
pub use brooklet_packet::{
    Ecn, FlowKey, Fragment, Headers, IpFields, Packet, ParseError, ParseFlowKeyError,
    ParseProtocolError, ParseTcpFlagsError, Protocol, TcpFlags, TcpHeader, TrafficClass,
};
pub use brooklet_raw::{
    Answered, Config as IcmpConfig, EchoAction, EchoReply, IcmpSocketConfig, RawConfig, RawPacket,
    SendError as RawSendError, Stats as RawStats, icmp_error_of, io_error_of,
};
pub use brooklet_tcp::{
    Clock, Config as TcpConfig, Congestion, RoundTrips, Stats as TcpStats, TcpFlow, TcpInfo,
    TcpOptions, TcpState, Unreachable,
};
pub use brooklet_udp::{
    Config as UdpConfig, Datagram, Filtering, FlowError as UdpFlowError, Mapping,
    SendError as UdpSendError, SessionConfig, SessionEnd, Stats as UdpStats, UdpFlow,
};
#[cfg(feature = "capture")]
pub use capture::CaptureConfig;
pub use drop_reason::DropReason;
pub use flows::Flow;
pub use memory::MemoryStats;
pub use stats::Stats;
#[cfg(feature = "async-io")]
pub use timer::AsyncIoTimer;
pub use timer::Timer;

/// The types behind the names of both flavors, for code that works with either.
///
/// ```
/// use brooklet::{Flavor, generic::TcpStream};
/// use futures_lite::io;
///
/// /// Sends everything back, whatever the flavor.
/// async fn echo<F: Flavor>(stream: TcpStream<F>) -> io::Result<u64> {
///     io::copy(&stream, &stream).await
/// }
/// ```
pub mod generic {
    pub use crate::builder::Builder;
    #[cfg(feature = "capture")]
    pub use crate::capture::Capture;
    pub use crate::driver::Driver;
    pub use crate::parts::{Parts, QueueParts};
    pub use crate::pipe::Pipe;
    pub use crate::shared_filter::SharedFilter;
    pub use crate::stack::Stack;
    #[doc(no_inline)]
    pub use brooklet_cell::Cell;
    pub use brooklet_raw::{EchoRequest, IcmpMessage, IcmpSocket, RawSocket};
    pub use brooklet_tcp::{
        ReadHalf, ReuniteError, TcpIncoming, TcpListener, TcpRequest, TcpRequests, TcpStream,
        WriteHalf,
    };
    #[cfg(feature = "futures")]
    pub use brooklet_udp::UdpIncoming;
    pub use brooklet_udp::{
        ReuniteError as UdpReuniteError, TransparentUdpSocket, UdpListener, UdpReadHalf,
        UdpSession, UdpSocket, UdpWriteHalf,
    };
}

#[cfg(any(feature = "sync", feature = "local"))]
/// Defines every public name for a flavor, so that both flavors have the same names.
macro_rules! names {
    ($flavor:ty) => {
        /// Builds a stack over a device. See [`generic::Builder`](crate::generic::Builder).
        pub type Builder<P = brooklet_filter::UnicastOnly> = crate::generic::Builder<$flavor, P>;
        /// The parts of a stack. See [`generic::Parts`](crate::generic::Parts).
        pub type Parts<
            D,
            #[cfg(feature = "async-io")] T = crate::AsyncIoTimer,
            #[cfg(not(feature = "async-io"))] T,
            P = brooklet_filter::UnicastOnly,
        > = crate::generic::Parts<$flavor, D, T, P>;
        /// The parts of a stack over several queues. See
        /// [`generic::QueueParts`](crate::generic::QueueParts).
        pub type QueueParts<
            D,
            #[cfg(feature = "async-io")] T = crate::AsyncIoTimer,
            #[cfg(not(feature = "async-io"))] T,
            P = brooklet_filter::UnicastOnly,
        > = crate::generic::QueueParts<$flavor, D, T, P>;
        /// Moves the packets. See [`generic::Driver`](crate::generic::Driver).
        pub type Driver<
            D,
            #[cfg(feature = "async-io")] T = crate::AsyncIoTimer,
            #[cfg(not(feature = "async-io"))] T,
            P = brooklet_filter::UnicastOnly,
        > = crate::generic::Driver<$flavor, D, T, P>;
        /// A capture of packets. See [`generic::Capture`](crate::generic::Capture).
        #[cfg(feature = "capture")]
        pub type Capture = crate::generic::Capture<$flavor>;
        /// A handle to a running stack. See [`generic::Stack`](crate::generic::Stack).
        pub type Stack = crate::generic::Stack<$flavor>;
        /// Accepts TCP connections. See [`generic::TcpListener`](crate::generic::TcpListener).
        pub type TcpListener = crate::generic::TcpListener<$flavor>;
        /// A request for a connection. See [`generic::TcpRequest`](crate::generic::TcpRequest).
        pub type TcpRequest = crate::generic::TcpRequest<$flavor>;
        /// The requests of a listener, as a stream. See
        /// [`generic::TcpRequests`](crate::generic::TcpRequests).
        pub type TcpRequests<'a> = crate::generic::TcpRequests<'a, $flavor>;
        /// The connections of a listener, as a stream. See
        /// [`generic::TcpIncoming`](crate::generic::TcpIncoming).
        pub type TcpIncoming<'a> = crate::generic::TcpIncoming<'a, $flavor>;
        /// A TCP connection. See [`generic::TcpStream`](crate::generic::TcpStream).
        pub type TcpStream = crate::generic::TcpStream<$flavor>;
        /// The reading half of a TCP connection. See [`generic::ReadHalf`](crate::generic::ReadHalf).
        pub type ReadHalf = crate::generic::ReadHalf<$flavor>;
        /// The writing half of a TCP connection. See [`generic::WriteHalf`](crate::generic::WriteHalf).
        pub type WriteHalf = crate::generic::WriteHalf<$flavor>;
        /// Two halves that make no stream. See
        /// [`generic::ReuniteError`](crate::generic::ReuniteError).
        pub type ReuniteError = crate::generic::ReuniteError<$flavor>;
        /// The halves of two UDP sockets do not make one. See
        /// [`generic::UdpReuniteError`](crate::generic::UdpReuniteError).
        pub type UdpReuniteError = crate::generic::UdpReuniteError<$flavor>;
        /// A UDP socket that is bound to an address. See
        /// [`generic::UdpSocket`](crate::generic::UdpSocket).
        pub type UdpSocket = crate::generic::UdpSocket<$flavor>;
        /// Accepts UDP sessions. See [`generic::UdpListener`](crate::generic::UdpListener).
        pub type UdpListener = crate::generic::UdpListener<$flavor>;
        /// The datagrams of one client. See [`generic::UdpSession`](crate::generic::UdpSession).
        pub type UdpSession = crate::generic::UdpSession<$flavor>;
        /// The sessions of a listener, as a stream. See
        /// [`generic::UdpIncoming`](crate::generic::UdpIncoming).
        #[cfg(feature = "futures")]
        pub type UdpIncoming<'a> = crate::generic::UdpIncoming<'a, $flavor>;
        /// Receives the datagrams of all addresses, and sends from every address. See
        /// [`generic::TransparentUdpSocket`](crate::generic::TransparentUdpSocket).
        pub type TransparentUdpSocket = crate::generic::TransparentUdpSocket<$flavor>;
        /// The reading half of a socket for all addresses. See [`generic::UdpReadHalf`](crate::generic::UdpReadHalf).
        pub type UdpReadHalf = crate::generic::UdpReadHalf<$flavor>;
        /// The writing half of a socket for all addresses. See [`generic::UdpWriteHalf`](crate::generic::UdpWriteHalf).
        pub type UdpWriteHalf = crate::generic::UdpWriteHalf<$flavor>;
        /// Receives echo requests, and sends echo requests. See
        /// [`generic::IcmpSocket`](crate::generic::IcmpSocket).
        pub type IcmpSocket = crate::generic::IcmpSocket<$flavor>;
        /// A message for an ICMP socket. See
        /// [`generic::IcmpMessage`](crate::generic::IcmpMessage).
        pub type IcmpMessage = crate::generic::IcmpMessage<$flavor>;
        /// An echo request of a client. See
        /// [`generic::EchoRequest`](crate::generic::EchoRequest).
        pub type EchoRequest = crate::generic::EchoRequest<$flavor>;
        /// A socket for whole IP packets. See
        /// [`generic::RawSocket`](crate::generic::RawSocket).
        pub type RawSocket = crate::generic::RawSocket<$flavor>;
        pub use crate::generic::SharedFilter;
        /// One end of an in-memory link. See [`generic::Pipe`](crate::generic::Pipe).
        pub type Pipe = crate::generic::Pipe<$flavor>;

        /// Creates an in-memory link between two stacks: each end receives what the other sends. At
        /// most `limit` packets wait in each direction. See [`generic::Pipe`](crate::generic::Pipe).
        ///
        /// ```
        /// # #[cfg(feature = "sync")] {
        /// let (one, other) = brooklet::pipe(64);
        /// # drop((one, other));
        /// # }
        /// ```
        pub fn pipe(limit: usize) -> (Pipe, Pipe) {
            crate::generic::Pipe::pair(limit)
        }
    };
}

#[cfg(feature = "sync")]
names!(Threaded);

/// The names of the root, for one thread: handles that take no lock, for an executor such as
/// `LocalExecutor`. The device and the filter may hold an `Rc`.
#[cfg(feature = "local")]
pub mod local {
    names!(brooklet_cell::SingleThread);
}

#[cfg(all(doctest, feature = "sync", feature = "async-io"))]
#[doc = include_str!("../README.md")]
struct Readme;
