//! One end of a connection, and its application.

use crate::content;
use crate::host::Task;
use brooklet::TcpStream;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::Poll;

pub(super) struct End {
    stream: Option<TcpStream>,
    /// The stream of bytes that this end writes; the other end's has the other last bit.
    number: u64,
    total: usize,
    expects: usize,
    /// The most bytes of one call.
    piece: usize,
    wrote: usize,
    read: usize,
    /// The end of the stream was read, and this end was closed for writing.
    ended: bool,
    closed: bool,
    /// The application has let go before the end.
    gone: bool,
    reader: Task,
    writer: Task,
    buffer: Vec<u8>,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End")
            .field("wrote", &(self.wrote, self.total))
            .field("read", &(self.read, self.expects))
            .field("ended", &self.ended)
            .field("closed", &self.closed)
            .field("gone", &self.gone)
            .field("info", &self.stream.as_ref().map(TcpStream::info))
            .finish()
    }
}

impl End {
    pub(super) fn new(number: u64, (total, expects): (usize, usize), piece: usize) -> Self {
        Self {
            stream: None,
            number,
            total,
            expects,
            // Not too many calls.
            piece: piece.max(total.max(expects) / 200),
            wrote: 0,
            read: 0,
            ended: false,
            closed: false,
            gone: false,
            reader: Task::new(),
            writer: Task::new(),
            buffer: Vec::new(),
        }
    }

    /// The connection is established.
    pub(super) fn begin(&mut self, stream: TcpStream) {
        assert!(
            self.stream.is_none(),
            "a connection that was accepted twice"
        );
        if !self.gone {
            self.stream = Some(stream);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.gone || self.ended && self.closed
    }

    /// Works as long as the tasks have been woken and there is something to do.
    pub(super) fn run(&mut self, violent: bool) {
        while self.stream.is_some() && !self.is_done() && self.act(violent) {}
    }

    /// Writes once and reads once, if the tasks have been woken. Returns whether something moved.
    pub(super) fn act(&mut self, violent: bool) -> bool {
        if self.gone {
            return false;
        }
        let wrote = !self.closed && self.writer.is_awake() && self.write(violent);
        let read = !self.ended && !self.gone && self.reader.is_awake() && self.read(violent);
        wrote || read
    }

    fn write(&mut self, violent: bool) -> bool {
        let Some(stream) = &self.stream else {
            return false;
        };
        if self.wrote == self.total {
            let shut = stream.shutdown(Shutdown::Write);
            assert!(shut.is_ok() || violent, "{shut:?}");
            self.closed = true;
            return true;
        }
        let len = self.piece.min(self.total - self.wrote);
        self.buffer.clear();
        content::append(&mut self.buffer, self.number, self.wrote as u32, len);
        let buffer = &self.buffer;
        // A writer is woken for a good part of the buffer, and surely for all of it.
        let empty = stream.info().send_queue == 0;
        let (result, lost) = self
            .writer
            .poll_unchecked(|cx| Pin::new(&mut &*stream).poll_write(cx, buffer));
        assert!(!(lost && empty), "a lost wake-up: room to write");
        match result {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) => {
                self.wrote += count;
                true
            }
            Poll::Ready(Err(error)) => self.fails(violent, &error),
        }
    }

    fn read(&mut self, violent: bool) -> bool {
        let Some(stream) = &self.stream else {
            return false;
        };
        self.buffer.resize(self.piece, 0);
        let buffer = &mut self.buffer;
        let result = self.reader.poll("data to read", |cx| {
            Pin::new(&mut &*stream).poll_read(cx, buffer)
        });
        match result {
            Poll::Pending => false,
            Poll::Ready(Ok(0)) => {
                self.ended = true;
                assert!(
                    violent || self.read == self.expects,
                    "a false end: {self:?}"
                );
                true
            }
            Poll::Ready(Ok(count)) => {
                let read = &self.buffer[..count];
                let right = content::matches(read, self.number ^ 1, self.read as u32);
                assert!(right, "wrong bytes at {}: {self:?}", self.read);
                self.read += count;
                assert!(self.read <= self.expects, "more than was written: {self:?}");
                true
            }
            Poll::Ready(Err(error)) => self.fails(violent, &error),
        }
    }

    fn fails(&mut self, violent: bool, error: &io::Error) -> bool {
        assert!(violent, "{error}: {self:?}");
        (self.gone, self.stream) = (true, None);
        true
    }

    /// The application lets go before the end.
    pub(super) fn let_go(&mut self, how: usize) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        self.gone = how != 2;
        match how {
            0 => stream.abort(),
            1 => {}
            2 => {
                let _ = stream.shutdown(Shutdown::Read);
                self.ended = true;
                self.stream = Some(stream);
            }
            _ => {
                stream.set_linger(Some(std::time::Duration::ZERO));
            }
        }
    }
}
