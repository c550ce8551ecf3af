//! The MTU of a stack, which follows its devices.

use brooklet_cell::{Flavor, Shared};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The MTU if neither the builder nor the device says one, in bytes.
const DEFAULT_MTU: usize = 1500;

/// The longest IPv4 packet, in bytes.
const MAX_MTU: usize = 65_535;

/// What the builder says of the MTU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MtuLimits {
    /// `None`: the MTU of the device.
    pub(crate) configured: Option<usize>,
    pub(crate) ipv6: bool,
}

impl MtuLimits {
    /// The MTU of a stack over devices with these MTUs.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the MTU is out of range.
    pub(crate) fn usable(self, devices: &[Option<usize>]) -> io::Result<usize> {
        let of_devices = devices.iter().copied().flatten().min();
        let mtu = match (self.configured, of_devices) {
            (Some(configured), Some(device)) => configured.min(device),
            (Some(configured), None) => configured,
            (None, device) => device.map_or(DEFAULT_MTU, |mtu| mtu.min(MAX_MTU)),
        };
        let (least, hint) = match self.ipv6 {
            true => (1280, ", or 576 to 65535 without IPv6"),
            false => (576, ""),
        };
        if !(least..=MAX_MTU).contains(&mtu) {
            let why = format!("an MTU of {mtu} is out of range; use {least} to 65535{hint}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(mtu)
    }
}

/// The MTU of a stack, which its drivers share.
pub(crate) struct StackMtu<F: Flavor> {
    limits: MtuLimits,
    /// The MTU of the device of each queue.
    devices: Shared<F, Vec<Option<usize>>>,
    current: Arc<AtomicUsize>,
}

impl<F: Flavor> StackMtu<F> {
    pub(crate) fn new(limits: MtuLimits, devices: Vec<Option<usize>>) -> io::Result<Self> {
        let current = limits.usable(&devices)?;
        Ok(Self {
            limits,
            devices: Shared::new(devices),
            current: Arc::new(AtomicUsize::new(current)),
        })
    }

    /// The MTU of the stack, in bytes.
    #[inline]
    pub(crate) fn get(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// Notes the MTU of the new device of a queue, and returns that of the stack if it changes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the MTU of the stack would be out of range:
    /// nothing has changed then.
    pub(crate) fn swap(&self, queue: u8, device: Option<usize>) -> io::Result<Option<usize>> {
        self.devices.with(|devices| {
            let Some(place) = devices.get_mut(usize::from(queue)) else {
                return Ok(None);
            };
            let old = std::mem::replace(place, device);
            match self.limits.usable(devices) {
                Ok(mtu) => {
                    let before = self.current.swap(mtu, Ordering::Relaxed);
                    Ok((before != mtu).then_some(mtu))
                }
                Err(error) => {
                    devices[usize::from(queue)] = old;
                    Err(error)
                }
            }
        })
    }
}

impl<F: Flavor> Clone for StackMtu<F> {
    fn clone(&self) -> Self {
        Self {
            limits: self.limits,
            devices: self.devices.clone(),
            current: self.current.clone(),
        }
    }
}

#[cfg(all(test, feature = "sync"))]
mod tests {
    use super::*;

    #[test]
    fn the_least_mtu_of_the_queues_counts_within_that_of_the_builder() {
        let limits = MtuLimits {
            configured: Some(1420),
            ipv6: true,
        };
        let devices = vec![Some(1500), Some(1500)];
        let mtu = StackMtu::<brooklet_cell::Threaded>::new(limits, devices).unwrap();
        assert_eq!(mtu.get(), 1420);
        assert_eq!(mtu.swap(0, Some(1400)).unwrap(), Some(1400));
        assert_eq!(mtu.swap(1, Some(9000)).unwrap(), None);
        assert_eq!(
            mtu.swap(1, Some(1279)).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(mtu.get(), 1400);
        assert_eq!(mtu.swap(0, None).unwrap(), Some(1420));
    }
}
