//! A reader of pcapng files as the stack writes them, which accepts no other.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::time::Duration;

/// A packet of the file.
#[derive(Debug)]
pub struct Frame {
    pub interface: u32,
    /// Since 1970.
    pub time: Duration,
    /// 1 for inbound, 2 for outbound.
    pub direction: u32,
    pub bytes: Vec<u8>,
    pub len: usize,
    pub comment: Option<String>,
    /// Packets lost before this one.
    pub lost: u64,
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// The code and the value of each option.
fn options(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut options = Vec::new();
    loop {
        let code = u16::from_le_bytes(bytes[..2].try_into().unwrap());
        let len = usize::from(u16::from_le_bytes(bytes[2..4].try_into().unwrap()));
        if code == 0 {
            assert_eq!((len, bytes.len()), (0, 4), "the end of the options");
            return options;
        }
        options.push((code, &bytes[4..4 + len]));
        bytes = &bytes[4 + len.next_multiple_of(4)..];
    }
}

/// Reads a file, whole blocks only.
pub fn read(mut file: &[u8]) -> Vec<Frame> {
    let (mut frames, mut interfaces, mut first) = (Vec::new(), 0, true);
    while !file.is_empty() {
        let len = number(&file[4..]) as usize;
        let (block, rest) = file.split_at(len);
        assert_eq!(number(&block[len - 4..]) as usize, len);
        let (kind, body) = (number(block), &block[8..len - 4]);
        match kind {
            0x0A0D_0D0A => {
                assert!(first, "one section");
                assert_eq!(number(body), 0x1A2B_3C4D);
            }
            1 => {
                assert_eq!(body[..2], [101, 0], "LINKTYPE_RAW");
                let resolution = options(&body[8..]).into_iter().find(|(code, _)| *code == 9);
                assert_eq!(resolution, Some((9, &[9][..])));
                interfaces += 1;
            }
            6 => {
                let interface = number(body);
                assert!(interface < interfaces);
                let nanos = u64::from(number(&body[4..])) << 32 | u64::from(number(&body[8..]));
                let (kept, len) = (number(&body[12..]) as usize, number(&body[16..]) as usize);
                let options = options(&body[20 + kept.next_multiple_of(4)..]);
                let find = |wanted| options.iter().find(|(code, _)| *code == wanted);
                let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
                frames.push(Frame {
                    interface,
                    time: Duration::from_nanos(nanos),
                    direction: number(find(2).unwrap().1),
                    bytes: body[20..20 + kept].to_vec(),
                    len,
                    comment: find(1).map(|(_, value)| text(value)),
                    lost: find(4).map_or(0, |(_, value)| {
                        u64::from_le_bytes((*value).try_into().unwrap())
                    }),
                });
            }
            kind => panic!("a block of type {kind}"),
        }
        (file, first) = (rest, false);
    }
    frames
}
