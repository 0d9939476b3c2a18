// SPDX-License-Identifier: MIT

//! The NVM Command Set (NVM 3.3): reads, writes, flushes and what else a block device does.
//!
//! Reservations are in `io/reservations.rs`, protection information in `io/protection.rs`, Copy in
//! `io/copy.rs`.

use nvme_proto::command::{NvmOpcode, NSID_ALL};
use nvme_proto::dsm::RANGE_BYTES;
use nvme_proto::feature::FeatureId;
use nvme_proto::status::Status;
use nvme_proto::PAGE;

use crate::controller::{Answer, Controller, Taken};
use crate::data;
use crate::data::number;
use crate::fault::Hook;

pub mod copy;
pub mod protection;
pub mod reservations;

/// CDW11 of Dataset Management: Attribute - Deallocate.
const DEALLOCATE: u32 = 1 << 2;

/// CDW12: Force Unit Access.
const FUA: u32 = 1 << 30;

/// CDW12 of Write Zeroes: Deallocate.
const DEAC: u32 = 1 << 25;

/// VSL: log2 of the most that a Verify reads, in pages.
pub const VERIFY_LIMIT: u8 = 8;

/// The bits of a command's flags that say whether it is fused.
const FUSE: u8 = 3;

/// Opcodes of I/O commands that no driver here sends yet, and all that are executed.
pub mod opcode {
    use super::NvmOpcode as Op;

    /// Reservation Register.
    pub const RESERVATION_REGISTER: u8 = 0x0d;
    /// Reservation Report.
    pub const RESERVATION_REPORT: u8 = 0x0e;
    /// Reservation Acquire.
    pub const RESERVATION_ACQUIRE: u8 = 0x11;
    /// Reservation Release.
    pub const RESERVATION_RELEASE: u8 = 0x15;
    /// Copy.
    pub const COPY: u8 = 0x19;

    /// Those about reservations.
    pub const RESERVATIONS: [u8; 4] = [
        RESERVATION_REGISTER,
        RESERVATION_REPORT,
        RESERVATION_ACQUIRE,
        RESERVATION_RELEASE,
    ];

    /// What the controller executes.
    pub const ALL: [u8; 13] = [
        Op::Flush as u8,
        Op::Write as u8,
        Op::Read as u8,
        Op::WriteUncorrectable as u8,
        Op::Compare as u8,
        Op::WriteZeroes as u8,
        Op::DatasetManagement as u8,
        Op::Verify as u8,
        RESERVATION_REGISTER,
        RESERVATION_REPORT,
        RESERVATION_ACQUIRE,
        RESERVATION_RELEASE,
        COPY,
    ];
}

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
        if !opcode::ALL.contains(&opcode) {
            return Answer::refused(Status::INVALID_OPCODE);
        }
        let flags = taken.command.flags;
        if flags & FUSE != 0 || !self.settings.sgl && flags >> 6 != 0 {
            return Answer::refused(Status::INVALID_FIELD);
        }
        self.use_host_memory();
        if opcode == Op::Flush as u8 && nsid == NSID_ALL {
            let flushed = self.namespaces.values().all(|ns| ns.flush().is_ok());
            return outcome(flushed);
        }
        let Some(namespace) = self.namespaces.get(&nsid) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        if let Some(status) = self.forbidden(taken) {
            return Answer::refused(status);
        }
        if opcode == Op::Flush as u8 {
            outcome(namespace.flush().is_ok())
        } else if opcode::RESERVATIONS.contains(&opcode) {
            self.reservation_command(taken)
        } else if opcode == Op::DatasetManagement as u8 {
            self.dataset_management(taken)
        } else if opcode == opcode::COPY {
            self.copy(taken)
        } else {
            self.range_command(taken)
        }
    }

    /// A command on one range of blocks.
    fn range_command(&mut self, taken: &Taken) -> Answer {
        use NvmOpcode as Op;
        let opcode = taken.command.opcode;
        let (first, count) = range(taken);
        let Some(namespace) = self.namespaces.get_mut(&taken.command.nsid.get()) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        if !namespace.holds(first, count) {
            return Answer::refused(Status::LBA_OUT_OF_RANGE);
        }
        if opcode == Op::WriteUncorrectable as u8 {
            namespace.spoil(first, count);
            return Answer::DONE;
        }
        let bytes = (count << namespace.lbads) as usize;
        if opcode == Op::WriteZeroes as u8 {
            return self.write_zeroes(taken, first, count);
        }
        if opcode == Op::Verify as u8 {
            return self.verify(taken, first, bytes);
        }
        if self
            .settings
            .longest_transfer()
            .is_some_and(|longest| bytes as u64 > longest)
        {
            return Answer::refused(Status::INVALID_FIELD);
        }
        let sectors = (bytes / 512) as u64;
        if opcode == Op::Write as u8 {
            self.kept.health.writes += 1;
            self.kept.health.sectors_written += sectors;
            self.take_blocks(taken, first, bytes, false)
        } else {
            self.kept.health.reads += 1;
            self.kept.health.sectors_read += sectors;
            if opcode == Op::Compare as u8 {
                self.take_blocks(taken, first, bytes, true)
            } else {
                self.read_blocks(taken, first, bytes)
            }
        }
    }

    /// Reads blocks with their tuples from the medium.
    fn blocks(&self, nsid: u32, first: u64, bytes: usize) -> Result<(Vec<u8>, Vec<u8>), Answer> {
        let error = Answer {
            result: 0,
            status: Status::UNRECOVERED_READ_ERROR,
        };
        let namespace = self.namespaces.get(&nsid).ok_or(error)?;
        let count = (bytes as u64) >> namespace.lbads;
        if namespace.is_spoilt(first, count) {
            return Err(error);
        }
        let mut blocks = vec![0; bytes];
        namespace.read(first, &mut blocks).map_err(|_| error)?;
        let tuples = namespace.read_tuples(first, count).map_err(|_| error)?;
        Ok((blocks, tuples))
    }

    /// Read: from the namespace to the host.
    fn read_blocks(&mut self, taken: &Taken, first: u64, bytes: usize) -> Answer {
        let mut pieces = match data::pieces(&self.memory, &taken.command, bytes) {
            Ok(pieces) => pieces,
            Err(fault) => return self.pointer_fault(taken, fault),
        };
        self.judge_data(taken, &pieces);
        let (mut blocks, tuples) = match self.blocks(taken.command.nsid.get(), first, bytes) {
            Ok(both) => both,
            Err(answer) => return answer,
        };
        if let Err(answer) = self.tuples_were_read(taken, &blocks, &tuples) {
            return answer;
        }
        if let Some(fired) = self.fault(Hook::Data, &taken.occasion()) {
            let answer = self.data_fault(fired, taken, first, &mut pieces, &mut blocks);
            if let Some(answer) = answer {
                return answer;
            }
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
        self.judge_data(taken, &pieces);
        let fired = self.fault(Hook::Data, &taken.occasion());
        let mut blocks = match data::gather(&self.memory, &pieces) {
            Ok(blocks) => blocks,
            Err(fault) => return self.pointer_fault(taken, fault.into()),
        };
        if let Some(fired) = fired {
            let answer = self.data_fault(fired, taken, first, &mut pieces, &mut blocks);
            if let Some(answer) = answer {
                return answer;
            }
        }
        let nsid = taken.command.nsid.get();
        if compare {
            return match self.blocks(nsid, first, bytes) {
                Ok((there, _)) if there == blocks => Answer::DONE,
                Ok(_) => Answer::refused(Status::COMPARE_FAILURE),
                Err(answer) => answer,
            };
        }
        let tuples = match self.tuples_to_write(taken, &blocks) {
            Ok(tuples) => tuples,
            Err(answer) => return answer,
        };
        let through = taken.command.cdw12.get() & FUA != 0;
        self.store_blocks(nsid, first, &blocks, &tuples, through)
    }

    /// Writes blocks with their tuples to the medium; past the cache if that is asked for, or off.
    fn store_blocks(
        &mut self,
        nsid: u32,
        first: u64,
        blocks: &[u8],
        tuples: &[u8],
        through: bool,
    ) -> Answer {
        let cached = self.feature(FeatureId::VolatileWriteCache as u8, 0) & 1 != 0;
        let Some(namespace) = self.namespaces.get_mut(&nsid) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        let stored = namespace
            .write(first, blocks)
            .and_then(|()| namespace.write_tuples(first, tuples));
        let kept = if self.settings.cache && (through || !cached) {
            stored.and_then(|()| namespace.flush())
        } else {
            stored
        };
        outcome(kept.is_ok())
    }

    /// Write Zeroes (NVM 3.3.8). With protection information the tuples fit zeros if the controller is
    /// to make them; else, and where blocks are deallocated, they turn checks off.
    fn write_zeroes(&mut self, taken: &Taken, first: u64, count: u64) -> Answer {
        let cdw12 = taken.command.cdw12.get();
        let nsid = taken.command.nsid.get();
        let format = self.format_of(taken);
        let wanted = match format.map(|(kind, _)| protection::Wanted::new(taken, kind)) {
            Some(Err(status)) => return Answer::refused(status),
            Some(Ok(wanted)) => Some(wanted),
            None => None,
        };
        let Some(namespace) = self.namespaces.get_mut(&nsid) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        let mut done = namespace.deallocate(first, count);
        if let (Some(wanted), true) = (wanted, cdw12 & DEAC == 0) {
            if wanted.by_controller() {
                let tuples = wanted.of_zeros(count);
                done = done.and_then(|()| namespace.write_tuples(first, &tuples));
            }
        }
        if cdw12 & FUA != 0 && self.settings.cache {
            done = done.and_then(|()| namespace.flush());
        }
        outcome(done.is_ok())
    }

    /// Verify (NVM 3.3.5): reads as a Read would, and moves nothing.
    fn verify(&mut self, taken: &Taken, first: u64, bytes: usize) -> Answer {
        if bytes > (PAGE as usize) << VERIFY_LIMIT {
            return Answer::refused(Status::INVALID_FIELD);
        }
        match self.blocks(taken.command.nsid.get(), first, bytes) {
            Ok((blocks, tuples)) => self.check_medium(taken, &blocks, &tuples),
            Err(answer) => answer,
        }
    }

    /// Dataset Management (NVM 3.3.3): deallocates ranges; other attributes are hints.
    fn dataset_management(&mut self, taken: &Taken) -> Answer {
        let ranges = (taken.command.cdw10.get() & 0xff) as usize + 1;
        if let Some(fired) = self.fault(Hook::Data, &taken.occasion()) {
            if let Some(answer) = self.ranges_fault(fired, taken) {
                return answer;
            }
        }
        let bytes = match self.take_data(taken, ranges * RANGE_BYTES) {
            Ok(bytes) => bytes,
            Err(answer) => return answer,
        };
        let Some(namespace) = self.namespaces.get_mut(&taken.command.nsid.get()) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        let ranges: Vec<(u64, u64)> = bytes.chunks_exact(RANGE_BYTES).map(dsm_range).collect();
        if !ranges
            .iter()
            .all(|&(first, count)| namespace.holds(first, count))
        {
            return Answer::refused(Status::LBA_OUT_OF_RANGE);
        }
        if taken.command.cdw11.get() & DEALLOCATE == 0 {
            return Answer::DONE;
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
