//! Adopted sockets: empty packets, the end, and several tasks on one device.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

/// On an executor without a reactor: async-io has the descriptors.
mod on_async_io {
    use futures_lite::future::block_on;
    include!("cases.rs");
}

/// On the reactor of the thread.
mod on_reactor {
    use brooklet_reactor::block_on;
    include!("cases.rs");
}
