// SPDX-License-Identifier: MIT

//! A namespace: its blocks in a sparse file, its identity, and what it can do.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{fallocate, FallocateFlags};

/// A namespace and its blocks.
pub struct Namespace {
    /// NSID.
    pub nsid: u32,
    /// log2 of the logical block: 9 or 12.
    pub lbads: u8,
    /// Logical blocks.
    pub blocks: u64,
    /// NGUID.
    pub nguid: [u8; 16],
    /// EUI64.
    pub eui64: [u8; 8],
    /// UUID.
    pub uuid: [u8; 16],
    file: File,
}

impl Namespace {
    /// A namespace of `bytes`, in blocks of 2^`lbads`, kept in `file`; its identifiers follow from
    /// `nsid` and `seed`, so that they are the same in each run.
    pub fn new(nsid: u32, bytes: u64, lbads: u8, file: File, seed: u64) -> io::Result<Self> {
        file.set_len(bytes)?;
        let number = (seed << 32) | u64::from(nsid);
        let mut long = [0x02; 16];
        long[8..].copy_from_slice(&number.to_be_bytes());
        let mut uuid = long;
        // A UUID of version 8 (custom), variant 10b.
        uuid[6] = 0x80;
        uuid[8] = 0x80 | (uuid[8] & 0x3f);
        let mut eui64 = number.to_be_bytes();
        eui64[0] = 0x02;
        Ok(Self {
            nsid,
            lbads,
            blocks: bytes >> lbads,
            nguid: long,
            eui64,
            uuid,
            file,
        })
    }

    /// Whether `count` blocks from `first` on exist.
    pub fn holds(&self, first: u64, count: u64) -> bool {
        first
            .checked_add(count)
            .is_some_and(|end| end <= self.blocks)
    }

    /// Fills `bytes` with the blocks from `first` on.
    pub fn read(&self, first: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, first << self.lbads)
    }

    /// Writes the blocks from `first` on.
    pub fn write(&self, first: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, first << self.lbads)
    }

    /// Deallocates `count` blocks from `first` on; they read as zeros.
    pub fn deallocate(&self, first: u64, count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let (at, length) = (first << self.lbads, count << self.lbads);
        fallocate(&self.file, flags, at, length).map_err(io::Error::from)
    }

    /// Makes what was written survive the process.
    pub fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Changes the size; what is cut off is lost.
    pub fn resize(&mut self, blocks: u64) -> io::Result<()> {
        self.file.set_len(blocks << self.lbads)?;
        self.blocks = blocks;
        Ok(())
    }
}
