// The engine, the packets and the handles of the examples in the documentation. The examples
// include this file.

use brooklet_cell::Threaded;
use brooklet_packet::{Packet, udp};
use brooklet_udp::{
    Arrival, Clock, Config, Engine, Interface, SessionConfig, TransparentUdpSocket, UdpListener,
    UdpSession, UdpSocket,
};
use std::time::Instant;

pub use futures_lite::future::block_on;

pub fn engine() -> (Engine<Threaded>, TransparentUdpSocket<Threaded>) {
    let clock = Clock::new(Instant::now);
    Engine::new(Interface::new(), Config::new(), clock, [1, 2])
}

/// Delivers a datagram.
pub fn arrive(engine: &Engine<Threaded>, payload: &[u8], from: &str, to: &str) {
    let mut bytes = Vec::new();
    udp::write(&mut bytes, from.parse().unwrap(), to.parse().unwrap(), 64, payload).unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    let _ = engine.handle_packet(Instant::now(), &packet, Arrival::new());
}

/// The server 9.9.9.9:53, to which 10.0.0.1:5000 has sent "question".
pub fn socket() -> (Engine<Threaded>, UdpSocket<Threaded>) {
    let (engine, _all) = engine();
    let socket = engine.binder().bind("9.9.9.9:53".parse().unwrap()).unwrap();
    arrive(&engine, b"question", "10.0.0.1:5000", "9.9.9.9:53");
    (engine, socket)
}

/// A listener, with a session of 10.0.0.1:5000, which has sent "question" to 9.9.9.9:53.
pub fn listener() -> (Engine<Threaded>, UdpListener<Threaded>) {
    let (engine, socket) = engine();
    let listener = socket.into_sessions(SessionConfig::new());
    arrive(&engine, b"question", "10.0.0.1:5000", "9.9.9.9:53");
    (engine, listener)
}

/// The session of that listener.
pub fn session() -> (Engine<Threaded>, UdpSession<Threaded>) {
    let (engine, listener) = listener();
    let session = block_on(listener.accept()).unwrap();
    (engine, session)
}
