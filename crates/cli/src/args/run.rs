use super::common::{Common, Observe, check_mtu};
use clap::Args;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// Run a command in a network namespace whose network is brooklet.
///
/// The packets of the namespace become connections and datagrams of the host. Inside, 10.77.0.1 and
/// fd77::1 are the host: its loopback, and on port 53 its name server. As root, or where user
/// namespaces are allowed and /dev/net/tun can be opened; without root, COMMAND sees itself as root.
#[derive(Args, Clone, Debug)]
#[command(
    override_usage = "brooklet run [FLAG...] [--] COMMAND [ARGUMENT...]",
    after_help = "\
The exit status is COMMAND's, or 128 and the number of the signal that ended it; 127 when it was
not found, 126 when it cannot be executed, 125 when run itself fails. SIGUSR1 prints the counters."
)]
pub(crate) struct Run {
    /// Command with its arguments; the flags after it are its own
    #[arg(
        value_names = ["COMMAND", "ARGUMENT"],
        trailing_var_arg = true,
        num_args = 1..,
        required_unless_present = "netns",
        value_hint = clap::ValueHint::CommandWithArguments,
    )]
    pub(crate) command: Vec<OsString>,
    /// MTU of the namespace's device in bytes, 1280 to 65535
    #[arg(long, value_name = "N", default_value_t = 65_520)]
    pub(crate) mtu: u16,
    /// Forward a port of the host into the namespace: [ADDRESS:]PORT:PORT[/udp]; may be repeated
    #[arg(short, long, value_name = "SPEC")]
    pub(crate) publish: Vec<String>,
    /// Network namespace that exists already, by its name or its path
    #[arg(long, value_name = "NAME|PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) netns: Option<PathBuf>,
    /// File descriptor to write a byte to when the network is up
    #[arg(long, value_name = "FD")]
    pub(crate) ready_fd: Option<i32>,
    /// Name server of the namespace (default: the host's, through 10.77.0.1)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Option<IpAddr>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) observe: Observe,
}

impl Run {
    pub(super) fn check(&self) -> Result<(), String> {
        check_mtu(self.mtu, &self.common)?;
        self.observe.check()
    }
}
