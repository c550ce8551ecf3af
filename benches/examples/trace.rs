//! One run of the loss table, packet by packet: to find out why a figure is what it is.
//!
//! ```text
//! cargo run --release -p brooklet-benches --example trace -- echo 10 1024 5 none 4
//! ```
//!
//! The arguments are the transfer (`echo` or `one-way`), the round-trip time in milliseconds, the
//! buffer in KiB, the loss in percent, the congestion control (`cubic` or `none`) and the seed;
//! `shuffled` behind them for packets that are late or doubled.

use brooklet_benches::loss::{Case, Transfer, bytes_at};
use brooklet_packet::Packet;
use brooklet_sim::{LinkOutcome, TapEvent};
use brooklet_tcp::Congestion;
use std::error::Error;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (transfer, rtt, buffer, percent, control, seed, rest) = match args[..] {
        [a, b, c, d, e, f] => (a, b, c, d, e, f, false),
        [a, b, c, d, e, f, "shuffled"] => (a, b, c, d, e, f, true),
        _ => return Err("see the head of benches/examples/trace.rs for the arguments".into()),
    };
    let transfer = match transfer {
        "echo" => Transfer::Echo,
        "one-way" => Transfer::OneWay,
        _ => return Err("echo or one-way?".into()),
    };
    let congestion = match control {
        "cubic" => Congestion::Cubic,
        "none" => Congestion::None,
        _ => return Err("cubic or none?".into()),
    };
    let (rtt, percent) = (Duration::from_millis(rtt.parse()?), percent.parse()?);
    let mut case = Case::new(transfer, bytes_at(percent), rtt, percent / 100.0);
    case.buffer = Some(buffer.parse::<usize>()? * 1024);
    if rest {
        case = case.shuffled();
    }
    let took = case.simulate_watched(congestion, seed.parse()?, |link| {
        let mut begin = None;
        let mut numbers = [None; 2];
        link.tap(move |event| show(&event, &mut begin, &mut numbers));
    })?;
    println!("{took:?}");
    Ok(())
}

/// Prints a packet in a line, with sequence numbers that begin at 0.
fn show(event: &TapEvent<'_>, begin: &mut Option<Instant>, numbers: &mut [Option<u32>; 2]) {
    let time = event.at - *begin.get_or_insert(event.at);
    let Some((packet, tcp)) = Packet::parse(event.packet)
        .ok()
        .and_then(|packet| Some((packet, packet.tcp()?)))
    else {
        return println!("{time:?}: not TCP");
    };
    let (from, to, arrow) = match event.from_first {
        true => (0, 1, "client >"),
        false => (1, 0, "server >"),
    };
    let first = *numbers[from].get_or_insert(tcp.seq);
    let options = &packet.transport()[20..packet.transport().len() - packet.payload().len()];
    let outcome = match event.outcome {
        LinkOutcome::Lost => "lost",
        LinkOutcome::QueueFull => "queue full",
        LinkOutcome::Sent {
            reordered: true, ..
        } => "late",
        LinkOutcome::Sent { copies: 2, .. } => "doubled",
        _ => "",
    };
    println!(
        "{:.6} {arrow} {:?} {}+{} ack {} window {} {options:02x?} {outcome}",
        time.as_secs_f64(),
        tcp.flags,
        tcp.seq.wrapping_sub(first),
        packet.payload().len(),
        tcp.ack.wrapping_sub(numbers[to].unwrap_or(tcp.ack)),
        tcp.window,
    );
}
