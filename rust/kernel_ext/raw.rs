// SPDX-License-Identifier: GPL-2.0

//! From the kernel crate's types to the C structures that they are.
//!
//! The kernel crate keeps its `as_raw` methods to itself. Its device types are documented as
//! `repr(transparent)` wrappers of the C structure, so a cast of the reference is the pointer.

use crate::bindings;
use kernel::{device, pci};

/// The `struct device` behind `dev`.
#[inline]
pub(crate) fn device<C: device::DeviceContext>(dev: &device::Device<C>) -> *mut bindings::device {
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// The `struct pci_dev` behind `pdev`.
#[inline]
pub(crate) fn pci_dev<C: device::DeviceContext>(pdev: &pci::Device<C>) -> *mut bindings::pci_dev {
    core::ptr::from_ref(pdev).cast_mut().cast()
}
