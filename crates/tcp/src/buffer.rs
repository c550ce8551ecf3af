//! The receive and send buffers of the connections, and the memory budget behind them.
//!
//! A connection holds a buffer only while the buffer has content. A [`Ring`] keeps the bytes of
//! one direction, indexed by sequence number, in a [`Buffer`](memory::Buffer) that comes out of
//! one [`Memory`] for all connections. When the connection is idle it drops both, and only its
//! [`Claim`] remains.
//!
//! `smoltcp::storage` (0.14) has two types for this purpose. Neither serves here:
//!
//! - `RingBuffer` stores its bytes in a `ManagedSlice`: a `Vec` of its own or a borrowed slice. A
//!   mapping that returns to the operating system is not a `Vec`, and a borrowed slice would make
//!   each connection a self-referential type. `RingBuffer` also cannot move to larger storage
//!   without losing out-of-order bytes, because it does not know where these bytes are, and it
//!   computes a remainder for each index.
//! - `Assembler` tracks a number of gaps that a Cargo feature fixes for every connection
//!   (`assembler-max-segment-count-*`). Each gap takes 16 bytes even while it is unused: 32 gaps
//!   make 512 bytes for a connection with no out-of-order data. `Assembler` orders its gaps by
//!   position and does not record the order of arrival, but the first SACK block must report the
//!   most recently received segment (RFC 2018, section 4).

mod block;
mod memory;
mod pool;
mod ring;

pub(crate) use memory::{Claim, Memory, Side, min_recv, promised, window_scale};
pub(crate) use ring::Ring;
