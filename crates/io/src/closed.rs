use std::{error::Error, fmt, io};

/// The error of every call on a stack whose driver has ended.
///
/// The calls return it inside an [`io::Error`] of the kind
/// [`NetworkDown`](io::ErrorKind::NetworkDown).
///
/// ```
/// use brooklet_io::StackClosed;
/// use std::io;
///
/// let error = io::Error::from(StackClosed);
/// assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<StackClosed>()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StackClosed;

impl fmt::Display for StackClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the driver of the network stack has ended; build a new stack to go on")
    }
}

impl Error for StackClosed {}

impl From<StackClosed> for io::Error {
    fn from(error: StackClosed) -> Self {
        Self::new(io::ErrorKind::NetworkDown, error)
    }
}
