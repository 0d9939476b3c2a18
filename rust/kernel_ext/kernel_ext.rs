// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over kernel APIs that the kernel crate of Linux 7.3 lacks.
//!
//! The modules mirror the kernel crate's paths, so that each could be sent upstream as it is. This
//! crate knows nothing of NVMe; it is the only place of the module where `unsafe` is allowed.
//!
//! # Soundness rules of this crate
//!
//! - Nothing relies on a destructor running: what C code calls back into owns its data by
//!   reference count, or is tied to the device by devres, which undoes it at unbind.
//!   Coherent memory and register mappings are only kept by reference count, as the kernel crate's
//!   own coherent memory is: leaked, they outlive the binding, which `dma` and `io` say.
//! - Raw pointers to C structures come from the kernel crate's `repr(transparent)` types, by the
//!   casts in [`raw`] alone.
//! - What a device can write is never seen through a reference: only whole machine words are
//!   copied out of DMA memory, each by one volatile access.
//! - Macros of this crate never place a caller's tokens inside `unsafe`; there are none today.

#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

mod bindings;
mod raw;

pub mod block;
pub mod dma;
pub mod io;
pub mod irq;
#[cfg(CONFIG_KUNIT = "y")]
pub mod kunit;
#[cfg(rnvme_self_test)]
pub mod mistakes;
pub mod numa;
pub mod pci;
pub mod sync;
pub mod sysfs;
