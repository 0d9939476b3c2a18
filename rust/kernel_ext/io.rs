// SPDX-License-Identifier: GPL-2.0

//! Memory-mapped registers of a PCI function that may be shared and kept by reference count.
//!
//! The kernel crate's `pci::Bar` lives no longer than the driver's binding, which rules it out for
//! data that the block layer holds. [`Mmio`] keeps its mapping, its claim on the region and the
//! device structure until the last reference goes.
//!
//! C headers: `include/linux/pci.h`, `include/asm-generic/io.h`.

use crate::{bindings, raw};
use core::ptr::NonNull;
use kernel::{
    device::Bound,
    pci,
    prelude::*,
    str::CString,
    sync::{aref::ARef, Arc},
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;
mod window;

pub use self::window::{MemoryBar, Window};

/// Where registers are.
enum Home {
    /// In a BAR, whose mapping and claim are to be undone.
    Bar {
        pdev: ARef<pci::Device>,
        bar: i32,
        /// The claim refers to it for as long as it stands.
        _name: CString,
    },
    /// In memory, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    Memory { _words: KVec<u32> },
}

/// A memory BAR of a PCI function, claimed and mapped whole.
///
/// Accesses may be made from any context. After the device is unbound they reach whatever decodes
/// the addresses then, as the region stays claimed: nobody, unless the device itself is enabled.
///
/// # Invariants
///
/// `base` is the address of `len` bytes mapped by `pci_ioremap_bar` for the memory BAR that `home`
/// names; the mapping and the claim on the region belong to this object until it is dropped. In
/// tests it may be the address of the memory in `home` instead.
pub struct Mmio {
    home: Home,
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: The mapping may be used and undone from any CPU and task.
unsafe impl Send for Mmio {}
// SAFETY: All methods make single volatile accesses of machine words, which need no exclusion.
unsafe impl Sync for Mmio {}

impl Mmio {
    /// Claims and maps memory BAR `bar` of `pdev` under the name `name` (shown in /proc/iomem).
    ///
    /// May sleep. Fails with `ENODEV` if there is no such memory BAR, `EBUSY` if somebody else has
    /// claimed it, `ENOMEM` if it cannot be mapped.
    pub fn map(pdev: &pci::Device<Bound>, bar: u32, name: CString) -> Result<Arc<Self>> {
        let len = usize::try_from(pdev.resource_len(bar)?)?;
        let bar = i32::try_from(bar)?;
        if len == 0 {
            return Err(ENODEV);
        }
        let raw = raw::pci_dev(pdev);
        // SAFETY: `raw` is a valid device; `resource_len` has checked `bar`; `name` stays in place
        // until the claim is given up: here, or in drop.
        if unsafe { bindings::pci_request_region(raw, bar, name.as_char_ptr()) } != 0 {
            return Err(EBUSY);
        }
        // SAFETY: As above. A BAR that is not memory gives a null pointer.
        let base = unsafe { bindings::pci_ioremap_bar(raw, bar) };
        let Some(base) = NonNull::new(base.cast::<u8>()) else {
            // SAFETY: The region was claimed above.
            unsafe { bindings::pci_release_region(raw, bar) };
            return Err(ENOMEM);
        };
        // INVARIANT: Mapped and claimed just now; if the allocation fails, drop undoes both.
        Ok(Arc::new(
            Mmio {
                home: Home::Bar {
                    pdev: pdev.into(),
                    bar,
                    _name: name,
                },
                base,
                len,
            },
            GFP_KERNEL,
        )?)
    }

    /// Registers that are memory, `words` at first, for tests: what is written can be read back.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn over_memory(mut words: KVec<u32>) -> Result<Arc<Self>> {
        let len = words.len().checked_mul(4).ok_or(EINVAL)?;
        let base = NonNull::new(words.as_mut_ptr().cast::<u8>()).ok_or(EINVAL)?;
        let home = Home::Memory { _words: words };
        Ok(Arc::new(Mmio { home, base, len }, GFP_KERNEL)?)
    }

    /// The size of the mapping in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether these are the registers in BAR `bar` of `pdev`.
    fn is_bar(&self, pdev: &pci::Device<Bound>, bar: i32) -> bool {
        match &self.home {
            Home::Bar {
                pdev: own,
                bar: claimed,
                ..
            } => raw::pci_dev(own) == raw::pci_dev(pdev) && *claimed == bar,
            #[cfg(CONFIG_KUNIT = "y")]
            Home::Memory { .. } => false,
        }
    }

    /// Whether the mapping is empty; it never is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of the 32-bit register at byte `offset`, if it is aligned and inside.
    #[inline]
    fn register(&self, offset: usize) -> Result<NonNull<u8>> {
        let end = offset.checked_add(4).ok_or(EINVAL)?;
        if end > self.len || offset % 4 != 0 {
            return Err(EINVAL);
        }
        // SAFETY: `offset` is inside the mapping by the check above and the type's invariant.
        Ok(unsafe { self.base.add(offset) })
    }

    /// Reads the 32-bit little-endian register at byte `offset`; `EINVAL` outside the mapping.
    pub fn read32(&self, offset: usize) -> Result<u32> {
        let register = self.register(offset)?;
        #[cfg(CONFIG_KUNIT = "y")]
        if let Home::Memory { .. } = self.home {
            // SAFETY: `register` is the aligned address of a word in memory of ours.
            return Ok(unsafe { register.cast().read_volatile() });
        }
        // SAFETY: `register` is an aligned, mapped device address.
        Ok(unsafe { bindings::readl(register.as_ptr().cast()) })
    }

    /// Reads the 64-bit little-endian register at byte `offset`, low half first.
    ///
    /// `EINVAL` outside the mapping. Two 32-bit reads: every 64-bit NVMe-style register allows
    /// them, and some bridges allow nothing wider.
    pub fn read64(&self, offset: usize) -> Result<u64> {
        let high = offset.checked_add(4).ok_or(EINVAL)?;
        let low = self.read32(offset)?;
        Ok(u64::from(low) | u64::from(self.read32(high)?) << 32)
    }

    /// Writes the 32-bit little-endian register at byte `offset`; `EINVAL` outside the mapping.
    ///
    /// Ordered after every earlier write to memory, DMA memory included.
    pub fn write32(&self, offset: usize, value: u32) -> Result {
        let register = self.register(offset)?;
        #[cfg(CONFIG_KUNIT = "y")]
        if let Home::Memory { .. } = self.home {
            // SAFETY: `register` is the aligned address of a word in memory of ours.
            unsafe { register.cast().write_volatile(value) };
            return Ok(());
        }
        // SAFETY: `register` is an aligned, mapped device address.
        unsafe { bindings::writel(value, register.as_ptr().cast()) };
        Ok(())
    }

    /// Writes the 64-bit little-endian register at byte `offset`, low half first.
    pub fn write64(&self, offset: usize, value: u64) -> Result {
        let high = offset.checked_add(4).ok_or(EINVAL)?;
        self.register(high)?;
        self.write32(offset, value as u32)?;
        self.write32(high, (value >> 32) as u32)
    }

    /// The write-only register at byte `offset`, checked once for all later writes.
    pub fn doorbell(self: &Arc<Self>, offset: usize) -> Result<Doorbell> {
        let register = self.register(offset)?;
        // INVARIANT: `register` is checked, and the mapping stays as long as `_mmio`.
        Ok(Doorbell {
            _mmio: self.clone(),
            register,
        })
    }
}

impl Drop for Mmio {
    fn drop(&mut self) {
        match &self.home {
            // SAFETY: By the invariant the mapping and the claim are this object's to undo.
            Home::Bar { pdev, bar, .. } => unsafe {
                bindings::iounmap(self.base.as_ptr().cast());
                bindings::pci_release_region(raw::pci_dev(pdev), *bar);
            },
            #[cfg(CONFIG_KUNIT = "y")]
            Home::Memory { .. } => {}
        }
    }
}

/// One 32-bit register that is only written, often, from any context.
///
/// # Invariants
///
/// `register` is the aligned address of four bytes inside the mapping of `_mmio`.
pub struct Doorbell {
    _mmio: Arc<Mmio>,
    register: NonNull<u8>,
}

// SAFETY: The mapping may be used from any CPU and task.
unsafe impl Send for Doorbell {}
// SAFETY: Writing is one volatile store of a machine word, which needs no exclusion.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    /// Writes `value`, ordered after every earlier write to memory, DMA memory included.
    #[inline]
    pub fn ring(&self, value: u32) {
        // On x86-64 stores are seen by a device in the order in which they are made, so all it
        // takes is that the compiler keeps that order: the kernel's writel, without the call that
        // reaching it from Rust costs.
        #[cfg(CONFIG_X86_64)]
        {
            core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Release);
            // SAFETY: By the invariant this is an aligned, mapped device address.
            unsafe { self.register.as_ptr().cast::<u32>().write_volatile(value) };
        }
        #[cfg(not(CONFIG_X86_64))]
        // SAFETY: By the invariant this is an aligned, mapped device address.
        unsafe {
            bindings::writel(value, self.register.as_ptr().cast())
        };
    }
}
