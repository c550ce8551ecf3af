//! The programs that are compared.

use crate::results::Entrant;

/// In this order in the tables.
pub(crate) const ALL: &[Relay] = &[
    RUN,
    RUN_1500,
    RUN_PLAIN,
    RUN_1500_PLAIN,
    Relay {
        key: "pasta",
        name: "pasta",
        about: "`pasta --config-net` of Debian's package `passt`, with its default MTU of 65,520 bytes; no \
                ports are forwarded.",
        route: Route::Pasta(65_520),
    },
    Relay {
        key: "pasta-1500",
        name: "pasta, 1500",
        about: "the same with `--mtu 1500`.",
        route: Route::Pasta(1500),
    },
    Relay {
        key: "slirp4netns",
        name: "slirp4netns",
        about: "`slirp4netns --configure --mtu 65520` of Debian's package.",
        route: Route::Slirp4netns(65_520),
    },
    Relay {
        key: "slirp4netns-1500",
        name: "slirp4netns, 1500",
        about: "the same with its default MTU of 1,500 bytes.",
        route: Route::Slirp4netns(1500),
    },
    FORWARD,
    FORWARD_OFFLOAD,
    Relay {
        key: "tun2proxy",
        name: "tun2proxy",
        about: "version 0.8.7 of the registry, with `--proxy none`, so that it connects directly as `forward` does, and \
                `--max-sessions 4096`. The MTU is 1,500 bytes.",
        route: Route::Tun2proxy,
    },
    Relay {
        key: "direct",
        name: "direct",
        about: "no relay: the client is where the relays have their sockets. CPU and memory are the server's.",
        route: Route::Direct,
    },
];

/// These take part only where `--before` names an earlier program.
pub(crate) const BEFORE: &[Relay] = &[
    RUN.before("run-before", "run before"),
    RUN_1500.before("run-1500-before", "run before, 1500"),
    RUN_PLAIN.before("run-plain-before", "run before, plain"),
    RUN_1500_PLAIN.before("run-1500-plain-before", "run before, 1500, plain"),
    FORWARD.before("forward-before", "forward before"),
    FORWARD_OFFLOAD.before("forward-offload-before", "forward before, offload"),
];

const RUN: Relay = Relay {
    key: "run",
    name: "run",
    about: "`brooklet run` with its default MTU of 65,520 bytes, and with segmentation offload.",
    route: Route::Run(Revision::Now, &[]),
};

const RUN_1500: Relay = Relay {
    key: "run-1500",
    name: "run, 1500",
    about: "the same with `--mtu 1500`.",
    route: Route::Run(Revision::Now, &["--mtu", "1500"]),
};

const RUN_PLAIN: Relay = Relay {
    key: "run-plain",
    name: "run, plain",
    about: "the same with `--no-offload` and the default MTU.",
    route: Route::Run(Revision::Now, &["--no-offload"]),
};

const RUN_1500_PLAIN: Relay = Relay {
    key: "run-1500-plain",
    name: "run, 1500, plain",
    about: "the same with `--mtu 1500 --no-offload`.",
    route: Route::Run(Revision::Now, &["--mtu", "1500", "--no-offload"]),
};

const FORWARD: Relay = Relay {
    key: "forward",
    name: "forward",
    about: "`brooklet forward --mtu 1500`.",
    route: Route::Forward(Revision::Now, &["--mtu", "1500"]),
};

const FORWARD_OFFLOAD: Relay = Relay {
    key: "forward-offload",
    name: "forward, offload",
    about: "the same with `--offload`.",
    route: Route::Forward(Revision::Now, &["--mtu", "1500", "--offload"]),
};

/// A program, and how the client's packets reach it.
#[derive(Debug)]
pub(crate) struct Relay {
    /// By this it is asked for.
    pub(crate) key: &'static str,
    name: &'static str,
    about: &'static str,
    pub(crate) route: Route,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Route {
    /// No program.
    Direct,
    /// `brooklet run` with these flags.
    Run(Revision, &'static [&'static str]),
    /// `brooklet forward` with these flags.
    Forward(Revision, &'static [&'static str]),
    /// With this MTU.
    Pasta(u16),
    Slirp4netns(u16),
    Tun2proxy,
}

/// Which of brooklet's programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Revision {
    Now,
    Before,
}

impl Relay {
    const fn before(&self, key: &'static str, name: &'static str) -> Self {
        let route = match self.route {
            Route::Run(_, flags) => Route::Run(Revision::Before, flags),
            Route::Forward(_, flags) => Route::Forward(Revision::Before, flags),
            _ => panic!("only brooklet has an earlier revision"),
        };
        Self {
            key,
            name,
            about: "the same of the program that `--before` names.",
            route,
        }
    }

    /// The form of now, for one of the earlier revision.
    pub(crate) fn successor(&self) -> Option<&'static Self> {
        let route = match self.route {
            Route::Run(Revision::Before, flags) => Route::Run(Revision::Now, flags),
            Route::Forward(Revision::Before, flags) => Route::Forward(Revision::Now, flags),
            _ => return None,
        };
        ALL.iter().find(|relay| relay.route == route)
    }
}

impl Entrant for Relay {
    fn key(&self) -> &'static str {
        self.key
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn is_brooklet(&self) -> bool {
        matches!(
            self.route,
            Route::Run(Revision::Now, _) | Route::Forward(Revision::Now, _)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_key_is_one_relay_and_one_word() {
        let keys: HashSet<_> = ALL.iter().chain(BEFORE).map(|relay| relay.key).collect();
        assert_eq!(keys.len(), ALL.len() + BEFORE.len());
        assert!(keys.iter().all(|key| !key.contains([',', ' '])));
    }

    #[test]
    fn each_form_of_brooklet_has_one_of_before() {
        let forms = ALL.iter().filter(|relay| relay.is_brooklet()).count();
        assert_eq!(forms, BEFORE.len());
        for before in BEFORE {
            let now = before.successor().unwrap();
            assert_eq!(before.key, format!("{}-before", now.key));
        }
    }
}
