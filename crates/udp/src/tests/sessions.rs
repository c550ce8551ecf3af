//! Sessions.

mod ends;
mod flows;
mod limits;
mod rfc4787;
mod timeouts;

use super::*;
use crate::SessionConfig;
use std::io::ErrorKind;

const STUN: &str = "1.1.1.1:3478";
const PEER: &str = "2.2.2.2:4000";

pub(super) fn listener<F: Flavor>(
    change: impl FnOnce(SessionConfig) -> SessionConfig,
) -> (Engine<F>, UdpListener<F>) {
    let (engine, socket) = engine::<F>();
    (engine, socket.into_sessions(change(SessionConfig::new())))
}

/// The session that waits, if one does.
pub(super) fn accepted<F: Flavor>(listener: &UdpListener<F>) -> Option<UdpSession<F>> {
    match listener.try_accept() {
        Ok(session) => Some(session),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            None
        }
    }
}

/// The payload that waits, if one does.
pub(super) fn payload<F: Flavor>(session: &UdpSession<F>) -> Option<Vec<u8>> {
    match session.try_recv_datagram() {
        Ok(datagram) => Some(datagram.payload),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            None
        }
    }
}

/// How the session has ended, if it has.
fn end<F: Flavor>(session: &UdpSession<F>) -> Option<ErrorKind> {
    let error = session.try_recv_datagram().unwrap_err();
    (error.kind() != ErrorKind::WouldBlock).then(|| error.kind())
}

/// A client with that number.
fn client(n: u16) -> String {
    format!("10.1.{}.{}:5000", n / 256, n % 256)
}

/// Nothing is left of any session.
fn assert_empty<F: Flavor>(engine: &Engine<F>) {
    let (sessions, room, bytes) = engine.session_memory();
    assert_eq!((sessions, bytes), (0, 0));
    assert!(room <= 200, "room for {room}");
}
