//! What is to be done.

mod bulk;
pub(crate) mod connect;
mod echo;

use crate::arena::SERVER;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// In this order in the report.
pub(crate) fn all() -> Vec<Box<dyn Work>> {
    vec![
        Box::new(echo::Echo),
        Box::new(connect::Connect),
        Box::new(bulk::Up),
        Box::new(bulk::Down),
    ]
}

/// Something that a client does with a server, and what is measured of it.
pub(crate) trait Work: Sync {
    fn title(&self) -> &'static str;

    /// The names of the figures.
    fn columns(&self) -> &'static [&'static str];

    /// The name of the server's CPU time for each unit of work, and how many of what it is given
    /// in make a second.
    fn cpu(&self) -> (&'static str, f64);

    /// Whether client and server wait for each other so much that the cores would fall asleep.
    fn takes_turns(&self) -> bool {
        false
    }

    /// Does it for so long, against the server at [`SERVER`], in the namespace of this thread.
    fn run(&self, span: Duration) -> io::Result<Outcome>;
}

#[derive(Debug)]
pub(crate) struct Outcome {
    /// As many as there are columns.
    pub(crate) figures: Vec<f64>,
    /// All that was done, whether it was measured or not.
    pub(crate) units: f64,
}

/// After so long without a connection or a byte a run has failed.
pub(crate) const STALL: Duration = Duration::from_secs(5);

fn connect(port: u16) -> io::Result<TcpStream> {
    connect_within((SERVER, port).into(), STALL)
}

/// A connection on which neither the opening nor any call takes longer than this.
fn connect_within(to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
