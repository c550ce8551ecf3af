//! A program may catch a panic and use its handles on.

use brooklet_cell::Threaded;
use brooklet_tcp::{
    Clock, Connector, Engine, ReadHalf, TcpIncoming, TcpListener, TcpRequest, TcpRequests,
    TcpStream, WriteHalf,
};
use std::panic::{RefUnwindSafe, UnwindSafe};

const fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn handles_of_the_threaded_flavor_may_cross_catch_unwind() {
    is_unwind_safe::<Clock>();
    is_unwind_safe::<Engine<Threaded>>();
    is_unwind_safe::<Connector<Threaded>>();
    is_unwind_safe::<TcpListener<Threaded>>();
    is_unwind_safe::<TcpIncoming<'_, Threaded>>();
    is_unwind_safe::<TcpRequests<'_, Threaded>>();
    is_unwind_safe::<TcpRequest<Threaded>>();
    is_unwind_safe::<TcpStream<Threaded>>();
    is_unwind_safe::<ReadHalf<Threaded>>();
    is_unwind_safe::<WriteHalf<Threaded>>();
}
