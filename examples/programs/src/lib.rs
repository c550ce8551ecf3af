//! Programs on brooklet that bring protocols and executors of other crates.
//!
//! The tests of this package are the programs: HTTP/1.1 over TLS ([hyper] and [rustls]), WebSocket
//! ([async-tungstenite]), and a server on [async-std]. [`wireguard`] is a device: the stack's
//! packets travel through a WireGuard tunnel. The example `wireguard` fetches a page through one.
//! [`quic`] is [quinn] over the stack's UDP sockets.
//!
//! [hyper]: https://docs.rs/hyper
//! [rustls]: https://docs.rs/futures-rustls
//! [async-tungstenite]: https://docs.rs/async-tungstenite
//! [async-std]: https://docs.rs/async-std
//! [quinn]: https://docs.rs/quinn

pub mod quic;
pub mod wireguard;
