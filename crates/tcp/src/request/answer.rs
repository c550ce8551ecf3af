//! Answers to queued SYNs.

use crate::connection::Connection;
use crate::error::request_gone;
use crate::options::TcpOptions;
use crate::stack::StackShared;
use crate::syn_queue::{SynEntry, SynId};
use brooklet_cell::wakers::{WakeList, wake};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use brooklet_packet::Packet;
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
        let (queue, syn, path_mtu) = self.table.with(|table| {
            if table.is_closed() {
                return Err(StackClosed.into());
            }
            let entry = table.syn(id);
            let syn = entry
                .and_then(|entry| Some((entry.queue, entry.parse()?, table.path_mtu(now, id.key))));
            syn.ok_or_else(request_gone)
        })?;
        let mut connection = Connection::passive(
            (id.key, queue),
            (&syn, path_mtu),
            options,
            &self.config,
            self.config.micros(now),
        );
        connection.listened = listened;
        connection.handles = u32::from(!listened);
        let connection = Shared::new(connection);
        let mut wakes = WakeList::default();
        let accepted = self.table.with(|table| {
            table.accept(id, connection.clone(), listened, now, &mut wakes)?;
            Ok::<_, io::Error>(table.path_mtu(now, id.key))
        });
        wakes.wake_all();
        if accepted? == path_mtu {
            self.enter(&connection, moment, Connection::flush);
        } else {
            self.follow_path_mtu(&connection, (id.key, now));
        }
        Ok(connection)
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
            if Packet::parse(&entry.syn).is_ok_and(|syn| write(&mut reply, &syn))
                && let Some(driver) = self
                    .queue(entry.queue)
                    .with(|queue| queue.push(reply.into()))
            {
                wake(driver);
            }
        }
    }
}
