// SPDX-License-Identifier: MIT

//! The Host Memory Buffer (Base 8.2.3, 5.1.25.2.4): memory of the host's that is lent to the controller.
//!
//! It is really used: marks are written there as commands are executed, and read back. One that is not
//! as it was left is a driver that lends memory which others write to.

use std::collections::BTreeMap;

use nvme_proto::status::Status;

use crate::admin::logs::put;
use crate::controller::{Answer, Controller, Taken};
use crate::data::number;
use crate::judge::rules;

/// CDW11: Enable Host Memory.
const ENABLE: u32 = 1;

/// Identify: the preferred size (HMPRE) and the least (HMMIN), in units of 4 KiB.
pub const PREFERRED: u32 = 1024;
/// The least.
pub const LEAST: u32 = 16;
/// Identify: the most descriptors (HMMAXD).
pub const DESCRIPTORS: u16 = 128;

/// Marks that are out at most.
const MARKS: usize = 64;

const PAGE: u64 = nvme_proto::PAGE as u64;

/// What was lent.
#[derive(Default)]
pub struct HostMemory {
    /// Ranges: address and bytes.
    ranges: Vec<(u64, u64)>,
    /// Set Features' dwords 12 to 15, for Get Features.
    attributes: [u32; 4],
    /// What was written where.
    marks: BTreeMap<u64, u64>,
    /// How many marks there were ever.
    count: u64,
}

impl HostMemory {
    /// The Host Memory Buffer Attributes data structure.
    pub(super) fn attributes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 16];
        for (index, dword) in self.attributes.iter().enumerate() {
            put(&mut bytes, 4 * index, &dword.to_le_bytes());
        }
        bytes
    }

    /// How many bytes were lent.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(_, bytes)| bytes).sum()
    }

    /// How many marks were written ever.
    pub fn uses(&self) -> u64 {
        self.count
    }

    /// Where the `nth` mark goes: all over the buffer.
    fn place(&self, nth: u64) -> Option<u64> {
        let mut offset = nth
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .checked_rem(self.bytes())?
            & !7;
        for &(address, bytes) in &self.ranges {
            if offset < bytes {
                return Some(address + offset);
            }
            offset -= bytes;
        }
        None
    }
}

impl Controller {
    /// Set Features, Host Memory Buffer.
    pub(super) fn set_host_memory(&mut self, taken: &Taken, value: u32) -> Result<Answer, Answer> {
        if value & ENABLE == 0 {
            self.check_marks();
            self.admin.features.memory = HostMemory::default();
            return Ok(Answer::DONE);
        }
        let command = &taken.command;
        let (size, low, high, count) = (
            command.cdw12.get(),
            command.cdw13.get(),
            command.cdw14.get(),
            command.cdw15.get(),
        );
        if self.admin.features.memory.bytes() != 0 {
            return Err(Answer::refused(Status::COMMAND_SEQUENCE_ERROR));
        }
        let list = u64::from(low & !0xf) | (u64::from(high) << 32);
        let ranges = self.ranges(taken, list, count);
        let pages: u64 = ranges.iter().map(|(_, bytes)| bytes / PAGE).sum();
        let refusal = if size < LEAST {
            format!("a host memory buffer of {size} pages, HMMIN is {LEAST}")
        } else if low & 0xf != 0 {
            format!("the host memory descriptor list's address {low:#x} is no multiple of 16")
        } else if count == 0 || count > DESCRIPTORS.into() {
            format!("{count} host memory descriptors, HMMAXD is {DESCRIPTORS}")
        } else if pages != u64::from(size) {
            format!("host memory descriptors have {pages} pages, HSIZE is {size}")
        } else {
            self.admin.features.memory = HostMemory {
                ranges,
                attributes: [size, low, high, count],
                ..HostMemory::default()
            };
            return Ok(Answer::DONE);
        };
        self.host_memory_complaint(&refusal);
        Err(Answer::refused(Status::INVALID_FIELD))
    }

    /// What the descriptor list says, up to the first entry that breaks the rules.
    fn ranges(&mut self, taken: &Taken, list: u64, count: u32) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        let mut entry = [0; 16];
        for index in 0..u64::from(count.min(DESCRIPTORS.into())) {
            let at = list.saturating_add(16 * index);
            if let Err(fault) = self.memory.read(at, &mut entry) {
                self.host_memory_complaint(&format!("descriptor {index}: {fault}"));
                break;
            }
            let (address, pages) = (number(&entry[..8]), number(&entry[8..12]));
            let bytes = pages * PAGE;
            let end = address.checked_add(bytes);
            let overlaps = ranges
                .iter()
                .any(|(start, size)| address < start + size && end.is_none_or(|end| *start < end));
            let mapped = self.memory.holds(address, bytes, true);
            if pages == 0 || address % PAGE != 0 || end.is_none() || overlaps || !mapped {
                self.host_memory_complaint(&format!(
                    "descriptor {index} has {pages} pages at {address:#x}: none, or not at a \
                     page's begin, not mapped, or in another's; command {:#06x}",
                    taken.command.cid.get()
                ));
                break;
            }
            ranges.push((address, bytes));
        }
        ranges
    }

    /// A command was executed: something is noted in the buffer, and what was noted earlier read.
    pub(crate) fn use_host_memory(&mut self) {
        let memory = &mut self.admin.features.memory;
        let Some(place) = memory.place(memory.count) else {
            return;
        };
        memory.count += 1;
        let mark = memory.count ^ 0x484d_4200_0000_0000;
        let oldest = memory.marks.keys().next().copied();
        if let Some(oldest) = oldest.filter(|_| memory.marks.len() >= MARKS) {
            self.check_mark(oldest);
        }
        if self.admin.features.memory.marks.contains_key(&place) {
            self.check_mark(place);
        }
        match self.memory.write(place, &mark.to_le_bytes()) {
            Ok(()) => {
                self.admin.features.memory.marks.insert(place, mark);
            }
            Err(fault) => self.host_memory_complaint(&format!("lent and taken back: {fault}")),
        }
    }

    /// The buffer is given back: all marks must still be there.
    fn check_marks(&mut self) {
        let places: Vec<u64> = self.admin.features.memory.marks.keys().copied().collect();
        for place in places {
            self.check_mark(place);
        }
    }

    fn check_mark(&mut self, place: u64) {
        let Some(mark) = self.admin.features.memory.marks.remove(&place) else {
            return;
        };
        let mut there = [0; 8];
        let text = match self.memory.read(place, &mut there) {
            Ok(()) if there == mark.to_le_bytes() => return,
            Ok(()) => format!("at {place:#x} is not what was left there"),
            Err(fault) => format!("lent and taken back: {fault}"),
        };
        self.host_memory_complaint(&text);
    }

    /// The host has lent memory that it must not, or broken the loan.
    fn host_memory_complaint(&mut self, text: &str) {
        self.complain(rules::HOST_MEMORY, text, None);
    }
}
