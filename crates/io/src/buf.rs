use crate::Meta;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// One packet in a reusable buffer.
///
/// The packet is the first [`len`](slice::len) bytes of the buffer's storage. The storage is
/// zeroed once, when it is allocated or grows, and not between two packets. Setting the length
/// begins a new packet and resets its [`Meta`] to the default: a single packet with its checksum.
///
/// ```
/// use brooklet_io::PacketBuf;
///
/// let mut packet = PacketBuf::with_capacity(1500);
/// packet.storage_mut()[..3].copy_from_slice(b"abc"); // a device reads into the storage
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
    /// Creates an empty packet with room for `capacity` bytes.
    ///
    /// ```
    /// let packet = brooklet_io::PacketBuf::with_capacity(1500);
    /// assert!(packet.is_empty() && packet.capacity() == 1500);
    /// ```
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            storage: vec![0; capacity],
            len: 0,
            meta: Meta::default(),
        }
    }

    /// Returns the length of the storage in bytes: the longest packet that fits without growing.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// Returns the bytes that the packet has allocated, which may exceed its
    /// [`capacity`](Self::capacity).
    ///
    /// ```
    /// let mut storage = Vec::with_capacity(2048);
    /// storage.extend_from_slice(&[0x45; 40]);
    /// let packet = brooklet_io::PacketBuf::from(storage);
    /// assert_eq!((packet.capacity(), packet.allocated()), (40, 2048));
    /// ```
    pub fn allocated(&self) -> usize {
        self.storage.capacity()
    }

    /// Returns the whole storage, which holds bytes of earlier packets. Write the packet at its
    /// start, then call [`set_len`](Self::set_len).
    pub fn storage_mut(&mut self) -> &mut [u8] {
        &mut self.storage
    }

    /// Sets the packet to the first `len` bytes of the storage, and resets the metadata.
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// let mut packet = PacketBuf::from(vec![1, 2, 3]);
    /// packet.set_len(2);
    /// assert_eq!(&packet[..], [1, 2]);
    /// packet.set_len(3); // the storage still has the third byte
    /// assert_eq!(&packet[..], [1, 2, 3]);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `len` exceeds [`capacity`](Self::capacity).
    pub fn set_len(&mut self, len: usize) {
        assert!(
            len <= self.storage.len(),
            "a packet of {len} bytes in a buffer of {}",
            self.storage.len()
        );
        self.len = len;
        self.meta = Meta::default();
    }

    /// Sets the length of the packet to `len` bytes, growing the storage if necessary, and resets
    /// the metadata. The packet then holds bytes of earlier packets: overwrite all of them.
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// let mut packet = PacketBuf::default();
    /// packet.resize(40);
    /// packet.fill(0);
    /// assert_eq!((packet.len(), packet.capacity()), (40, 40));
    /// ```
    pub fn resize(&mut self, len: usize) {
        if len > self.storage.len() {
            self.storage.resize(len, 0);
        }
        self.len = len;
        self.meta = Meta::default();
    }

    /// Returns the metadata of the packet.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// Sets the metadata of the packet. Setting the length resets the metadata.
    ///
    /// ```
    /// use brooklet_io::{Checksum, Meta, PacketBuf};
    ///
    /// let mut packet = PacketBuf::from(vec![0; 40]);
    /// packet.set_meta(Meta::new().checksum(Checksum::Partial));
    /// assert_eq!(packet.meta().checksum, Checksum::Partial);
    /// packet.copy_from_slice(&[1; 40]); // a new packet
    /// assert_eq!(packet.meta(), Meta::new());
    /// ```
    pub fn set_meta(&mut self, meta: Meta) {
        self.meta = meta;
    }

    /// Sets the packet to a copy of `bytes`, growing the storage if necessary, and resets the
    /// metadata.
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// let mut packet = PacketBuf::default();
    /// packet.copy_from_slice(b"a packet");
    /// assert_eq!(&packet[..], b"a packet");
    /// ```
    pub fn copy_from_slice(&mut self, bytes: &[u8]) {
        self.resize(bytes.len());
        self[..].copy_from_slice(bytes);
    }

    /// An empty packet in `storage`, which keeps its length.
    pub(crate) fn from_storage(storage: Vec<u8>) -> Self {
        Self {
            storage,
            len: 0,
            meta: Meta::default(),
        }
    }

    /// The whole storage.
    pub(crate) fn into_storage(self) -> Vec<u8> {
        self.storage
    }

    /// Converts the packet into a vector without copying it.
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// let mut packet = PacketBuf::with_capacity(1500);
    /// packet.copy_from_slice(b"a packet");
    /// assert_eq!(packet.into_vec(), b"a packet");
    /// ```
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
    // Leave the bytes out: packets carry private data that has no place in a log.
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
    fn a_shorter_packet_hides_the_longer_one_before_it() {
        let mut packet = PacketBuf::default();
        packet.copy_from_slice(b"a long packet");
        packet.copy_from_slice(b"short");
        assert_eq!(&packet[..], b"short");
        assert_eq!(packet.clone().into_vec(), b"short");
        assert!(
            !format!("{packet:?}").contains("115"),
            "packet bytes in the debug output"
        );
    }

    #[test]
    fn a_new_length_resets_the_metadata() {
        let partial = Meta {
            checksum: crate::Checksum::Partial,
            gso_size: std::num::NonZeroU16::new(7),
        };
        let mut packet = PacketBuf::with_capacity(8);
        let set_length: [fn(&mut PacketBuf); 3] = [
            |p| p.set_len(1),
            |p| p.resize(9),
            |p| p.copy_from_slice(b"b"),
        ];
        for set_length in set_length {
            packet.set_meta(partial);
            assert_eq!(packet.meta(), partial);
            set_length(&mut packet);
            assert_eq!(packet.meta(), Meta::default());
        }
    }

    #[test]
    #[should_panic(expected = "a packet of 9 bytes in a buffer of 8")]
    fn set_len_beyond_the_storage_panics() {
        PacketBuf::with_capacity(8).set_len(9);
    }
}
