// Two connected streams, for the examples of the documentation. This file is no module of the
// crate: each example includes it.

use brooklet_cell::Threaded;
use brooklet_tcp::TcpStream;
use std::future::Future;
use std::io;

mod stacks {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs"));
}

type Stream = TcpStream<Threaded>;

/// Runs `example` with the two ends of a connection between two stacks, as `stacks::run` does.
pub fn run<F>(example: impl FnOnce(Stream, Stream) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    stacks::run(async |connector, listener| {
        let (from, to) = ("10.0.0.1:4000".parse().unwrap(), "192.0.2.1:80".parse().unwrap());
        let connect = connector.connect_from(from, to);
        let (stream, (peer, _)) = futures_lite::future::try_zip(connect, listener.accept()).await?;
        example(stream, peer).await
    });
}
