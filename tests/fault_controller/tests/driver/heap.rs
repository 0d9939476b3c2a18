// SPDX-License-Identifier: MIT

//! The memory of the driver that the tests play: pages, taken and given back.
//!
//! A page that was given back is filled with a pattern: what the controller writes there afterwards is
//! seen.

use std::collections::BTreeSet;

use nvme_fault_controller::memory::Memory;
use nvme_proto::PAGE;

/// Where the memory begins: above 4 GiB, so that an address that was cut to 32 bits leads nowhere.
pub(crate) const BASE: u64 = 0x1_2340_0000;

/// Its pages.
pub(crate) const PAGES: u64 = 0x2000;

/// A page's bytes.
pub(crate) const PAGE_BYTES: u64 = PAGE as u64;

/// What given back pages are filled with.
const PATTERN: u8 = 0xa5;

/// The pages and which of them are free.
pub(crate) struct Heap {
    memory: Memory,
    /// Pages that were given back, and not taken since.
    free: BTreeSet<u64>,
    /// The first page that was never taken.
    fresh: u64,
    /// Whether a page that was written while free fails the test: not where a fault does just that.
    pub(crate) watched: bool,
}

impl Heap {
    /// Maps the memory for the controller.
    pub(crate) fn new(memory: &mut Memory) -> Self {
        memory
            .map_anonymous(BASE, PAGES * PAGE_BYTES)
            .expect("memory");
        Self {
            memory: memory.clone(),
            free: BTreeSet::new(),
            fresh: BASE,
            watched: true,
        }
    }

    /// Pages one after the other, zeroed; the address of the first.
    pub(crate) fn take(&mut self, pages: u64) -> u64 {
        let reused = self.free.iter().copied().find(|first| {
            (0..pages).all(|index| self.free.contains(&(first + index * PAGE_BYTES)))
        });
        let first = reused.unwrap_or_else(|| {
            let first = self.fresh;
            self.fresh += pages * PAGE_BYTES;
            assert!(self.fresh <= BASE + PAGES * PAGE_BYTES, "out of memory");
            first
        });
        for index in 0..pages {
            let page = first + index * PAGE_BYTES;
            if self.free.remove(&page) {
                self.check_untouched(page);
                self.write(page, &[0; PAGE as usize]);
            }
        }
        first
    }

    /// Gives pages back.
    pub(crate) fn free(&mut self, first: u64, pages: u64) {
        for index in 0..pages {
            let page = first + index * PAGE_BYTES;
            self.write(page, &[PATTERN; PAGE as usize]);
            assert!(self.free.insert(page), "{page:#x} was given back twice");
        }
    }

    fn check_untouched(&self, page: u64) {
        let bytes = self.read(page, PAGE as usize);
        let touched = bytes.iter().position(|byte| *byte != PATTERN);
        let touched = touched.filter(|_| self.watched);
        assert_eq!(
            touched, None,
            "the page at {page:#x} was written while free"
        );
    }

    /// Fails the test if the controller has written into memory that was given back.
    pub(crate) fn assert_free_is_untouched(&self) {
        for page in &self.free {
            self.check_untouched(*page);
        }
    }

    /// Pages that are in use.
    pub(crate) fn in_use(&self) -> u64 {
        (self.fresh - BASE) / PAGE_BYTES - self.free.len() as u64
    }

    /// Reads what lies at an address.
    pub(crate) fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory
            .read(address, &mut bytes)
            .unwrap_or_else(|fault| panic!("the test's own read: {fault}"));
        bytes
    }

    /// Writes to an address.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        self.memory
            .write(address, bytes)
            .unwrap_or_else(|fault| panic!("the test's own write: {fault}"));
    }

    /// Reads a word of 32 bits.
    pub(crate) fn read32(&self, address: u64) -> u32 {
        let bytes = self.read(address, 4);
        u32::from_le_bytes(bytes.try_into().expect("four bytes"))
    }
}
