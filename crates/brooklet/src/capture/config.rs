/// The settings of a [`Capture`](crate::generic::Capture).
///
/// ```
/// use brooklet::CaptureConfig;
///
/// // The headers only.
/// let config = CaptureConfig::new().snap_len(128);
/// assert_eq!(config.buffer, 4 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct CaptureConfig {
    /// The most bytes that are kept of a packet. Default 262,144, which is more than any packet
    /// has. The length of the packet is kept beside them.
    pub snap_len: usize,
    /// The most bytes that wait for the program, in the form of the file. Default 4 MiB, at least
    /// 128 KiB, so that the longest packet has room. A packet that finds no room is lost to the
    /// capture, and counted.
    pub buffer: usize,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            snap_len: 1 << 18,
            buffer: 4 << 20,
        }
    }
}

impl CaptureConfig {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`snap_len`](Self#structfield.snap_len).
    #[must_use]
    pub fn snap_len(mut self, snap_len: usize) -> Self {
        self.snap_len = snap_len;
        self
    }

    /// Sets [`buffer`](Self#structfield.buffer).
    #[must_use]
    pub fn buffer(mut self, buffer: usize) -> Self {
        self.buffer = buffer;
        self
    }
}
