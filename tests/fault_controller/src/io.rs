// SPDX-License-Identifier: MIT

//! The NVM Command Set (NVM 3.2): reads, writes, flushes and what else a block device does.

use nvme_proto::command::{NvmOpcode, NSID_ALL};
use nvme_proto::dsm::RANGE_BYTES;
use nvme_proto::status::Status;

use crate::controller::{Answer, Controller, Taken};
use crate::data;
use crate::fault::Hook;

/// CDW11 of Dataset Management: Attribute - Deallocate.
const DEALLOCATE: u32 = 1 << 2;

/// The first block and the number of blocks of a command that has them in CDW10 to CDW12.
fn range(taken: &Taken) -> (u64, u64) {
    let command = &taken.command;
    let first = u64::from(command.cdw10.get()) | (u64::from(command.cdw11.get()) << 32);
    (first, u64::from(command.cdw12.get() & 0xffff) + 1)
}

impl Controller {
    /// Executes an I/O command.
    pub fn io_command(&mut self, taken: &Taken) -> Answer {
        use NvmOpcode as Op;
        let (opcode, nsid) = (taken.command.opcode, taken.command.nsid.get());
        if opcode == Op::Flush as u8 && nsid == NSID_ALL {
            let flushed = self.namespaces.values().all(|ns| ns.flush().is_ok());
            return outcome(flushed);
        }
        let Some(namespace) = self.namespaces.get(&nsid) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        if opcode == Op::Flush as u8 {
            return outcome(namespace.flush().is_ok());
        }
        if opcode == Op::DatasetManagement as u8 {
            return self.dataset_management(taken);
        }
        let (first, count) = range(taken);
        if !namespace.holds(first, count) {
            return Answer::refused(Status::LBA_OUT_OF_RANGE);
        }
        if opcode == Op::WriteZeroes as u8 {
            return outcome(namespace.deallocate(first, count).is_ok());
        }
        if opcode == Op::Verify as u8 {
            return Answer::DONE;
        }
        let bytes = (count << namespace.lbads) as usize;
        let longest = (nvme_proto::PAGE as usize) << self.settings.mdts;
        if self.settings.mdts != 0 && bytes > longest {
            return Answer::refused(Status::INVALID_FIELD);
        }
        if opcode == Op::Read as u8 {
            self.read_blocks(taken, first, bytes)
        } else if opcode == Op::Write as u8 || opcode == Op::Compare as u8 {
            self.take_blocks(taken, first, bytes, opcode == Op::Compare as u8)
        } else {
            Answer::refused(Status::INVALID_OPCODE)
        }
    }

    /// Read: from the namespace to the host.
    fn read_blocks(&mut self, taken: &Taken, first: u64, bytes: usize) -> Answer {
        let mut pieces = match data::pieces(&self.memory, &taken.command, bytes) {
            Ok(pieces) => pieces,
            Err(fault) => return self.pointer_fault(taken, fault),
        };
        let mut blocks = vec![0; bytes];
        let read = self
            .namespaces
            .get(&taken.command.nsid.get())
            .map(|namespace| namespace.read(first, &mut blocks));
        if !matches!(read, Some(Ok(()))) {
            return Answer {
                result: 0,
                status: Status::UNRECOVERED_READ_ERROR,
            };
        }
        if let Some(fired) = self.fault(Hook::Data, &taken.occasion()) {
            self.data_fault(fired, &mut pieces, &mut blocks);
        }
        match data::scatter(&self.memory, &pieces, &blocks) {
            Ok(()) => Answer::DONE,
            Err(fault) => self.pointer_fault(taken, fault.into()),
        }
    }

    /// Write, or Compare: from the host to the namespace.
    fn take_blocks(&mut self, taken: &Taken, first: u64, bytes: usize, compare: bool) -> Answer {
        let mut pieces = match data::pieces(&self.memory, &taken.command, bytes) {
            Ok(pieces) => pieces,
            Err(fault) => return self.pointer_fault(taken, fault),
        };
        let fired = self.fault(Hook::Data, &taken.occasion());
        let mut blocks = match data::gather(&self.memory, &pieces) {
            Ok(blocks) => blocks,
            Err(fault) => return self.pointer_fault(taken, fault.into()),
        };
        if let Some(fired) = fired {
            self.data_fault(fired, &mut pieces, &mut blocks);
        }
        let Some(namespace) = self.namespaces.get(&taken.command.nsid.get()) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        if compare {
            let mut there = vec![0; bytes];
            return match namespace.read(first, &mut there) {
                Ok(()) if there == blocks => Answer::DONE,
                _ => Answer::refused(Status::COMPARE_FAILURE),
            };
        }
        outcome(namespace.write(first, &blocks).is_ok())
    }

    /// Dataset Management (NVM 3.2.3): deallocates ranges; other attributes are hints.
    fn dataset_management(&mut self, taken: &Taken) -> Answer {
        let ranges = (taken.command.cdw10.get() & 0xff) as usize + 1;
        let pieces = match data::pieces(&self.memory, &taken.command, ranges * RANGE_BYTES) {
            Ok(pieces) => pieces,
            Err(fault) => return self.pointer_fault(taken, fault),
        };
        let bytes = match data::gather(&self.memory, &pieces) {
            Ok(bytes) => bytes,
            Err(fault) => return self.pointer_fault(taken, fault.into()),
        };
        let Some(namespace) = self.namespaces.get(&taken.command.nsid.get()) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        if taken.command.cdw11.get() & DEALLOCATE == 0 {
            return Answer::DONE;
        }
        let ranges: Vec<(u64, u64)> = bytes.chunks_exact(RANGE_BYTES).map(dsm_range).collect();
        if !ranges
            .iter()
            .all(|&(first, count)| namespace.holds(first, count))
        {
            return Answer::refused(Status::LBA_OUT_OF_RANGE);
        }
        outcome(
            ranges
                .iter()
                .all(|&(first, count)| namespace.deallocate(first, count).is_ok()),
        )
    }
}

/// A range of Dataset Management: where it begins, and its blocks.
fn dsm_range(bytes: &[u8]) -> (u64, u64) {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    };
    (number(&bytes[8..16]), number(&bytes[4..8]))
}

/// Success, or an error of the backing file.
fn outcome(good: bool) -> Answer {
    if good {
        Answer::DONE
    } else {
        Answer {
            result: 0,
            status: Status::INTERNAL_ERROR,
        }
    }
}
