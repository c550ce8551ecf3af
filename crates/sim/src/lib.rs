//! Tests of programs over brooklet, without root and without waiting.
//!
//! - [`VirtualTime`] is a clock that moves only when it is told, and the timer of a stack.
//! - [`Simulation`] is an executor on such a clock: it jumps from deadline to deadline.
//! - [`Link`] joins two devices and delays, loses, doubles, reorders and corrupts what they send,
//!   as a seed says. [`Channel`] is one direction of it, for any clock.
//! - [`Peer`] is one end of a TCP connection that sends what it is told, right or wrong.
//!
//! Nothing here reads the time of the system beyond one moment to begin from. What a seed does is
//! the same in every run.
//!
//! # A proxy on a bad line
//!
//! What a program does with the streams that it accepts is tested with a second stack in the place
//! of its clients, over a line that loses one packet in twenty:
//!
//! ```
//! use brooklet::{Builder, Parts, TcpListener};
//! use brooklet_sim::{Link, LinkConfig, Simulation};
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
//! use std::time::Duration;
//!
//! /// The program to be tested: here it sends everything back.
//! async fn proxy(listener: TcpListener) -> io::Result<()> {
//!     let (stream, _client) = listener.accept().await?;
//!     io::copy(&stream, &stream).await?;
//!     (&stream).close().await
//! }
//!
//! let sim = Simulation::new();
//! let line = LinkConfig::new().delay(Duration::from_millis(15)).loss(0.05);
//! let seed = 42; // the same losses each time
//! let (link, here, there) = Link::new(sim.time(), seed, line);
//! let Parts { tcp, driver, .. } = Builder::new().build_with_timer(there, sim.time().timer())?;
//! sim.spawn(driver).detach();
//! let served = sim.spawn(proxy(tcp));
//!
//! let Parts { stack, driver, .. } = Builder::new().build_with_timer(here, sim.time().timer())?;
//! sim.spawn(driver).detach();
//! let (from, to) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
//! let back = sim.run(async {
//!     let stream = stack.connect_from(from, to).await?;
//!     let (mut reader, mut writer) = stream.split();
//!     let write = async {
//!         writer.write_all(&[7; 20_000]).await?;
//!         writer.close().await
//!     };
//!     let mut back = Vec::new();
//!     future::try_zip(write, reader.read_to_end(&mut back)).await?;
//!     served.await?;
//!     io::Result::Ok(back)
//! })??;
//! assert_eq!(back, [7; 20_000]);
//! assert!(link.stats().0.lost > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channel;
mod link;
mod peer;
mod random;
mod segment;
mod simulation;
mod time;

#[doc(no_inline)]
pub use brooklet_packet::TcpFlags;
pub use channel::{Channel, LinkConfig, LinkOutcome, LinkStats};
pub use link::{Link, LinkEnd, TapEvent};
pub use peer::Peer;
pub use segment::Segment;
pub use simulation::{SimError, Simulation};
pub use time::{Sleep, VirtualTime, VirtualTimer};
