// SPDX-License-Identifier: MIT

//! A namespace: its blocks in a sparse file, its identity, and what it can do.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{fallocate, FallocateFlags};

use crate::io::reservations::Reservation;
use crate::ranges::Ranges;

/// Bytes of a tuple of protection information, with a 16-bit guard.
pub const TUPLE_BYTES: usize = 8;

/// The tuples of a namespace, in a file of their own.
struct Tuples {
    /// The type of protection: 1 to 3.
    kind: u8,
    /// All bytes are stored inverted: what was never written reads as ones, which turns checks off.
    file: File,
}

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
    /// Namespace Write Protection Config: 0 for none.
    pub protection: u32,
    /// Who keeps whom from it.
    pub reservation: Reservation,
    file: File,
    tuples: Option<Tuples>,
    /// Blocks that Write Uncorrectable has made unreadable.
    spoilt: Ranges,
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn punch(file: &File, at: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, flags, at, length).map_err(io::Error::from)
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
            protection: 0,
            reservation: Reservation::default(),
            file,
            tuples: None,
            spoilt: Ranges::default(),
        })
    }

    /// The same with protection information of type `kind` (1 to 3), whose tuples are in `file`.
    pub fn with_tuples(mut self, kind: u8, file: File) -> io::Result<Self> {
        file.set_len(self.blocks * TUPLE_BYTES as u64)?;
        self.tuples = Some(Tuples { kind, file });
        Ok(self)
    }

    /// A namespace as the command line and the control socket have it: IMAGE,BYTES,BLOCK[,pi=TYPE].
    /// The tuples are in a file beside the image.
    pub fn parse(nsid: u32, text: &str, seed: u64) -> Result<Self, String> {
        let wrong = || format!("{text}: not IMAGE,BYTES,BLOCK[,pi=1|2|3]");
        let (rest, kind) = match text.rsplit_once(",pi=") {
            Some((rest, kind)) => (rest, kind.parse().map_err(|_| wrong())?),
            None => (text, 0),
        };
        let mut parts = rest.rsplitn(3, ',');
        let mut number = || parts.next().and_then(|text| text.parse::<u64>().ok());
        let (block, bytes) = number().zip(number()).ok_or_else(wrong)?;
        let image = parts.next().ok_or_else(wrong)?;
        let lbads = match block {
            512 => 9,
            4096 => 12,
            _ => return Err(format!("{block}: a block has 512 or 4096 bytes")),
        };
        if kind > 3 {
            return Err(wrong());
        }
        let made = open(Path::new(image)).and_then(|file| {
            let this = Self::new(nsid, bytes, lbads, file, seed)?;
            if kind == 0 {
                return Ok(this);
            }
            this.with_tuples(kind, open(Path::new(&format!("{image}.tuples")))?)
        });
        made.map_err(|error| format!("{image}: {error}"))
    }

    /// The type of protection information; 0 for none.
    pub fn protection_type(&self) -> u8 {
        self.tuples.as_ref().map_or(0, |tuples| tuples.kind)
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

    /// The tuples of `count` blocks from `first` on; none if the namespace has none.
    pub fn read_tuples(&self, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let Some(tuples) = &self.tuples else {
            return Ok(Vec::new());
        };
        let mut bytes = vec![0; count as usize * TUPLE_BYTES];
        tuples
            .file
            .read_exact_at(&mut bytes, first * TUPLE_BYTES as u64)?;
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        Ok(bytes)
    }

    /// Writes the blocks from `first` on.
    pub fn write(&mut self, first: u64, bytes: &[u8]) -> io::Result<()> {
        self.mend(first, (bytes.len() as u64) >> self.lbads);
        self.file.write_all_at(bytes, first << self.lbads)
    }

    /// Writes the tuples of the blocks from `first` on.
    pub fn write_tuples(&self, first: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(tuples) = &self.tuples else {
            return Ok(());
        };
        let inverted: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        tuples
            .file
            .write_all_at(&inverted, first * TUPLE_BYTES as u64)
    }

    /// Deallocates `count` blocks from `first` on; they read as zeros, their tuples as ones.
    pub fn deallocate(&mut self, first: u64, count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.mend(first, count);
        punch(&self.file, first << self.lbads, count << self.lbads)?;
        let bytes = TUPLE_BYTES as u64;
        self.tuples.as_ref().map_or(Ok(()), |tuples| {
            punch(&tuples.file, first * bytes, count * bytes)
        })
    }

    /// Makes `count` blocks from `first` on unreadable, until they are written.
    pub fn spoil(&mut self, first: u64, count: u64) {
        self.spoilt.add(first..first.saturating_add(count));
    }

    /// The blocks are written: they can be read.
    fn mend(&mut self, first: u64, count: u64) {
        self.spoilt.remove(first..first.saturating_add(count));
    }

    /// Whether any of the blocks is unreadable.
    pub fn is_spoilt(&self, first: u64, count: u64) -> bool {
        self.spoilt.meets(&(first..first.saturating_add(count)))
    }

    /// Makes what was written survive the process.
    pub fn flush(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.tuples
            .as_ref()
            .map_or(Ok(()), |tuples| tuples.file.sync_data())
    }

    /// Changes the size; what is cut off is lost.
    pub fn resize(&mut self, blocks: u64) -> io::Result<()> {
        let bytes = blocks
            .checked_shl(self.lbads.into())
            .filter(|bytes| bytes >> self.lbads == blocks)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.file.set_len(bytes)?;
        if let Some(tuples) = &self.tuples {
            tuples.file.set_len(blocks * TUPLE_BYTES as u64)?;
        }
        self.blocks = blocks;
        Ok(())
    }
}
