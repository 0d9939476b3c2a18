// SPDX-License-Identifier: GPL-2.0

//! Memory shared with a device, seen by the CPU as 64-bit words.
//!
//! The device may write it at any time, so there are no references into it: each access copies
//! one word by one volatile access, as `READ_ONCE` and `WRITE_ONCE` do in C. What a word means is
//! for the caller to say, on its own copy. Words are in the CPU's byte order, as they lie in
//! memory; on a little-endian CPU, the only kind supported so far, they are the device's.
//!
//! C headers: `include/linux/dma-mapping.h`, `include/linux/dmapool.h`.

use crate::{bindings, numa::Node, raw};
use core::{mem::size_of, ptr::NonNull};
use kernel::{
    device::{self, Bound},
    pci,
    prelude::*,
    sync::{aref::ARef, Arc},
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

#[cfg(not(target_endian = "little"))]
compile_error!("words are exchanged with the device as they are: a little-endian CPU is assumed");

/// Sets the streaming and coherent DMA masks of `pdev` to `bits` address bits.
///
/// May sleep. Fails with the C function's errno if the platform cannot serve such a device.
/// To be called before anything is mapped: what is mapped before lies where the mask then said.
pub fn set_mask(pdev: &pci::Device<device::Core<'_>>, bits: u32) -> Result {
    let mask = kernel::dma::DmaMask::try_new(bits)?;
    // SAFETY: The masks are words that a mapping reads once each, so one made meanwhile is made
    // with the old or the new one, as if it had been made before or after. A `Core` reference shows
    // that nobody else sets them now.
    unsafe { kernel::dma::Device::dma_set_mask_and_coherent(pdev, mask) }
}

/// Makes bounce buffers keep the address bits in `mask`, for a device that needs them unchanged.
///
/// Before anything is mapped for `pdev`. `ENODEV` if the bus has no place to note it.
pub fn set_min_align_mask(pdev: &pci::Device<device::Core<'_>>, mask: u32) -> Result {
    // SAFETY: `pdev` is a valid device. A `Core` reference shows that this is one of the calls that
    // the driver core makes one at a time, so nobody else writes the parameters, which are words.
    unsafe {
        let parameters = (*raw::device(pdev.as_ref())).dma_parms;
        let parameters = NonNull::new(parameters).ok_or(ENODEV)?;
        (*parameters.as_ptr()).min_align_mask = mask;
    }
    Ok(())
}

/// The longest range in bytes that can be mapped for `dev` at once, as the platform has it: bounce
/// buffers set a limit, for one.
pub fn max_mapping_size(dev: &device::Device<Bound>) -> usize {
    // SAFETY: `dev` is a valid, bound device.
    unsafe { bindings::dma_max_mapping_size(raw::device(dev)) }
}

/// The longest range in bytes that the platform maps for `dev` without slowing down, as IOMMUs
/// whose caches hold ranges up to some size do beyond it; no limit where nothing slows down.
pub fn optimal_mapping_size(dev: &device::Device<Bound>) -> usize {
    // SAFETY: `dev` is a valid, bound device.
    unsafe { bindings::dma_opt_mapping_size(raw::device(dev)) }
}

/// An array of 64-bit words in coherent DMA memory, zero at first.
///
/// Dropping it may sleep. It should happen before the device is unbound, as with the kernel crate's
/// own coherent memory: later, the device's bus addresses may be somebody else's to manage.
///
/// # Invariants
///
/// `cpu` points to `words` words allocated by `dma_alloc_attrs` for `dev` at bus address `dma`.
pub struct Coherent {
    dev: ARef<device::Device>,
    cpu: NonNull<u64>,
    dma: u64,
    words: usize,
}

// SAFETY: The memory may be used and freed from any CPU and task.
unsafe impl Send for Coherent {}
// SAFETY: All methods make volatile accesses of whole words, which need no exclusion.
unsafe impl Sync for Coherent {}

impl Coherent {
    /// Allocates `words` words for `dev`, aligned to the next power of two up to the page size.
    ///
    /// May sleep. `EINVAL` for none, `ENOMEM` if memory is short.
    pub fn new(dev: &device::Device<Bound>, words: usize) -> Result<Self> {
        let size = words.checked_mul(size_of::<u64>()).ok_or(EINVAL)?;
        if size == 0 {
            return Err(EINVAL);
        }
        let mut dma = 0;
        let gfp = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
        // SAFETY: `dev` is a valid, bound device and `size` is not zero.
        let cpu = unsafe { bindings::dma_alloc_attrs(raw::device(dev), size, &mut dma, gfp, 0) };
        let cpu = NonNull::new(cpu.cast::<u64>()).ok_or(ENOMEM)?;
        // INVARIANT: Allocated just now; coherent memory is aligned to a page.
        Ok(Coherent {
            dev: dev.into(),
            cpu,
            dma,
            words,
        })
    }

    /// The bus address of the first word.
    #[inline]
    pub fn dma_address(&self) -> u64 {
        self.dma
    }

    /// How many words there are.
    #[inline]
    pub fn words(&self) -> usize {
        self.words
    }

    /// A copy of word `index`; none outside.
    #[inline]
    pub fn read(&self, index: usize) -> Option<u64> {
        if index >= self.words {
            return None;
        }
        // SAFETY: `index` is inside by the check above.
        Some(unsafe { self.cpu.add(index).read_volatile() })
    }

    /// A copy of the 32 bits at `index`, in units of 32 bits; none outside.
    #[inline]
    pub fn read32(&self, index: usize) -> Option<u32> {
        if index / 2 >= self.words {
            return None;
        }
        // SAFETY: Half a word of those inside by the check above.
        Some(unsafe { self.cpu.cast::<u32>().add(index).read_volatile() })
    }

    /// Stores the 32 bits at `index`, in units of 32 bits; `EINVAL` outside.
    #[inline]
    pub fn write32(&self, index: usize, value: u32) -> Result {
        if index / 2 >= self.words {
            return Err(EINVAL);
        }
        // SAFETY: Half a word of those inside by the check above.
        unsafe { self.cpu.cast::<u32>().add(index).write_volatile(value) };
        Ok(())
    }

    /// Stores `values` from word `index` on, in order. Stores nothing if they do not all fit.
    #[inline]
    pub fn write<const N: usize>(&self, index: usize, values: &[u64; N]) -> Result {
        if index >= self.words || self.words - index < N {
            return Err(EINVAL);
        }
        let mut i = 0;
        for value in values {
            // SAFETY: `index + N` is at most `words` by the check above, and `i` is below `N`.
            unsafe { self.cpu.add(index.wrapping_add(i)).write_volatile(*value) };
            i = i.wrapping_add(1);
        }
        Ok(())
    }
}

impl Drop for Coherent {
    fn drop(&mut self) {
        let size = self.words.wrapping_mul(size_of::<u64>());
        // SAFETY: By the invariant this is what `dma_alloc_attrs` gave for `dev`.
        unsafe {
            bindings::dma_free_attrs(
                raw::device(&self.dev),
                size,
                self.cpu.as_ptr().cast(),
                self.dma,
                0,
            )
        };
    }
}

/// Orders reads of DMA memory: those before the call are made before those after it.
#[inline]
pub fn read_barrier() {
    // On x86-64 loads are made in program order: dma_rmb is a compiler barrier.
    #[cfg(CONFIG_X86_64)]
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Acquire);
    #[cfg(not(CONFIG_X86_64))]
    // SAFETY: A barrier has no requirements.
    unsafe {
        bindings::dma_rmb()
    };
}

/// Orders writes to DMA memory: those before the call are seen by a device before those after it.
#[inline]
pub fn write_barrier() {
    // On x86-64 stores are seen in program order: dma_wmb is a compiler barrier.
    #[cfg(CONFIG_X86_64)]
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Release);
    #[cfg(not(CONFIG_X86_64))]
    // SAFETY: A barrier has no requirements.
    unsafe {
        bindings::dma_wmb()
    };
}

/// Orders writes to DMA memory before the call before reads of it after the call.
#[inline]
pub fn full_barrier() {
    // On x86-64 a device that looks at memory is to the CPU what another CPU is.
    #[cfg(CONFIG_X86_64)]
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    #[cfg(not(CONFIG_X86_64))]
    // SAFETY: A barrier has no requirements.
    unsafe {
        bindings::ext_full_barrier()
    };
}

/// A pool of equal small blocks of coherent DMA memory, each aligned to its size.
///
/// # Invariants
///
/// `pool` is a live pool made by `dma_pool_create_node` with blocks of `words` words.
pub struct Pool {
    _dev: ARef<device::Device>,
    pool: NonNull<bindings::dma_pool>,
    words: usize,
}

// SAFETY: The C functions lock the pool themselves.
unsafe impl Send for Pool {}
// SAFETY: As above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Makes a pool of blocks of `words` words for `dev`; `words` is a power of two up to a page.
    ///
    /// What describes the pool lies on `node`, to be that of the CPUs that take blocks. The blocks
    /// lie on the device's node, or, if it has none, on that of the CPU for which they were added.
    /// `name`, of which 31 bytes count, tells the pool in file `pools` of the device.
    ///
    /// May sleep. `EINVAL` for another size, `ENOMEM` if memory is short.
    pub fn new(
        dev: &device::Device<Bound>,
        name: &CStr,
        words: usize,
        node: Node,
    ) -> Result<Arc<Self>> {
        let size = words.checked_mul(size_of::<u64>()).ok_or(EINVAL)?;
        if !size.is_power_of_two() || size > kernel::page::PAGE_SIZE {
            return Err(EINVAL);
        }
        let raw = raw::device(dev);
        // SAFETY: `dev` is a valid device, `name` is copied, size and alignment are powers of two,
        // and the node is one that the kernel has named.
        let pool = unsafe {
            bindings::dma_pool_create_node(name.as_char_ptr(), raw, size, size, 0, node.to_raw())
        };
        let pool = NonNull::new(pool).ok_or(ENOMEM)?;
        // INVARIANT: Made just now; if the allocation fails, drop destroys it.
        Ok(Arc::new(
            Pool {
                _dev: dev.into(),
                pool,
                words,
            },
            GFP_KERNEL,
        )?)
    }

    /// Takes a block, with undefined but initialised content. Does not sleep.
    pub fn alloc(self: &Arc<Self>) -> Result<Block> {
        let mut dma = 0;
        // Zeroed, because what a device has left in a block must not become the next one's content.
        let gfp = bindings::GFP_ATOMIC | bindings::__GFP_ZERO;
        // SAFETY: By the invariant `pool` is a live pool.
        let cpu = unsafe { bindings::dma_pool_alloc(self.pool.as_ptr(), gfp, &mut dma) };
        let cpu = NonNull::new(cpu.cast::<u64>()).ok_or(ENOMEM)?;
        // INVARIANT: Taken just now from the pool.
        Ok(Block {
            pool: self.clone(),
            cpu,
            dma,
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: Each block holds a reference to the pool, so all have been given back.
        unsafe { bindings::dma_pool_destroy(self.pool.as_ptr()) };
    }
}

/// One block of a [`Pool`], given back when dropped: in any context while somebody else has the
/// pool, else where it may sleep, since the pool goes with it.
///
/// # Invariants
///
/// `cpu` points to a block of `pool` at bus address `dma` that belongs to this object.
pub struct Block {
    pool: Arc<Pool>,
    cpu: NonNull<u64>,
    dma: u64,
}

// SAFETY: A block may be written and given back from any CPU and task.
unsafe impl Send for Block {}
// SAFETY: All methods make volatile accesses of whole words, which need no exclusion.
unsafe impl Sync for Block {}

impl Block {
    /// The bus address of the first word.
    #[inline]
    pub fn dma_address(&self) -> u64 {
        self.dma
    }

    /// How many words the block has.
    #[inline]
    pub fn words(&self) -> usize {
        self.pool.words
    }

    /// Stores `value` as word `index`; outside the block nothing is stored and `EINVAL` returned.
    #[inline]
    pub fn write(&self, index: usize, value: u64) -> Result {
        if index >= self.pool.words {
            return Err(EINVAL);
        }
        // SAFETY: `index` is inside the block by the check above.
        unsafe { self.cpu.add(index).write_volatile(value) };
        Ok(())
    }

    /// A copy of word `index`, for tests; none outside.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn read(&self, index: usize) -> Option<u64> {
        if index >= self.pool.words {
            return None;
        }
        // SAFETY: `index` is inside the block by the check above.
        Some(unsafe { self.cpu.add(index).read_volatile() })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: By the invariant the block came from this pool and is this object's to give back.
        unsafe {
            bindings::dma_pool_free(self.pool.pool.as_ptr(), self.cpu.as_ptr().cast(), self.dma)
        };
    }
}
