//! A program may catch a panic and use its handles on.
#![cfg(feature = "sync")]

use std::panic::{RefUnwindSafe, UnwindSafe};

const fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn handles_may_cross_catch_unwind() {
    is_unwind_safe::<brooklet::Stack>();
    is_unwind_safe::<brooklet::TcpListener>();
    is_unwind_safe::<brooklet::TcpStream>();
    is_unwind_safe::<brooklet::TransparentUdpSocket>();
    is_unwind_safe::<brooklet::Builder>();
}
