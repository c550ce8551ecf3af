//! The way of a received packet to its connection.

use super::Engine;
use crate::connection::Connection;
use crate::seq::Micros;
use crate::stats::Dropped;
use crate::syn::Syn;
use crate::syn_queue::syn_to_keep;
use crate::table::{self, Enqueued, Route};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::icmp::IcmpError;
use brooklet_packet::{Headers, Packet, TcpHeader};
use std::time::Instant;

impl<F: Flavor> Engine<F> {
    /// Processes one TCP packet whose checksums were verified and which is not a fragment.
    ///
    /// `headers` are the headers of `packet`. Call [`flush`](Self::flush) after the last packet
    /// of a batch: connections send and tasks are woken only then.
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// use brooklet_packet::Headers;
    ///
    /// # let (mut client, mut engine) = (engine, {
    /// #     let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// #     Engine::<Threaded>::new(Interface::default(), config, clock, [3, 4]).0
    /// # });
    /// # let packet = client.poll_transmit().expect("a SYN");
    /// let headers = Headers::parse(&packet)?;
    /// if headers.verify_checksum(&packet) {
    ///     engine.handle_packet(Instant::now(), &packet, &headers);
    /// }
    /// # engine.flush(Instant::now());
    /// # assert!(engine.poll_transmit().is_some(), "a RST: the listener was dropped");
    /// # drop(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8], headers: &Headers) {
        let packet = &packet[..headers.total_len()];
        self.dropped = None;
        let Some(tcp) = headers.tcp() else {
            self.count(Dropped::Malformed);
            return;
        };
        if !table::are_valid(tcp.flags) {
            self.count(Dropped::BadFlags);
            return;
        }
        let key = headers.key();
        let moment = self.moment(now);
        if let Some((last, connection)) = &self.last
            && *last == key
            && connection
                .with(|connection| connection.takes_predicted(moment, packet, headers, tcp))
        {
            return;
        }
        if let Some((_, connection)) = self.last.take_if(|(last, _)| *last == key)
            && self.deliver(moment, connection, (packet, headers))
        {
            return;
        }
        let (wakes, queue) = (&mut self.wakes, self.queue);
        let route;
        (route, self.dropped) = self.stack.table.with(|table| {
            table.dropped = None;
            let route = table.route((now, queue), packet, headers, tcp, wakes);
            (route, table.dropped)
        });
        match route {
            Route::Connection(connection) => {
                if !self.deliver(moment, connection, (packet, headers)) {
                    self.count(Dropped::Closed);
                }
            }
            Route::SynQueue => self.enqueue_syn(now, packet, headers, tcp),
            Route::Acknowledge(wait) => {
                let ack = wait.ack(moment);
                self.reply(ack.packet(key.reversed()));
            }
            Route::Reset => self.reset(now, packet, headers),
            Route::Reply(answer) => self.reply(answer),
            Route::Drop => {}
        }
    }

    /// Passes a segment to a connection. Returns `false`, and passes nothing, if the connection has
    /// left the table.
    fn deliver(
        &mut self,
        now: Micros,
        connection: Shared<F, Connection<F>>,
        (packet, headers): (&[u8], &Headers),
    ) -> bool {
        let (mut rtt, mut dropped) = (None, None);
        let (delivered, stays, first) = self.stack.enter(&connection, now, |connection, fx| {
            if connection.is_detached() {
                return (false, false, false);
            }
            connection.segment_arrives(packet, headers, fx);
            (rtt, dropped) = (fx.rtt, fx.dropped);
            if connection.is_over() {
                // The next segment may be the SYN of a new connection: this one leaves the table
                // before the next segment is routed.
                connection.flush(fx);
            }
            if connection.is_detached() {
                return (true, false, false);
            }
            (
                true,
                true,
                !std::mem::replace(&mut connection.touched, true),
            )
        });
        self.dropped = dropped;
        if let Some(rtt) = rtt {
            self.stack.round_trips(self.queue).record(rtt);
        }
        if first {
            self.touched.push(connection.clone());
        }
        if stays {
            self.last = Some((headers.key(), connection));
        }
        delivered
    }

    fn enqueue_syn(&mut self, now: Instant, packet: &[u8], headers: &Headers, tcp: TcpHeader) {
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Some(syn) = syn_to_keep(&mut scratch, packet, headers) {
            let (flow, wakes) = ((headers.key(), self.queue), &mut self.wakes);
            let enqueued;
            (enqueued, self.dropped) = self.stack.table.with(|table| {
                table.dropped = None;
                let enqueued = table.enqueue_syn(flow, tcp.seq, syn, now, wakes);
                (enqueued, table.dropped)
            });
            match enqueued {
                Enqueued::Done => {}
                Enqueued::Refused => self.reset(now, packet, headers),
                Enqueued::Cookie(source) => {
                    let syn = Syn::parse(packet, headers, tcp);
                    let now = self.moment(now);
                    let syn_ack = self.stack.cookie(headers.key(), &syn, &source, now);
                    self.reply(syn_ack);
                }
            }
        } else {
            self.count(Dropped::Malformed);
        }
        self.scratch = scratch;
    }

    /// Answers a segment that belongs to no connection with a RST (RFC 9293, 3.10.7.1), as far as
    /// [`resets_per_second`](crate::Config::resets_per_second) allows.
    fn reset(&mut self, now: Instant, packet: &[u8], headers: &Headers) {
        let mut reply = Vec::new();
        if brooklet_packet::tcp::reset(&mut reply, &Packet::new(packet, *headers)) {
            let allowed;
            (allowed, self.dropped) = self.stack.table.with(|table| {
                table.dropped = None;
                (table.may_reset(now), table.dropped)
            });
            if allowed {
                self.reply(reply);
            }
        } else {
            // A RST is not answered with a RST.
            self.count(Dropped::BadRst);
        }
    }

    fn count(&mut self, dropped: Dropped) {
        self.dropped = Some(dropped);
        self.stack.table.with(|table| table.stats.count(dropped));
    }

    fn reply(&mut self, packet: Vec<u8>) {
        let driver = self.queue_shared.with(|queue| queue.push(packet.into()));
        self.wakes.extend(driver);
    }

    /// Processes an ICMP error about a packet that was sent from here.
    ///
    /// The error counts only if it quotes a segment that is in flight (RFC 5927, 4.1). Packet too
    /// big reduces the path MTU (RFC 1191, RFC 8201); an error about a SYN fails the `connect`
    /// that sent it; other errors are left to timeouts (RFC 5927, 6.1).
    ///
    /// ```
    /// # use brooklet_cell::Threaded;
    /// # use brooklet_tcp::{Clock, Config, Engine, Interface};
    /// # use std::time::Instant;
    /// # let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    /// # let (config, clock) = (Config::default(), Clock::new(Instant::now));
    /// # let (mut engine, listener, connector) =
    /// #     Engine::<Threaded>::new(interface, config, clock, [1, 2]);
    /// # let mut connect = Box::pin(connector.connect("192.0.2.1:80".parse().unwrap()));
    /// # let pending = futures_lite::future::poll_once(&mut connect);
    /// # assert!(futures_lite::future::block_on(pending).is_none());
    /// use brooklet_packet::Packet;
    /// use brooklet_packet::icmp::{self, Unreachable};
    ///
    /// let syn = engine.poll_transmit().expect("a SYN");
    /// # let mut received = Vec::new();
    /// # let syn_packet = Packet::parse(&syn)?;
    /// # assert!(icmp::error(&mut received, &syn_packet, Unreachable::Host));
    /// // A router answers the SYN.
    /// if let Some(error) = icmp::parse_error(&Packet::parse(&received)?) {
    ///     engine.handle_icmp_error(Instant::now(), &error);
    /// }
    /// let error = futures_lite::future::block_on(connect).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::HostUnreachable);
    /// # drop(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_icmp_error(&mut self, now: Instant, error: &IcmpError) {
        self.dropped = None;
        let moment = self.moment(now);
        let key = error.key.reversed();
        let found = self
            .stack
            .table
            .with(|table| error.seq.zip(table.connection(key)));
        let Some((seq, connection)) = found else {
            return self.count(Dropped::IcmpIgnored);
        };
        self.dropped = self.stack.enter(&connection, moment, |connection, fx| {
            connection.on_icmp_error(error.kind, seq, fx);
            fx.dropped
        });
    }
}
