//! In preparation.
/// In preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey;
impl FlowKey {
    /// In preparation.
    pub fn new(_: std::net::SocketAddr, _: std::net::SocketAddr) -> Option<Self> { Some(Self) }
}
