//! Another device for a running stack.

use super::{Driver, Retry};
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::Filter;
use brooklet_io::PacketIo;
use std::io;

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    /// Gives the stack another device in place of its present one, which is returned: connections,
    /// sessions and sockets go on over the new device. A VPN does so when the system gives it a new
    /// TUN device.
    ///
    /// - Packets that wait to be sent leave through the new device. The driver does the work for
    ///   which the new device has no [offload](PacketIo::offload).
    /// - The MTU of the stack follows the [MTU of the device](PacketIo::mtu), up to
    ///   [`Builder::mtu`](crate::generic::Builder::mtu) if that is set. With several queues, the least
    ///   MTU of their devices counts, and each driver swaps its own device. Connections follow to a
    ///   smaller MTU at once, and send segments that are longer and not acknowledged again. They probe
    ///   a larger MTU (RFC 4821), and use it if their peer accepts segments of that size, as it has
    ///   said at the beginning of the connection.
    /// - Packets that wait in the old device are not received. Peers retransmit them, or not: read
    ///   them from the device that is returned, if they matter.
    /// - A packet of which the old device has taken only some segments or fragments goes on through
    ///   the new device. If they are too long for it, the rest is dropped, and counted as
    ///   [`TooLong`](crate::DropReason::TooLong).
    ///
    /// The driver is a future that can be polled by reference: interrupt it, swap the device, and go
    /// on. Swap before the old device is closed, whose error would end the driver.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
    /// use brooklet::{Builder, Parts, Pipe};
    /// use futures_lite::future::{block_on, or, zip};
    ///
    /// let (device, old_end) = brooklet::pipe(64); // or a `brooklet_tun::Tun`
    /// let Parts { mut driver, udp, .. } = Builder::new().build(device)?;
    /// let (new_devices, receiver) = async_channel::bounded::<Pipe>(1);
    ///
    /// let run = async {
    ///     loop {
    ///         let ended = async { Err((&mut driver).await) };
    ///         match or(async { Ok(receiver.recv().await) }, ended).await {
    ///             Ok(Ok(device)) => drop(driver.swap_device(device)?),
    ///             Ok(Err(_)) => return Ok(()), // the program needs the stack no longer
    ///             Err(result) => return result,
    ///         }
    ///     }
    /// };
    /// let program = async {
    ///     let (device, mut new_end) = brooklet::pipe(64);
    ///     new_devices.send(device).await.unwrap();
    ///     let (from, to) = ("192.0.2.1:53".parse().unwrap(), "10.0.0.2:5000".parse().unwrap());
    ///     udp.send_to(b"over the new device", from, to).await?;
    ///     let mut packet = brooklet::PacketBuf::with_capacity(1500);
    ///     std::future::poll_fn(|cx| brooklet::PacketIo::poll_recv(&mut new_end, cx, &mut packet))
    ///         .await?;
    ///     assert!(packet.ends_with(b"over the new device"));
    ///     drop(new_devices);
    ///     Ok::<_, std::io::Error>(())
    /// };
    /// let (ended, done) = block_on(zip(run, program));
    /// # drop(old_end);
    /// ended.and(done)
    /// # }
    /// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the MTU of the device is less than 1,280, or
    /// 576 [without IPv6](crate::generic::Builder::ipv6). The stack keeps its present device, and
    /// `device` is dropped.
    pub fn swap_device(&mut self, device: D) -> io::Result<D> {
        let changed = self.common.mtu.swap(self.queue, device.mtu())?;
        let now = self.common.clock.now();
        let offload = device.offload();
        let old = std::mem::replace(&mut self.device, device);
        (self.recv_retry, self.send_retry) = (Retry::default(), Retry::default());
        if let Some(mtu) = changed {
            self.engines.udp.set_mtu(mtu);
            self.engines.raw.set_mtu(mtu);
            self.engines.tcp.set_mtu(now, mtu);
        }
        self.tx_scheduler.set_device(
            offload,
            (now, self.common.mtu.get()),
            &mut self.engines,
            &mut self.stats.drops,
        );
        // The task of this driver may wait for the old device.
        self.engines.tcp.wake_drivers();
        Ok(old)
    }
}
