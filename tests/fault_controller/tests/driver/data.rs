// SPDX-License-Identifier: MIT

//! Data of the driver that the tests play: buffers as they lie in memory, and the commands that read
//! and write blocks.

use std::convert::Infallible;

use nvme_fault_controller::memory::Memory;
use nvme_proto::command::Command;
use nvme_proto::completion::Completion;
use nvme_proto::prp::{self, ListPages, Segment};
use nvme_proto::sgl::{self, Alignment, Descriptor, DescriptorPages};
use nvme_proto::status::Status;

use super::heap::{Heap, PAGE_BYTES};
use super::Driver;

/// How data lies in memory, and how a command tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Where in its first page it begins: a multiple of 4.
    pub(crate) offset: u64,
    /// Whether its pages are apart.
    pub(crate) scattered: bool,
    /// Entries that the first page of a PRP list has room for, or descriptors the first segment of
    /// an SGL (2 to 256 for both).
    pub(crate) first_room: usize,
    /// Whether the command has an SGL.
    pub(crate) sgl: bool,
}

impl Shape {
    /// One stretch that begins with a page, told of by PRPs.
    pub(crate) const PLAIN: Self = Self {
        offset: 0,
        scattered: false,
        first_room: 256,
        sgl: false,
    };

    /// Pages that are apart, told of by PRPs.
    pub(crate) const SCATTERED: Self = Self {
        scattered: true,
        ..Self::PLAIN
    };
}

/// A stretch of data in memory, and the lists that tell of it.
pub(crate) struct Buffer {
    pub(crate) segments: Vec<Segment>,
    /// What it consists of: first page and count.
    pages: Vec<(u64, u64)>,
    /// Pages of PRP lists or SGL segments, each with the address of its first entry.
    pub(crate) lists: Vec<u64>,
}

impl Buffer {
    /// Room for `bytes`.
    pub(crate) fn new(heap: &mut Heap, bytes: usize, shape: Shape) -> Self {
        let count = (shape.offset + bytes as u64).div_ceil(PAGE_BYTES).max(1);
        let pages: Vec<(u64, u64)> = if shape.scattered {
            // Every other page is kept free meanwhile, so that no two are neighbours; downwards.
            let taken: Vec<u64> = (0..count * 2).map(|_| heap.take(1)).collect();
            let (ours, others): (Vec<_>, Vec<_>) =
                taken.chunks(2).rev().map(|pair| (pair[0], pair[1])).unzip();
            others.into_iter().for_each(|page| heap.free(page, 1));
            ours.into_iter().map(|page| (page, 1)).collect()
        } else {
            vec![(heap.take(count), count)]
        };
        let mut segments = Vec::new();
        let (mut rest, mut offset) = (bytes as u64, shape.offset);
        for &(page, count) in &pages {
            let length = rest.min(count * PAGE_BYTES - offset);
            segments.push(Segment {
                addr: page + offset,
                len: length as u32,
            });
            rest -= length;
            offset = 0;
        }
        Self {
            segments,
            pages,
            lists: Vec::new(),
        }
    }

    /// Its bytes.
    pub(crate) fn get(&self, heap: &Heap) -> Vec<u8> {
        let read = |segment: &Segment| heap.read(segment.addr, segment.len as usize);
        self.segments.iter().flat_map(read).collect()
    }

    /// Fills it.
    pub(crate) fn put(&self, heap: &Heap, bytes: &[u8]) {
        let mut rest = bytes;
        for segment in &self.segments {
            let (now, later) = rest.split_at(rest.len().min(segment.len as usize));
            heap.write(segment.addr, now);
            rest = later;
        }
    }

    /// Gives the memory back.
    pub(crate) fn free(self, heap: &mut Heap) {
        for (page, count) in self.pages {
            heap.free(page, count);
        }
        for list in self.lists {
            heap.free(list - list % PAGE_BYTES, 1);
        }
    }

    /// The command with a data pointer to this.
    pub(crate) fn point(
        &mut self,
        heap: &mut Heap,
        memory: &Memory,
        command: Command,
        shape: Shape,
    ) -> Command {
        let bytes: u32 = self.segments.iter().map(|segment| segment.len).sum();
        let segments = self.segments.clone();
        let mut lists = Lists {
            heap,
            memory,
            first_room: shape.first_room,
            pages: &mut self.lists,
        };
        if shape.sgl {
            let most = segments.len();
            let first = sgl::layout(
                bytes,
                most,
                Alignment::Byte,
                segments.into_iter(),
                &mut lists,
            );
            command.with_sgl(first.expect("a layout"))
        } else {
            let pointer = prp::layout(bytes, segments.into_iter(), &mut lists).expect("a layout");
            command.with_data(pointer.prp1, pointer.prp2)
        }
    }
}

/// Where the lists of a command come from. The first begins so late in its page that it has room for
/// `first_room` entries.
struct Lists<'a> {
    heap: &'a mut Heap,
    memory: &'a Memory,
    first_room: usize,
    pages: &'a mut Vec<u64>,
}

impl Lists<'_> {
    fn add(&mut self, entry_bytes: u64) -> u64 {
        let mut page = self.heap.take(1);
        if self.pages.is_empty() {
            page += PAGE_BYTES - self.first_room as u64 * entry_bytes;
        }
        self.pages.push(page);
        page
    }
}

impl ListPages for Lists<'_> {
    type Error = Infallible;

    fn first_room(&self) -> usize {
        self.first_room
    }

    fn add_page(&mut self, _entries: usize) -> Result<u64, Infallible> {
        Ok(self.add(8))
    }

    fn write(&mut self, page: usize, index: usize, entry: u64) {
        let at = self.pages[page] + index as u64 * 8;
        self.memory.write(at, &entry.to_le_bytes()).expect("a list");
    }
}

impl DescriptorPages for Lists<'_> {
    type Error = Infallible;

    fn first_room(&self) -> usize {
        self.first_room
    }

    fn add_page(&mut self, _descriptors: usize) -> Result<u64, Infallible> {
        Ok(self.add(16))
    }

    fn write(&mut self, page: usize, index: usize, descriptor: Descriptor) {
        let at = self.pages[page] + index as u64 * 16;
        let bytes: Vec<u8> = descriptor
            .to_words()
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        self.memory.write(at, &bytes).expect("a list");
    }
}

impl Driver {
    /// A namespace's block in bytes.
    pub(crate) fn block_bytes(&self, nsid: u32) -> usize {
        1 << self.controller.namespaces[&nsid].lbads
    }

    /// A buffer, and the command with its data pointer.
    pub(crate) fn with_buffer(
        &mut self,
        command: Command,
        bytes: usize,
        shape: Shape,
    ) -> (Buffer, Command) {
        let mut buffer = Buffer::new(&mut self.heap, bytes, shape);
        let command = buffer.point(&mut self.heap, &self.controller.memory, command, shape);
        (buffer, command)
    }

    /// Reads blocks. `None`: no completion came; the memory is lost to the driver then.
    pub(crate) fn try_read(
        &mut self,
        qid: u16,
        nsid: u32,
        slba: u64,
        blocks: u16,
        shape: Shape,
    ) -> Option<(Completion, Vec<u8>)> {
        let bytes = self.block_bytes(nsid) * usize::from(blocks);
        let command = Command::read(nsid, slba, blocks - 1);
        let (buffer, command) = self.with_buffer(command, bytes, shape);
        let completion = self.try_send(qid, command)?;
        let data = buffer.get(&self.heap);
        buffer.free(&mut self.heap);
        Some((completion, data))
    }

    /// Writes blocks. `None`: no completion came; the memory is lost to the driver then.
    pub(crate) fn try_write(
        &mut self,
        qid: u16,
        nsid: u32,
        slba: u64,
        data: &[u8],
        shape: Shape,
    ) -> Option<Completion> {
        let blocks = u16::try_from(data.len() / self.block_bytes(nsid)).expect("few blocks");
        let command = Command::write(nsid, slba, blocks - 1, false);
        let (buffer, command) = self.with_buffer(command, data.len(), shape);
        buffer.put(&self.heap, data);
        let completion = self.try_send(qid, command)?;
        buffer.free(&mut self.heap);
        Some(completion)
    }

    /// Reads blocks, which succeeds.
    #[track_caller]
    pub(crate) fn read_blocks(&mut self, qid: u16, nsid: u32, slba: u64, blocks: u16) -> Vec<u8> {
        let read = self.try_read(qid, nsid, slba, blocks, Shape::PLAIN);
        let (completion, data) = read.unwrap_or_else(|| panic!("no completion\n{}", self.log()));
        assert_eq!(completion.status, Status::SUCCESS, "{}", self.log());
        data
    }

    /// Writes blocks, which succeeds.
    #[track_caller]
    pub(crate) fn write_blocks(&mut self, qid: u16, nsid: u32, slba: u64, data: &[u8]) {
        let written = self.try_write(qid, nsid, slba, data, Shape::PLAIN);
        let completion = written.unwrap_or_else(|| panic!("no completion\n{}", self.log()));
        assert_eq!(completion.status, Status::SUCCESS, "{}", self.log());
    }
}
