use super::*;

const SIZE: Size = Size {
    columns: 200,
    rows: 24,
};

fn tcp(inside: &str, outside: &str, bytes: [u64; 2]) -> Row {
    Row {
        protocol: "TCP",
        inside: inside.parse().unwrap(),
        outside: Some(outside.parse().unwrap()),
        state: "ESTABLISHED".to_owned(),
        age: Duration::from_secs(75),
        srtt: Some(Duration::from_micros(420)),
        bytes_in: bytes[0],
        bytes_out: bytes[1],
        recv_queue: 0,
        send_queue: Some(131_072),
        retransmits: Some(3),
        queue: Some(0),
    }
}

fn udp(inside: &str, outside: Option<&str>, bytes: [u64; 2]) -> Row {
    Row {
        protocol: "UDP",
        outside: outside.map(|address| address.parse().unwrap()),
        state: "idle 4s".to_owned(),
        srtt: None,
        send_queue: None,
        retransmits: None,
        queue: None,
        ..tcp(inside, "0.0.0.0:0", bytes)
    }
}

fn sample(seconds: u64, rows: Vec<Row>) -> Sample {
    Sample {
        uptime: Duration::from_secs(seconds),
        rows,
        ..Sample::zero()
    }
}

fn text(lines: &[Line]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    lines.join("\n")
}

/// Two moments, one second apart.
fn moments() -> (Sample, Sample) {
    let [download, name] = ["10.77.0.2:41000", "10.77.0.2:5353"];
    let web = "198.51.100.7:443";
    let mut last = sample(74, vec![tcp(download, web, [1000, 50_000_000])]);
    last.stack.bytes_in = 2000;
    last.stack.bytes_out = 50_000_000;
    last.stack.tcp.backlog_full = 4;
    let mut now = sample(
        75,
        vec![
            udp(name, None, [40, 120]),
            tcp("[fd77::2]:41002", "[2001:db8::7]:22", [0, 0]),
            tcp(download, web, [1500, 150_000_000]),
        ],
    );
    now.stack.bytes_in = 4000;
    now.stack.bytes_out = 150_500_000;
    now.stack.tcp.connections = 2;
    now.stack.tcp.time_wait = 7;
    now.stack.tcp.retransmits = 3;
    now.stack.tcp.buffers = 3 << 20;
    now.stack.tcp.pooled_buffers = 1 << 19;
    now.stack.tcp.round_trips.counts[4] = 9;
    now.stack.tcp.backlog_full = 6;
    now.stack.udp.dropped_full = 11;
    now.stack.udp.sessions = 1;
    now.relay.connecting = 1;
    now.relay.echo_requests = 5;
    now.relay.dials_refused = 2;
    now.relay.dials_timed_out = 1;
    now.relay.datagrams_unreachable = 4;
    now.memory = Some(24 << 20);
    (now, last)
}

#[test]
fn the_view_has_totals_drops_and_the_busiest_flows_first() {
    let (now, last) = moments();
    let lines = lines("brooklet run curl", &now, &last, SIZE);
    let expected = "\
brooklet run curl, 1m15s: up 16.0 kbit/s, down 804 Mbit/s
TCP connections: 2, dialed: 1, TIME-WAIT: 7, segments retransmitted: 3, half of the round trips within 0.51ms. UDP sessions: 1. Pings: 5
Memory: 24.0 MiB. TCP buffers: 3.0 MiB in use, 0.5 MiB pooled
Dropped packets: 17: UDP inbound queue full 11 (+11); TCP backlog full 6 (+2)
Failed connects of the host: 3: refused 2; no answer 1
Datagrams not relayed: 4: unreachable 4

    INSIDE          OUTSIDE          UP bit/s DOWN bit/s STATE         AGE    RTT BYTES RECV-Q SEND-Q RETRANS QUEUE
TCP 10.77.0.2:41000 198.51.100.7:443    4.00k       800M ESTABLISHED 1m15s 0.42ms  150M      0   131k       3     0
UDP 10.77.0.2:5353  *                     320        960 idle 4s     1m15s          160      0
TCP [fd77::2]:41002 [2001:db8::7]:22        0          0 ESTABLISHED 1m15s 0.42ms     0      0   131k       3     0";
    assert_eq!(text(&lines), expected);
    let headings: Vec<_> = lines.iter().map(|line| line.heading).collect();
    let expected = [
        true, false, false, false, false, false, false, true, false, false, false,
    ];
    assert_eq!(headings, expected);
}

#[test]
fn nothing_is_wider_or_longer_than_the_terminal() {
    let (now, last) = moments();
    for columns in 0..130 {
        for rows in 0..15 {
            let size = Size { columns, rows };
            let lines = lines("brooklet run curl", &now, &last, size);
            assert!(lines.len() <= rows, "{size:?}");
            for line in lines {
                assert!(line.text.chars().count() <= columns, "{size:?}: {line:?}");
            }
        }
    }
}

#[test]
fn flows_beyond_the_room_are_counted() {
    let row = |n: u64| tcp(&format!("10.77.0.2:{n}"), "192.0.2.1:80", [0, n]);
    let now = sample(1, (1..=100).map(row).collect());
    let lines = lines(
        "",
        &now,
        &Sample::zero(),
        Size {
            columns: 200,
            rows: 10,
        },
    );
    assert_eq!(lines.len(), 10);
    // Three lines of totals, an empty one and the heading leave room for five.
    assert!(
        lines[5].text.starts_with("TCP 10.77.0.2:100 "),
        "{}",
        lines[5].text
    );
    assert!(
        lines[8].text.starts_with("TCP 10.77.0.2:97 "),
        "{}",
        lines[8].text
    );
    assert_eq!(lines[9].text, "and 96 more");
}

#[test]
fn a_flow_with_the_addresses_of_an_ended_one_begins_at_zero() {
    let flow = |bytes| vec![tcp("10.77.0.2:1", "192.0.2.1:80", [bytes, bytes])];
    let (last, now) = (sample(1, flow(1000)), sample(2, flow(10)));
    let moving = flows(&now, &last);
    assert_eq!((moving[0].up, moving[0].down), (80.0, 80.0));
}

#[test]
fn a_line_for_a_log_has_the_totals() {
    let (now, last) = moments();
    assert_eq!(
        log_line(&now, &last),
        "TCP connections: 2, UDP sessions: 1, up: 16.0 kbit/s, down: 804 Mbit/s, packets \
         dropped: 13, memory: 24.0 MiB"
    );
}

#[test]
fn numbers_have_three_digits() {
    for (number, expected) in [
        (0.0, "0"),
        (999.0, "999"),
        (999.6, "1.00k"),
        (1234.0, "1.23k"),
        (12_340.0, "12.3k"),
        (99_960.0, "100k"),
        (999_400.0, "999k"),
        (999_600.0, "1.00M"),
        (8e9, "8.00G"),
        (1.5e13, "15000G"),
    ] {
        assert_eq!(scaled(number), expected, "{number}");
    }
    for (seconds, expected) in [
        (0, "0s"),
        (59, "59s"),
        (192, "3m12s"),
        (7500, "2h05m"),
        (356_400, "4d03h"),
    ] {
        assert_eq!(time(Duration::from_secs(seconds)), expected);
    }
    for (micros, expected) in [
        (42, "0.04ms"),
        (9994, "9.99ms"),
        (12_345, "12ms"),
        (1_234_567, "1.23s"),
    ] {
        assert_eq!(short(Duration::from_micros(micros)), expected);
    }
}
