// SPDX-License-Identifier: GPL-2.0

//! What the KUnit tests of this module need and the kernel crate does not offer: a bound device
//! that can make DMA, memory whose bus addresses are known, transfers to a disk, and files to read.
//!
//! Only in kernels with KUnit: nothing of this is in a module for any other.

use crate::{
    bindings,
    block::{
        mq::{GenDisk, Operations},
        Status,
    },
    raw,
    sync::Completion,
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU8, Ordering},
};
use kernel::{
    device::{self, Bound},
    error::{from_err_ptr, to_result},
    faux,
    page::{Page, PAGE_SIZE},
    prelude::*,
    str::CString,
    sync::Arc,
    types::Opaque,
};

/// How long a test waits for what should happen at once, in milliseconds.
pub const PATIENCE_MS: u32 = 10_000;

/// A device without hardware, bound until it is dropped. Its bus addresses are physical ones.
pub struct Device(faux::Registration);

impl Device {
    /// Makes the device `name`, which no other may have. May sleep.
    pub fn new(name: &CStr) -> Result<Self> {
        let registration = faux::Registration::new(name, None)?;
        let device = Device(registration);
        let raw = raw::device(device.bound());
        // SAFETY: The device is valid, and nobody else has it to make DMA with yet.
        unsafe {
            (*raw).dma_mask = &raw mut (*raw).coherent_dma_mask;
            (*raw).coherent_dma_mask = u64::MAX;
        }
        Ok(device)
    }

    /// The device, which is bound.
    pub fn bound(&self) -> &device::Device<Bound> {
        self.0.as_ref().as_ref()
    }
}

/// Counts how often it has been dropped: what a test puts into data whose end it wants to see.
#[derive(Clone)]
pub struct Drops(Arc<AtomicU32>);

/// Adds one to its [`Drops`] when it goes.
pub struct Tell(Arc<AtomicU32>);

impl Drops {
    /// None yet.
    pub fn new() -> Result<Self> {
        Ok(Drops(Arc::new(AtomicU32::new(0), GFP_KERNEL)?))
    }

    /// A value whose end is counted.
    pub fn tell(&self) -> Tell {
        Tell(self.0.clone())
    }

    /// How many have gone.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Pages of memory whose bus addresses are known.
pub struct Memory {
    pages: KVec<Page>,
    addresses: KVec<u64>,
}

impl Memory {
    /// Allocates `count` pages for transfers by `dev`. May sleep.
    pub fn new(dev: &device::Device<Bound>, count: usize) -> Result<Arc<Self>> {
        let mut memory = Memory {
            pages: KVec::new(),
            addresses: KVec::new(),
        };
        for _ in 0..count {
            let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
            memory
                .addresses
                .push(bus_address(dev, &page)?, GFP_KERNEL)?;
            memory.pages.push(page, GFP_KERNEL)?;
        }
        Ok(Arc::new(memory, GFP_KERNEL)?)
    }

    /// The bus address of byte `offset`; 0, where nothing lies, if it is outside.
    pub fn dma_address(&self, offset: usize) -> u64 {
        let page = self.addresses.get(offset / PAGE_SIZE);
        page.map_or(0, |page| page.wrapping_add((offset % PAGE_SIZE) as u64))
    }
}

/// Where `dev` sees `page`, which is the same each time for a device without an IOMMU.
fn bus_address(dev: &device::Device<Bound>, page: &Page) -> Result<u64> {
    let dir = bindings::dma_data_direction::DMA_BIDIRECTIONAL;
    let dev = raw::device(dev);
    // SAFETY: The device is bound and the page is ours; what is mapped is unmapped before use.
    unsafe {
        let address = bindings::dma_map_page_attrs(dev, page.as_ptr(), 0, PAGE_SIZE, dir, 0);
        // The debugging code wants to see each mapping checked for failure.
        #[cfg(CONFIG_DMA_API_DEBUG)]
        bindings::debug_dma_mapping_error(dev, address);
        if address == u64::MAX {
            return Err(ENOMEM);
        }
        bindings::dma_unmap_page_attrs(dev, address, PAGE_SIZE, dir, 0);
        Ok(address)
    }
}

/// What a [`Transfer`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads into the memory.
    Read,
    /// Writes from the memory.
    Write,
    /// Reads what nobody waits for yet.
    ReadAhead,
    /// Writes from the memory, through the device's cache.
    WriteThrough,
    /// Writes from the memory, all of it or nothing.
    WriteAtomic,
    /// Writes from the memory, as part of this stream of data.
    WriteStream(u8),
    /// Writes from the memory, wherever the zone's write pointer is.
    ZoneAppend,
    /// Makes completed writes durable; there is no data.
    Flush,
    /// Has the device forget what is there; there is no data.
    Discard,
    /// Has the device make zeros of it; there is no data.
    WriteZeroes,
    /// The same, and what it takes stays allocated.
    WriteZeroesAllocated,
}

impl Kind {
    fn flags(self) -> bindings::blk_opf_t {
        match self {
            Kind::Read => bindings::req_op_REQ_OP_READ,
            Kind::Write | Kind::WriteStream(_) => bindings::req_op_REQ_OP_WRITE,
            Kind::ReadAhead => bindings::req_op_REQ_OP_READ | bindings::EXT_REQ_RAHEAD,
            Kind::WriteThrough => bindings::req_op_REQ_OP_WRITE | bindings::EXT_REQ_FUA,
            Kind::WriteAtomic => bindings::req_op_REQ_OP_WRITE | bindings::EXT_REQ_ATOMIC,
            Kind::ZoneAppend => bindings::req_op_REQ_OP_ZONE_APPEND,
            Kind::Flush => bindings::req_op_REQ_OP_WRITE | bindings::EXT_REQ_PREFLUSH,
            Kind::Discard => bindings::req_op_REQ_OP_DISCARD,
            Kind::WriteZeroes => bindings::req_op_REQ_OP_WRITE_ZEROES,
            Kind::WriteZeroesAllocated => {
                bindings::req_op_REQ_OP_WRITE_ZEROES | bindings::EXT_REQ_NOUNMAP
            }
        }
    }

    /// Whether it names a range and has no data.
    fn names_a_range(self) -> bool {
        matches!(
            self,
            Kind::Discard | Kind::WriteZeroes | Kind::WriteZeroesAllocated
        )
    }
}

const ON_ITS_WAY: u8 = 0xff;

/// A bio and what it refers to.
///
/// # Invariants
///
/// `bio` is initialised, and refers to `_vectors` and to pages of `_memory`.
#[pin_data(PinnedDrop)]
struct Bio {
    #[pin]
    bio: Opaque<bindings::bio>,
    _vectors: KVec<bindings::bio_vec>,
    _memory: Arc<Memory>,
    status: AtomicU8,
    #[pin]
    done: Completion,
}

// SAFETY: The bio is the block layer's while it is on its way, and then nobody's to change.
unsafe impl Send for Bio {}
// SAFETY: As above; the status is atomic.
unsafe impl Sync for Bio {}

#[pinned_drop]
impl PinnedDrop for Bio {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised by the invariant; the block layer's reference is gone, so it is done.
        unsafe { bindings::bio_uninit(self.bio.get()) };
    }
}

/// A transfer that was given to a disk.
pub struct Transfer(Arc<Bio>);

impl Transfer {
    /// Gives a transfer to `disk` at 512-byte sector `sector`: `bytes` bytes from byte `begin` of
    /// `memory` on, both multiples of 4. May sleep, and calls [`Operations::queue_rq`] from here.
    pub fn start<T: Operations>(
        disk: &GenDisk<T>,
        dev: &device::Device<Bound>,
        kind: Kind,
        sector: u64,
        memory: &Arc<Memory>,
        begin: usize,
        bytes: usize,
    ) -> Result<Self> {
        let disk = disk.as_raw(dev)?;
        let mut vectors = KVec::with_capacity(memory.pages.len(), GFP_KERNEL)?;
        let (table, room): (*mut bindings::bio_vec, usize) =
            (vectors.as_mut_ptr(), vectors.capacity());
        let bio = Arc::pin_init(
            pin_init!(Bio {
                bio <- Opaque::ffi_init(|slot: *mut bindings::bio| {
                    let room = room.try_into().unwrap_or(u16::MAX);
                    // SAFETY: `slot` is valid for writes; the table has that much room; the disk
                    // was added and stays while `GenDisk` is borrowed.
                    unsafe { bindings::bio_init(slot, (*disk).part0, table, room, kind.flags()) };
                }),
                _vectors: vectors,
                _memory: memory.clone(),
                status: AtomicU8::new(ON_ITS_WAY),
                done <- Completion::new(),
            }),
            GFP_KERNEL,
        )?;
        let raw = bio.bio.get();
        let mut at = begin;
        let end = begin.checked_add(bytes).ok_or(EINVAL)?;
        while at < end && !kind.names_a_range() {
            let page = memory.pages.get(at / PAGE_SIZE).ok_or(EINVAL)?;
            let offset = at % PAGE_SIZE;
            let len = (PAGE_SIZE - offset).min(end - at);
            // SAFETY: The bio is initialised and ours; the page lives as long as the bio does.
            let added =
                unsafe { bindings::bio_add_page(raw, page.as_ptr(), len as u32, offset as u32) };
            if added as usize != len {
                return Err(E2BIG);
            }
            at += len;
        }
        // SAFETY: The bio is complete; the reference in it keeps it until `ended` has run.
        unsafe {
            (*raw).bi_iter.bi_sector = sector;
            if let Kind::WriteStream(stream) = kind {
                (*raw).bi_write_stream = stream;
            }
            if kind.names_a_range() {
                (*raw).bi_iter.bi_size = bytes.try_into()?;
            }
            (*raw).bi_end_io = Some(ended);
            (*raw).bi_private = Arc::into_raw(bio.clone()).cast_mut().cast();
            bindings::submit_bio(raw);
        }
        Ok(Transfer(bio))
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<Status> {
        match self.0.status.load(Ordering::Acquire) {
            ON_ITS_WAY => None,
            status => Some(Status::from_raw(status)),
        }
    }

    /// The sector of its data, as far as it is known: where an append went, once that has ended.
    pub fn sector(&self) -> u64 {
        // SAFETY: The bio is initialised; the sector is only looked at.
        unsafe { (&raw const (*self.0.bio.get()).bi_iter.bi_sector).read_volatile() }
    }

    /// How it ended, after a wait of at most [`PATIENCE_MS`] for it. Sleeps.
    pub fn wait(&self) -> Option<Status> {
        self.0.done.wait_ms(PATIENCE_MS);
        self.status()
    }
}

/// # Safety
///
/// Only as the end of a bio whose private pointer is a reference to its [`Bio`].
unsafe extern "C" fn ended(bio: *mut bindings::bio) {
    // SAFETY: `Transfer::start` stored the reference, and this is called once.
    let whole = unsafe { Arc::from_raw((*bio).bi_private.cast_const().cast::<Bio>()) };
    // SAFETY: The bio is valid: `whole` holds it.
    whole
        .status
        .store(unsafe { (*bio).bi_status }, Ordering::Release);
    whole.done.complete_all();
}

/// Runs `start`, and has what it gives to disks reach their drivers together. May sleep.
pub fn together<R>(start: impl FnOnce() -> R) -> R {
    let mut plug = bindings::blk_plug::default();
    // SAFETY: The plug lies on the stack, is not moved, and is the task's until it is finished.
    unsafe { bindings::blk_start_plug(&mut plug) };
    let result = start();
    // SAFETY: It was started by this task above.
    unsafe { bindings::blk_finish_plug(&mut plug) };
    result
}

/// Gives `disk` a size of `sectors` sectors after the fact, so that nobody looks for partitions.
pub fn set_capacity<T: Operations>(
    disk: &GenDisk<T>,
    dev: &device::Device<Bound>,
    sectors: u64,
) -> Result {
    let disk = disk.as_raw(dev)?;
    // SAFETY: The disk was added and stays while `GenDisk` is borrowed.
    unsafe { bindings::set_capacity(disk, sectors) };
    Ok(())
}

/// A mount of sysfs of our own: a test's thread does not see what user space has mounted.
struct Sysfs(NonNull<bindings::vfsmount>);

impl Sysfs {
    fn mount() -> Result<Self> {
        // SAFETY: The name is a C string. The type is built into the kernel, so it stays.
        let mount = unsafe {
            let kind = bindings::get_fs_type(c"sysfs".as_char_ptr());
            from_err_ptr(bindings::kern_mount(
                NonNull::new(kind).ok_or(ENODEV)?.as_ptr(),
            ))?
        };
        Ok(Sysfs(NonNull::new(mount).ok_or(ENODEV)?))
    }

    fn read(&self, path: &CStr) -> Result<KVec<u8>> {
        let mut text = KVec::from_elem(0u8, PAGE_SIZE, GFP_KERNEL)?;
        let mut position = 0;
        let mount = self.0.as_ptr();
        // SAFETY: The mount is there, so its root is; the path is a C string; the file is open
        // until it is closed, and the buffer is as long as said.
        let count = unsafe {
            let root = bindings::path {
                mnt: mount,
                dentry: (*mount).mnt_root,
            };
            let flags = bindings::O_RDONLY as i32;
            let file = from_err_ptr(bindings::file_open_root(
                &root,
                path.as_char_ptr(),
                flags,
                0,
            ))?;
            let room = text.as_mut_ptr().cast();
            let count = bindings::kernel_read(file, room, PAGE_SIZE, &mut position);
            bindings::filp_close(file, core::ptr::null_mut());
            count
        };
        to_result(count as i32)?;
        text.truncate(count as usize);
        Ok(text)
    }
}

impl Drop for Sysfs {
    fn drop(&mut self) {
        // SAFETY: Mounted by `mount`, and not used any more.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}

/// The text of the file `name` in the folder of `dev` in sysfs, at most a page. Sleeps.
///
/// `dev` is the device of a [`Device`]. `ENOENT` if there is no such file.
pub fn read_attribute(dev: &device::Device<Bound>, name: &str) -> Result<KVec<u8>> {
    let device = dev.name();
    let path = CString::try_from_fmt(fmt!("devices/faux/{device}/{name}"))?;
    Sysfs::mount()?.read(&path)
}
