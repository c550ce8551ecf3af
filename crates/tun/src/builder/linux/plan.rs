//! How to attach to a device that is there, or to make it.

use super::netlink::TunInfo;
use crate::builder::settings::Settings;
use rustix::io::Errno;
use std::io;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) multi_queue: bool,
    offload: bool,
    note: Option<&'static str>,
}

impl Plan {
    pub(super) fn new(wanted: &Settings, present: Option<TunInfo>) -> io::Result<Self> {
        // Each attachment sets whether there are virtio-net headers; whether there are several
        // queues is set once, when the device is made. An attachment beside others must have the
        // headers that these have.
        let shared = present.filter(|link| link.multi_queue && link.queues > 0);
        let plan = Self {
            multi_queue: wanted.queues > 1 || present.is_some_and(|link| link.multi_queue),
            offload: shared.map_or_else(|| wanted.wants_offload(), |link| link.vnet_hdr),
            note: None,
        };
        if shared.is_some_and(|link| link.packet_info != wanted.packet_info) {
            let (others, advice) = match wanted.packet_info {
                true => ("without", "leave `packet_info` out"),
                false => ("with", "open this one with `packet_info`"),
            };
            return Err(wanted.error(
                io::ErrorKind::ResourceBusy,
                format_args!(
                    "other queues of it are open {others} packet information: {advice}, or close \
                     those"
                ),
            ));
        }
        match (wanted.wants_offload(), plan.offload) {
            (true, false) => Ok(Self {
                note: Some("other queues of it are open without"),
                ..plan
            }),
            (false, true) => Err(wanted.error(
                io::ErrorKind::ResourceBusy,
                "other queues of it are open with segmentation offload: open this one with \
                 offload as well, or close those",
            )),
            _ => Ok(plan),
        }
    }

    /// Opens with offload, and without where the kernel has none. The second value says why the
    /// device is without offload though it was wanted.
    pub(super) fn carry_out<T>(
        &self,
        open: impl Fn(bool) -> io::Result<T>,
    ) -> (io::Result<T>, Option<&'static str>) {
        let first = open(self.offload);
        match first {
            Err(error) if self.offload && may_be_about_offload(&error) => {
                (open(false), Some("the kernel has none for TUN devices"))
            }
            first => (first, self.note),
        }
    }
}

fn may_be_about_offload(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: TunInfo = TunInfo {
        multi_queue: true,
        packet_info: false,
        vnet_hdr: true,
        queues: 1,
    };

    fn plan(offload: bool, queues: usize, present: Option<TunInfo>) -> io::Result<Plan> {
        let mut wanted = Settings::new("tun3".into());
        (wanted.offload, wanted.queues) = (offload, queues);
        Plan::new(&wanted, present)
    }

    #[test]
    fn a_device_is_attached_to_as_it_was_made() {
        let plain = TunInfo {
            multi_queue: false,
            queues: 0,
            ..OTHERS
        };
        let idle = TunInfo {
            queues: 0,
            ..OTHERS
        };
        for (present, queues, wanted) in [
            (None, 1, false),
            (None, 2, true),
            (Some(plain), 1, false),
            (Some(idle), 1, true),
            (Some(idle), 2, true),
        ] {
            for offload in [false, true] {
                let wanted = Plan {
                    multi_queue: wanted,
                    offload,
                    note: None,
                };
                let got = plan(offload, queues, present).unwrap();
                assert_eq!(got, wanted, "{queues} of {present:?}");
            }
        }
    }

    #[test]
    fn a_later_queue_has_the_offload_of_the_open_ones() {
        let without = TunInfo {
            vnet_hdr: false,
            ..OTHERS
        };
        assert!(plan(true, 1, Some(OTHERS)).unwrap().offload);
        assert!(!plan(false, 1, Some(without)).unwrap().offload);
        let plain = plan(true, 1, Some(without)).unwrap();
        assert!(!plain.offload && plain.note.is_some_and(|note| note.contains("other queues")));
        let error = plan(false, 1, Some(OTHERS)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("with offload"), "{error}");
    }

    #[test]
    fn a_later_queue_has_the_packet_information_of_the_open_ones() {
        let with = TunInfo {
            packet_info: true,
            vnet_hdr: false,
            ..OTHERS
        };
        let mut wanted = Settings::new("tun3".into());
        wanted.packet_info = true;
        assert!(Plan::new(&wanted, Some(with)).is_ok());
        let error = Plan::new(&wanted, Some(OTHERS)).unwrap_err();
        assert!(error.to_string().contains("without packet"), "{error}");
        wanted.packet_info = false;
        let error = Plan::new(&wanted, Some(with)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("with `packet_info`"), "{error}");
    }

    #[test]
    fn packet_information_goes_without_offload() {
        let mut wanted = Settings::new("tun3".into());
        wanted.packet_info = true;
        let plan = Plan::new(&wanted, None).unwrap();
        assert!(!plan.offload && plan.note.is_none());
    }

    #[test]
    fn a_kernel_without_offload_is_asked_again_without() {
        let plan = plan(true, 1, None).unwrap();
        let without = |offload| match offload {
            true => Err(Errno::INVAL.into()),
            false => Ok(()),
        };
        let (opened, note) = plan.carry_out(without);
        opened.unwrap();
        assert!(note.unwrap().contains("kernel"));
        let (opened, note) = plan.carry_out(|_| Ok(()));
        opened.unwrap();
        assert_eq!(note, None);

        let calls = std::cell::Cell::new(0);
        let (opened, _) = plan.carry_out(|_| {
            calls.set(calls.get() + 1);
            io::Result::<()>::Err(Errno::PERM.into())
        });
        assert_eq!(
            opened.unwrap_err().raw_os_error(),
            Some(Errno::PERM.raw_os_error())
        );
        assert_eq!(calls.get(), 1, "offload is not what it lacks");
    }
}
