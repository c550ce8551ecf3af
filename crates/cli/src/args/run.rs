use super::common::{Common, Observe, check_mtu};
use super::publish::Publish;
use super::timeouts::Timeouts;
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
    override_usage = "brooklet run [FLAG...] [--] COMMAND [ARGUMENT...]
       brooklet run [FLAG...] --netns PID|NAME|PATH",
    after_help = "\
The exit status is COMMAND's, or 128 and the number of the signal that ended it; 127 when it was
not found, 126 when it cannot be executed, 125 when run itself fails. SIGTERM, SIGHUP, SIGINT and
SIGQUIT go to COMMAND, and so --rules is read once; SIGUSR1 prints the counters. With --netns the exit
status is 0, and SIGHUP reads --rules again."
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
    /// MTU of the namespace's device in bytes, 1280 to 65535; packets other than TCP have at most 1500
    #[arg(long, value_name = "N", default_value_t = 65_520)]
    pub(crate) mtu: u16,
    /// Take and hand over packets of at most --mtu, with checksums (default: packets of up to 64 KiB
    /// without checksums, which is faster)
    #[arg(long)]
    pub(crate) no_offload: bool,
    /// Forward ports of the host into the namespace, such as `8080:80`,
    /// `0.0.0.0:8000-8010:8000-8010` or `[::1]:5353:53/udp`; may be repeated
    ///
    /// Without an address, the loopback addresses 127.0.0.1 and ::1 of the host. The programs inside
    /// see the gateway as the client, and listen on every address of theirs: one that listens on
    /// 127.0.0.1 alone is not reached.
    #[arg(short, long, value_name = "[ADDRESS:]HOSTPORT:PORT[/udp]")]
    pub(crate) publish: Vec<Publish>,
    /// Serve a network namespace that exists, in place of a COMMAND: that of a process, a name of
    /// `ip netns`, or a path
    ///
    /// Ends with the process, or by SIGTERM or SIGINT. /etc/resolv.conf of the programs inside is left
    /// alone: name 10.77.0.1 there.
    #[arg(long, value_name = "PID|NAME|PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) netns: Option<OsString>,
    /// User namespace that owns --netns (default: that of the process, for users other than root)
    #[arg(long, value_name = "PATH", requires = "netns", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) userns: Option<PathBuf>,
    /// File descriptor to write a `1` to when the network of --netns is up
    #[arg(long, value_name = "FD", requires = "netns")]
    pub(crate) ready_fd: Option<i32>,
    /// Name server behind 10.77.0.1 and fd77::1 (default: the first of the host's /etc/resolv.conf)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Option<IpAddr>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) timeouts: Timeouts,
    #[command(flatten)]
    pub(crate) observe: Observe,
}

impl Run {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.netns.is_some() && !self.command.is_empty() {
            return Err(
                "--netns serves a namespace and starts no command: leave COMMAND out".into(),
            );
        }
        check_mtu(self.mtu, &self.common)
    }
}
