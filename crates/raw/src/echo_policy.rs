//! What happens to echo requests.

use brooklet_packet::icmp::Unreachable;
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;

/// What happens to an ICMP echo request.
///
/// ```
/// use brooklet_packet::icmp::Unreachable;
/// use brooklet_raw::EchoAction;
///
/// let action = EchoAction::Reject(Unreachable::Host);
/// assert_eq!(action.to_string(), "reject: host unreachable");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum EchoAction {
    /// The stack answers in the name of the destination.
    Answer,
    /// The [`IcmpSocket`](crate::IcmpSocket) receives the request. Without a socket that takes echo
    /// requests, the request is dropped and counted.
    Deliver,
    /// The request is dropped without an answer, and counted.
    Ignore,
    /// The stack answers with an ICMP error, within its rate limit.
    Reject(Unreachable),
}

impl fmt::Display for EchoAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("answer"),
            Self::Deliver => f.write_str("deliver"),
            Self::Ignore => f.write_str("ignore"),
            Self::Reject(why) => write!(f, "reject: {why}"),
        }
    }
}

/// A function from the destination of an echo request to the action.
#[derive(Clone)]
pub(crate) struct EchoPolicy(Arc<dyn Fn(IpAddr) -> EchoAction + Send + Sync>);

impl EchoPolicy {
    pub(crate) fn new(policy: impl Fn(IpAddr) -> EchoAction + Send + Sync + 'static) -> Self {
        Self(Arc::new(policy))
    }

    /// The action for a request. A policy that panics ignores the request: the caller is the
    /// driver, which has more to do than this request.
    pub(crate) fn action(&self, destination: IpAddr) -> EchoAction {
        let action = catch_unwind(AssertUnwindSafe(|| (self.0)(destination)));
        action.unwrap_or(EchoAction::Ignore)
    }
}

// The function is called while no cell is held, so a function that panics leaves nothing half done.
impl UnwindSafe for EchoPolicy {}
impl RefUnwindSafe for EchoPolicy {}

impl fmt::Debug for EchoPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EchoPolicy")
    }
}
