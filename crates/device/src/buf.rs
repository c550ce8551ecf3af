use crate::Meta;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// One packet in a buffer that is used again.
///
/// The storage is initialised once, when it is made or grows; a packet is the first
/// [`len`](slice::len) bytes of it. Nothing is zeroed between two packets. A new length begins a
/// new packet, which is whole and complete until its [`Meta`] says otherwise.
///
/// ```
/// use brooklet_device::PacketBuf;
///
/// let mut packet = PacketBuf::with_capacity(1500);
/// packet.storage_mut()[..3].copy_from_slice(b"abc"); // as a read from a device would
/// packet.set_len(3);
/// assert_eq!(&packet[..], b"abc");
/// ```
#[derive(Clone, Default)]
pub struct PacketBuf {
    storage: Vec<u8>,
    len: usize,
    meta: Meta,
}

impl PacketBuf {
    /// Makes an empty packet with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            storage: vec![0; capacity],
            len: 0,
            meta: Meta::default(),
        }
    }

    /// Bytes that fit without growing.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// The whole storage, to be filled from the front; tell how far with
    /// [`set_len`](Self::set_len). It holds bytes of earlier packets.
    pub fn storage_mut(&mut self) -> &mut [u8] {
        &mut self.storage
    }

    /// Makes the first `len` bytes of the storage the packet.
    ///
    /// # Panics
    ///
    /// If `len` is more than [`capacity`](Self::capacity).
    pub fn set_len(&mut self, len: usize) {
        assert!(
            len <= self.storage.len(),
            "a packet of {len} bytes in a buffer of {}",
            self.storage.len()
        );
        self.len = len;
        self.meta = Meta::default();
    }

    /// Makes the packet `len` bytes long, growing the storage where it is too small. The bytes
    /// are whatever the storage holds: write all of them.
    pub fn resize(&mut self, len: usize) {
        if len > self.storage.len() {
            self.storage.resize(len, 0);
        }
        self.len = len;
        self.meta = Meta::default();
    }

    /// What is known of the packet beside its bytes.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// Says what is known of the packet beside its bytes, until its length is set anew.
    pub fn set_meta(&mut self, meta: Meta) {
        self.meta = meta;
    }

    /// Makes the packet a copy of `bytes`, growing the storage where it is too small.
    pub fn copy_from_slice(&mut self, bytes: &[u8]) {
        self.resize(bytes.len());
        self[..].copy_from_slice(bytes);
    }

    /// The packet as a vector, without copying it.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.storage.truncate(self.len);
        self.storage
    }
}

impl From<Vec<u8>> for PacketBuf {
    fn from(storage: Vec<u8>) -> Self {
        let len = storage.len();
        Self {
            storage,
            len,
            meta: Meta::default(),
        }
    }
}

impl Deref for PacketBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.storage[..self.len]
    }
}

impl DerefMut for PacketBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[..self.len]
    }
}

impl AsRef<[u8]> for PacketBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PacketBuf {
    // Never the bytes: packets are other people's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketBuf")
            .field("len", &self.len)
            .field("meta", &self.meta)
            .field("capacity", &self.storage.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Meta, PacketBuf};

    #[test]
    fn a_shorter_packet_after_a_longer_one_shows_none_of_it() {
        let mut packet = PacketBuf::default();
        packet.copy_from_slice(b"a long packet");
        packet.copy_from_slice(b"short");
        assert_eq!(&packet[..], b"short");
        assert_eq!(packet.clone().into_vec(), b"short");
        assert!(
            !format!("{packet:?}").contains("115"),
            "bytes in the debug output"
        );
    }

    #[test]
    fn a_new_packet_is_whole_and_complete() {
        let partial = Meta {
            checksum: crate::Checksum::Partial,
            segment: std::num::NonZeroU16::new(7),
        };
        let mut packet = PacketBuf::with_capacity(8);
        let renew: [fn(&mut PacketBuf); 3] = [
            |p| p.set_len(1),
            |p| p.resize(9),
            |p| p.copy_from_slice(b"b"),
        ];
        for renew in renew {
            packet.set_meta(partial);
            assert_eq!(packet.meta(), partial);
            renew(&mut packet);
            assert_eq!(packet.meta(), Meta::default());
        }
    }

    #[test]
    #[should_panic(expected = "a packet of 9 bytes in a buffer of 8")]
    fn a_length_beyond_the_storage_panics() {
        PacketBuf::with_capacity(8).set_len(9);
    }
}
