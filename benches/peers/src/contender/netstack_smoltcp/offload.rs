//! The form with segmentation offload, which tun-rs does for it.

use super::{MTU, TUN, accept, stack};
use futures::{SinkExt, StreamExt};
use std::sync::Arc;
use std::{io, iter};
use tun_rs::{DeviceBuilder, GROTable, IDEAL_BATCH_SIZE, VIRTIO_NET_HDR_LEN};

/// Bytes for a packet, as in the example: more than the MTU.
const PACKET: usize = 1600;

/// The longest that the kernel hands over at once.
const SUPER_PACKET: usize = 65_535;

pub(super) async fn serve() -> io::Result<()> {
    let device = DeviceBuilder::new()
        .name(TUN)
        .mtu(MTU)
        .offload(true)
        .build_async()?;
    if !device.tcp_gso() {
        return Err(io::Error::other("the TUN device has no offload"));
    }
    let device = Arc::new(device);
    let (stack, listener, udp) = stack()?;
    let (mut sink, stream) = stack.split();

    let tun = device.clone();
    tokio::spawn(async move {
        let mut table = GROTable::default();
        // Packets are joined as far as there is room behind the first, and a header before it and
        // one to spare.
        let room = || Vec::with_capacity(SUPER_PACKET + 2 * VIRTIO_NET_HDR_LEN);
        let mut packets: Vec<Vec<u8>> = iter::repeat_with(room).take(IDEAL_BATCH_SIZE).collect();
        let mut batches = stream.ready_chunks(IDEAL_BATCH_SIZE);
        while let Some(batch) = batches.next().await {
            let batch = batch.into_iter().flatten();
            let mut n = 0;
            for (packet, place) in batch.zip(&mut packets) {
                place.clear();
                place.resize(VIRTIO_NET_HDR_LEN, 0);
                place.extend_from_slice(&packet);
                n += 1;
            }
            // Packets that are not taken are lost, as packets are.
            let _ = tun
                .send_multiple(&mut table, &mut packets[..n], VIRTIO_NET_HDR_LEN)
                .await;
        }
    });
    tokio::spawn(async move {
        let mut whole = vec![0; VIRTIO_NET_HDR_LEN + SUPER_PACKET];
        let mut packets = vec![vec![0; PACKET]; IDEAL_BATCH_SIZE];
        let mut sizes = vec![0; IDEAL_BATCH_SIZE];
        while let Ok(n) = device
            .recv_multiple(&mut whole, &mut packets, &mut sizes, 0)
            .await
        {
            for (packet, &size) in packets.iter().zip(&sizes).take(n) {
                let _ = sink.send(packet[..size].to_vec()).await;
            }
        }
    });
    accept(listener, udp).await
}
