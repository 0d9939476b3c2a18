// SPDX-License-Identifier: GPL-2.0

//! What a PCI driver needs beyond the kernel crate's `pci`: undoing what enabling did.
//!
//! C header: `include/linux/pci.h`.

use crate::{bindings, raw};
use kernel::{
    device::{Bound, Core},
    devres,
    error::to_result,
    pci,
    prelude::*,
    sync::aref::ARef,
};

/// What [`enable`] leaves with devres; its drop undoes the enabling.
struct Enabled(ARef<pci::Device>);

impl Drop for Enabled {
    fn drop(&mut self) {
        // SAFETY: The device is valid, and was enabled once for this object.
        unsafe { bindings::pci_disable_device(raw::pci_dev(&self.0)) };
    }
}

/// Enables the memory decoding of `pdev`, until it is unbound.
///
/// `pci_disable_device`, which devres calls at unbind, also ends bus mastering. May sleep.
pub fn enable_until_unbind(pdev: &pci::Device<Core<'_>>) -> Result {
    // SAFETY: `pdev` is a valid device.
    to_result(unsafe { bindings::pci_enable_device_mem(raw::pci_dev(pdev)) })?;
    let bound: &pci::Device<Bound> = pdev;
    devres::register(bound.as_ref(), Enabled(pdev.into()), GFP_KERNEL)
}

/// The legacy interrupt line of a device, off while nobody serves it.
///
/// When this is dropped the line is on again, as the next driver expects to find it.
pub struct InterruptLine<'a> {
    pdev: &'a pci::Device<Bound>,
    restore: bool,
}

impl<'a> InterruptLine<'a> {
    /// Switches the line off. May sleep.
    pub fn off(pdev: &'a pci::Device<Bound>) -> Self {
        let line = InterruptLine {
            pdev,
            restore: true,
        };
        line.switch(false);
        line
    }

    /// Switches the line off again, after interrupt vectors have been freed. May sleep.
    pub fn off_again(&self) {
        self.switch(false);
    }

    /// Leaves the line off for good, for a device that may hold it and disturb others on it.
    pub fn leave_off(&mut self) {
        self.restore = false;
    }

    fn switch(&self, on: bool) {
        // SAFETY: `pdev` is a valid, bound device.
        unsafe { bindings::pci_intx(raw::pci_dev(self.pdev), i32::from(on)) };
    }
}

impl Drop for InterruptLine<'_> {
    fn drop(&mut self) {
        if self.restore {
            self.switch(true);
        }
    }
}

/// Ends bus mastering, and says whether the device's command register shows it ended.
///
/// After `true` the device can make no more DMA, whatever its own state is. May sleep.
pub fn clear_master(pdev: &pci::Device<Bound>) -> bool {
    let raw = raw::pci_dev(pdev);
    let mut command = u16::MAX;
    // SAFETY: `pdev` is a valid, bound device; `command` is only written during the call.
    let read = unsafe {
        bindings::pci_clear_master(raw);
        bindings::pci_read_config_word(raw, bindings::PCI_COMMAND as i32, &mut command)
    };
    // A device that is gone reads as all ones; it makes no DMA either.
    read != 0 || command == u16::MAX || u32::from(command) & bindings::PCI_COMMAND_MASTER == 0
}

/// How many queues are worth having: one per possible CPU.
pub fn possible_queues() -> u32 {
    // SAFETY: The function has no requirements; 0 asks for no limit.
    unsafe { bindings::blk_mq_num_possible_queues(0) }
}
