//! Tests of programs over brooklet, without root and without waiting.
//!
//! - [`VirtualTime`] is a clock that only the test moves. It makes the timers of a stack.
//! - [`Simulation`] is an executor with such a clock. The clock jumps from deadline to deadline.
//!   [`Spawner`] is for programs that spawn tasks themselves.
//! - [`Link`] joins two devices, and delays, loses, duplicates, reorders and corrupts their packets
//!   as a seed says. [`Channel`] is one direction of a link, for any clock.
//! - [`Peer`] is a scripted end of a TCP connection: it sends exactly the segments that a test asks
//!   for, valid or not.
//!
//! # Determinism
//!
//! A [`Simulation`] of the same program with the same seeds is the same to the byte in every run: the
//! same packets, at the same virtual times, in the same order. Nothing here depends on the time of
//! the system, on threads or on the order of a hash table. The program has to leave these alone too,
//! and the random numbers of a stack are a seed of its own.
//!
//! # A proxy on a lossy path
//!
//! This test runs a program that accepts connections. A second stack takes the place of its clients,
//! over a path that loses one packet of twenty:
//!
//! ```
//! use brooklet::{Builder, Parts, TcpListener};
//! use brooklet_sim::{Link, LinkConfig, Simulation};
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
//! use std::time::Duration;
//!
//! /// The program under test: it echoes what it receives.
//! async fn proxy(listener: TcpListener) -> io::Result<()> {
//!     let (stream, _client) = listener.accept().await?;
//!     io::copy(&stream, &stream).await?;
//!     (&stream).close().await
//! }
//!
//! let sim = Simulation::new();
//! let path = LinkConfig::new().delay(Duration::from_millis(15)).loss(0.05);
//! let seed = 42; // the same losses each time
//! let (link, here, there) = Link::new(sim.time(), seed, path);
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
//!
//! # Features
//!
//! - `serde`: `Serialize` and `Deserialize` for [`LinkConfig`], [`LinkStats`] and [`LinkOutcome`]. A
//!   configuration may be partial, and an unknown field is an error.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod channel;
mod link;
mod link_config;
mod peer;
mod random;
mod segment;
mod simulation;
mod spawner;
mod task;
mod time;

#[doc(no_inline)]
pub use brooklet_packet::TcpFlags;
pub use channel::{Channel, LinkOutcome, LinkStats};
pub use link::{Link, LinkEnd, TapEvent};
pub use link_config::{LinkConfig, LossPoint};
pub use peer::Peer;
pub use segment::Segment;
pub use simulation::{SimError, Simulation};
pub use spawner::Spawner;
pub use task::Task;
pub use time::{Sleep, VirtualTime, VirtualTimer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
