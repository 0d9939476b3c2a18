// SPDX-License-Identifier: GPL-2.0

//! Memory of a PCI function's own, seen through a BAR.
//!
//! Mapped with write combining where the BAR is prefetchable: what is written in a row crosses the
//! bus in one go, and in no order that counts until [`Window::flush`]. A BAR that is not
//! prefetchable is mapped as registers are.
//!
//! C headers: `include/linux/pci.h`, `include/linux/io.h`.

use super::Mmio;
use crate::{bindings, raw};
use core::{mem::size_of, ptr::NonNull};
use kernel::{
    device::Bound,
    pci,
    prelude::*,
    str::CString,
    sync::{aref::ARef, Arc},
};

/// BARs of a PCI function, numbered from 0 on.
const BARS: u32 = 6;

/// A BAR that is memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBar {
    /// Its length in bytes; not 0.
    pub len: u64,
    /// Where the device sees it: its address on the bus.
    pub bus_address: u64,
    prefetchable: bool,
}

impl MemoryBar {
    /// What BAR `bar` of `pdev` is; none unless it is memory.
    pub fn of(pdev: &pci::Device<Bound>, bar: u32) -> Option<Self> {
        if bar >= BARS {
            return None;
        }
        let mut found = MemoryBar {
            len: 0,
            bus_address: 0,
            prefetchable: false,
        };
        // SAFETY: `pdev` is a valid, bound device and has so many BARs; the places are only written
        // during the call.
        let memory = unsafe {
            bindings::ext_memory_bar(
                raw::pci_dev(pdev),
                bar as i32,
                &mut found.len,
                &mut found.bus_address,
                &mut found.prefetchable,
            )
        };
        memory.then_some(found)
    }
}

/// What a window is mapped for.
enum Home {
    /// A BAR, whose mapping and claim are to be undone.
    Bar {
        pdev: ARef<pci::Device>,
        /// The claim on it, if it is this object's, with the name that the claim refers to.
        claimed: Option<(i32, CString)>,
        /// Whoever has claimed it otherwise.
        _registers: Arc<Mmio>,
    },
    /// Memory of ours, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    Memory { _words: KVec<u64> },
}

/// Part of a memory BAR, claimed and mapped, written in 64-bit words.
///
/// It may be written from any context. After the device is unbound a write reaches whatever decodes
/// the addresses then, as the region stays claimed: nobody, unless the device itself is enabled.
///
/// # Invariants
///
/// `base` is the aligned address of `words` words mapped for what `home` names, and the mapping
/// belongs to this object until it is dropped.
pub struct Window {
    home: Home,
    base: NonNull<u64>,
    words: usize,
    bus_address: u64,
}

// SAFETY: The mapping may be used and undone from any CPU and task.
unsafe impl Send for Window {}
// SAFETY: All methods make single volatile accesses of machine words, which need no exclusion.
unsafe impl Sync for Window {}

impl Window {
    /// Maps `words` words from byte `offset` on of memory BAR `bar` of `pdev`, and claims that BAR
    /// under the name `name` (shown in /proc/iomem), unless `registers` are in it and have it
    /// claimed.
    ///
    /// May sleep. `ENODEV` if there is no such memory BAR, `EINVAL` if that is not within it or not
    /// of whole words, `EBUSY` if somebody else has claimed it, `ENOMEM` if it cannot be mapped.
    pub fn map(
        pdev: &pci::Device<Bound>,
        registers: &Arc<Mmio>,
        bar: u32,
        offset: u64,
        words: usize,
        name: CString,
    ) -> Result<Arc<Self>> {
        let memory = MemoryBar::of(pdev, bar).ok_or(ENODEV)?;
        let len = words.checked_mul(size_of::<u64>()).ok_or(EINVAL)?;
        let end = offset.checked_add(u64::try_from(len)?).ok_or(EINVAL)?;
        if len == 0 || end > memory.len || offset % size_of::<u64>() as u64 != 0 {
            return Err(EINVAL);
        }
        let raw = raw::pci_dev(pdev);
        let (index, from) = (i32::try_from(bar)?, usize::try_from(offset)?);
        let shared = registers.is_bar(pdev, index);
        // SAFETY: `raw` is a valid device with this BAR; `name` stays in place until the claim is
        // given up: here, or in drop.
        if !shared && unsafe { bindings::pci_request_region(raw, index, name.as_char_ptr()) } != 0 {
            return Err(EBUSY);
        }
        // SAFETY: The device is valid. What does not fit the BAR was refused above.
        let base = unsafe {
            if memory.prefetchable {
                bindings::pci_iomap_wc_range(raw, index, from, len)
            } else {
                bindings::pci_iomap_range(raw, index, from, len)
            }
        };
        let Some(base) = NonNull::new(base.cast::<u64>()) else {
            if !shared {
                // SAFETY: The region was claimed above.
                unsafe { bindings::pci_release_region(raw, index) };
            }
            return Err(ENOMEM);
        };
        // INVARIANT: Mapped just now, and a BAR is aligned to its size, which is a power of two of
        // 16 at least; if the allocation fails, drop undoes it.
        Ok(Arc::new(
            Window {
                home: Home::Bar {
                    pdev: pdev.into(),
                    claimed: (!shared).then_some((index, name)),
                    _registers: registers.clone(),
                },
                base,
                words,
                bus_address: memory.bus_address.wrapping_add(offset),
            },
            GFP_KERNEL,
        )?)
    }

    /// A window on memory of ours, `words` at first, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn over_memory(mut words: KVec<u64>) -> Result<Arc<Self>> {
        let base = NonNull::new(words.as_mut_ptr()).ok_or(EINVAL)?;
        let window = Window {
            base,
            words: words.len(),
            bus_address: base.as_ptr() as u64,
            home: Home::Memory { _words: words },
        };
        Ok(Arc::new(window, GFP_KERNEL)?)
    }

    /// The address of the first word as the device has it.
    #[inline]
    pub fn bus_address(&self) -> u64 {
        self.bus_address
    }

    /// How many words there are.
    #[inline]
    pub fn words(&self) -> usize {
        self.words
    }

    /// Stores `values` from word `index` on. Stores nothing, and returns `EINVAL`, if they do not
    /// all fit. The device may see them in any order and late, but for [`Window::flush`].
    #[inline]
    pub fn write<const N: usize>(&self, index: usize, values: &[u64; N]) -> Result {
        if index >= self.words || self.words - index < N {
            return Err(EINVAL);
        }
        let mut i = 0;
        for value in values {
            // SAFETY: `index + N` is at most `words` by the check above, and `i` is below `N`. The
            // address is mapped; a word is stored by one access, as the kernel's writeq does, whose
            // call this saves.
            unsafe { self.base.add(index.wrapping_add(i)).write_volatile(*value) };
            i = i.wrapping_add(1);
        }
        Ok(())
    }

    /// Has the device see what was stored before anything that this CPU stores after it.
    #[inline]
    pub fn flush(&self) {
        // SAFETY: A barrier has no requirements. It empties the buffers that combine writes.
        unsafe { bindings::wmb() };
    }

    /// A copy of word `index`, for tests; none outside.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn read(&self, index: usize) -> Option<u64> {
        if index >= self.words {
            return None;
        }
        // SAFETY: `index` is inside by the check above; tests have windows on memory.
        Some(unsafe { self.base.add(index).read_volatile() })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        match &self.home {
            Home::Bar { pdev, claimed, .. } => {
                let raw = raw::pci_dev(pdev);
                // SAFETY: By the invariant the mapping is this object's to undo.
                unsafe { bindings::pci_iounmap(raw, self.base.as_ptr().cast()) };
                if let Some((bar, _)) = claimed {
                    // SAFETY: The claim is this object's to undo.
                    unsafe { bindings::pci_release_region(raw, *bar) };
                }
            }
            #[cfg(CONFIG_KUNIT = "y")]
            Home::Memory { .. } => {}
        }
    }
}
