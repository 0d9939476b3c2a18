// SPDX-License-Identifier: MIT

//! Copy (NVM 3.3.2) inside of a namespace without protection information.

use nvme_proto::status::Status;

use super::{outcome, FUA};
use crate::controller::{Answer, Controller, Taken};
use crate::data::number;
use crate::namespace::Namespace;

/// MSSRL: the most blocks of a source range.
pub const RANGE_BLOCKS: u16 = 256;

/// MCL: the most blocks of a command.
pub const BLOCKS: u32 = 1024;

/// MSRC: the most source ranges; counts from 0.
pub const RANGES: u8 = 15;

/// Bytes of a source range of format 0.
const ENTRY: usize = 32;

impl Controller {
    /// Executes a Copy: all is read before anything is written.
    pub(super) fn copy(&mut self, taken: &Taken) -> Answer {
        let command = &taken.command;
        let to = u64::from(command.cdw10.get()) | (u64::from(command.cdw11.get()) << 32);
        let (cdw12, nsid) = (command.cdw12.get(), command.nsid.get());
        let count = (cdw12 & 0xff) as u8;
        if (cdw12 >> 8) & 0xf != 0 {
            return Answer::refused(Status::INVALID_FIELD);
        }
        let protected = self.format_of(taken).is_some();
        if protected || count > RANGES {
            return Answer::refused(Status::COMMAND_SIZE_LIMIT_EXCEEDED);
        }
        let list = match self.take_data(taken, (usize::from(count) + 1) * ENTRY) {
            Ok(list) => list,
            Err(answer) => return answer,
        };
        let ranges: Vec<(u64, u64)> = list
            .chunks_exact(ENTRY)
            .map(|entry| (number(&entry[8..16]), number(&entry[16..18]) + 1))
            .collect();
        let total: u64 = ranges.iter().map(|(_, count)| count).sum();
        let Some(namespace) = self.namespaces.get_mut(&nsid) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        if ranges.iter().any(|(_, count)| *count > RANGE_BLOCKS.into()) || total > BLOCKS.into() {
            return Answer::refused(Status::COMMAND_SIZE_LIMIT_EXCEEDED);
        }
        let all_there = ranges
            .iter()
            .all(|&(first, count)| namespace.holds(first, count));
        if !all_there || !namespace.holds(to, total) {
            return Answer::refused(Status::LBA_OUT_OF_RANGE);
        }
        if ranges
            .iter()
            .any(|&(from, count)| from < to + total && to < from + count)
        {
            return Answer::refused(Status::OVERLAPPING_IO_RANGE);
        }
        let Some(blocks) = read_all(namespace, &ranges) else {
            return Answer {
                result: 0,
                status: Status::UNRECOVERED_READ_ERROR,
            };
        };
        let done = namespace.write(to, &blocks);
        let done = done.and_then(|()| match cdw12 & FUA {
            0 => Ok(()),
            _ => namespace.flush(),
        });
        outcome(done.is_ok())
    }
}

/// The blocks of all ranges, one after the other.
fn read_all(namespace: &Namespace, ranges: &[(u64, u64)]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for &(first, count) in ranges {
        if namespace.is_spoilt(first, count) {
            return None;
        }
        let mut part = vec![0; (count as usize) << namespace.lbads];
        namespace.read(first, &mut part).ok()?;
        all.extend(part);
    }
    Some(all)
}
