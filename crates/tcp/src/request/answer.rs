//! Answers to queued SYNs.

use crate::connection::{Connection, Opening};
use crate::error::request_gone;
use crate::options::TcpOptions;
use crate::seq::Micros;
use crate::stack::StackShared;
use crate::syn::Syn;
use crate::syn_cookie;
use crate::syn_queue::{SynEntry, SynId};
use crate::table::{Answered, CookieSource};
use brooklet_cell::wakers::{WakeList, wake};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::{FlowKey, Packet};
use std::io;

impl<F: Flavor> StackShared<F> {
    /// Puts a connection in the place of a queued SYN, and sends the SYN-ACK.
    ///
    /// With `listened` the connection belongs to the listener until its `accept` returns it.
    pub(crate) fn answer(
        &self,
        id: SynId,
        options: &TcpOptions,
        listened: bool,
    ) -> io::Result<Shared<F, Connection<F>>> {
        let now = self.now();
        let moment = self.config.micros(now);
        let (queue, syn, cookie, path_mtu) = self.table.with(|table| {
            if table.is_closed() {
                return Err(StackClosed.into());
            }
            let found = table.syn(id).and_then(|entry| {
                let cookie = entry.completed();
                let cookie = cookie.map(|c| (c.cookie, c.window_scale, c.arrived));
                let path_mtu = table.path_mtu(now, id.key);
                Some((entry.queue, entry.parse()?, cookie, path_mtu))
            });
            found.ok_or_else(request_gone)
        })?;
        let place = (id.key, queue);
        let mut connection = match cookie {
            None => Connection::passive(place, (&syn, path_mtu), options, &self.config, moment),
            // The connection begins when the client has completed the handshake, so that the wait
            // for the program is no round-trip time.
            Some((cookie, window_scale, arrived)) => {
                let options = options.clone().with_window_scale(window_scale);
                let stack = &self.config;
                Connection::from_cookie(place, (&cookie, path_mtu), &options, stack, arrived)
            }
        };
        connection.opening = match listened {
            true => Opening::Listened,
            false => Opening::Passive,
        };
        connection.handles = u32::from(!listened);
        let connection = Shared::new(connection);
        let mut wakes = WakeList::default();
        let accepted = self.table.with(|table| {
            let answered = table.accept(id, connection.clone(), listened, now, &mut wakes)?;
            Ok::<_, io::Error>((answered, table.path_mtu(now, id.key)))
        });
        wakes.wake_all();
        let (Answered { entry, evicted }, latest_path_mtu) = accepted?;
        if let Some(evicted) = evicted {
            self.enter(&evicted, moment, Connection::evict);
        }
        if let Some(completed) = entry.completed()
            && let Ok(packet) = Packet::parse(entry.packet())
        {
            self.enter(&connection, completed.arrived, |connection, fx| {
                connection.segment_arrives(packet.bytes(), packet.headers(), fx);
            });
        }
        if latest_path_mtu == path_mtu {
            self.enter(&connection, moment, Connection::flush);
        } else {
            self.follow_path_mtu(&connection, (id.key, now));
        }
        Ok(connection)
    }

    /// The packet that answers `syn` with a SYN cookie.
    pub(crate) fn cookie(
        &self,
        key: FlowKey,
        syn: &Syn,
        source: &CookieSource,
        now: Micros,
    ) -> Vec<u8> {
        let CookieSource { options, path_mtu } = source;
        let syn_ack = syn_cookie::syn_ack(key, syn, (options, *path_mtu), &self.config, now);
        syn_ack.packet(key.reversed())
    }

    /// Answers a SYN that has left the queue with a SYN cookie.
    pub(crate) fn answer_with_cookie(&self, entry: &SynEntry, source: &CookieSource) {
        let Some(syn) = entry.parse() else { return };
        let syn_ack = self.cookie(entry.key, &syn, source, self.moment());
        let driver = self
            .queue(entry.queue)
            .with(|queue| queue.push(syn_ack.into()));
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Answers SYNs with a RST.
    pub(crate) fn refuse(&self, syns: &[SynEntry]) {
        self.reply(syns, brooklet_packet::tcp::reset);
    }

    /// Answers SYNs with the packet that `write` makes of them.
    pub(super) fn reply(
        &self,
        syns: &[SynEntry],
        write: impl Fn(&mut Vec<u8>, &Packet<'_>) -> bool,
    ) {
        for entry in syns {
            let mut reply = Vec::new();
            if Packet::parse(entry.packet()).is_ok_and(|packet| write(&mut reply, &packet))
                && let Some(driver) = self
                    .queue(entry.queue)
                    .with(|queue| queue.push(reply.into()))
            {
                wake(driver);
            }
        }
    }
}
