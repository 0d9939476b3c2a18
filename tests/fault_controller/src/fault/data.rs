// SPDX-License-Identifier: MIT

//! Faults of data on its way.
//!
//! What is done after the completion goes to the places that were named before it, whoever has them
//! then; it is never held against the driver.

use std::time::Duration;

use nvme_proto::dsm::RANGE_BYTES;
use nvme_proto::status::Status;
use nvme_proto::PAGE;

use super::{Fault, Fired};
use crate::controller::{Answer, Controller, Taken};
use crate::data::{self, Piece};
use crate::later::Ends;

/// An address that no host has mapped.
const NOWHERE: u64 = 0x0000_7fff_ffff_0000;

/// The most ranges of a Dataset Management.
const MOST_RANGES: usize = 256;

/// The least time after a completion.
const AFTER: Duration = Duration::from_millis(1);

impl Controller {
    /// Before data is moved, of a read (`blocks` on the way to `pieces`) or a write (fetched from
    /// them): where it goes and what it is can be changed. An answer means that no more is to be done.
    pub(crate) fn data_fault(
        &mut self,
        fired: Fired,
        taken: &Taken,
        first: u64,
        pieces: &mut Vec<Piece>,
        blocks: &mut [u8],
    ) -> Option<Answer> {
        let wait = fired.wait().max(AFTER);
        match fired.kind.fault {
            Fault::Misplaced => self.misplace(pieces),
            Fault::Unmapped => return Some(self.move_nowhere(taken, blocks)),
            Fault::NotMoved => return Some(Answer::DONE),
            Fault::Flipped => flip(fired.argument, blocks),
            Fault::PagesSwapped => swap(blocks),
            Fault::DataShort => {
                let count = usize::try_from(fired.argument).unwrap_or(usize::MAX);
                let part = blocks.get(..count).unwrap_or(blocks);
                let _ = data::scatter(&self.memory, pieces, part);
                return Some(Answer::DONE);
            }
            Fault::OtherBlock => return self.move_other(taken, first, blocks),
            Fault::AfterCompletion => {
                self.move_later(wait, taken, first, pieces.to_vec(), blocks.to_vec());
                return Some(Answer::DONE);
            }
            Fault::RewrittenAfter => {
                self.move_later(wait, taken, first, pieces.to_vec(), blocks.to_vec());
            }
            Fault::ListReread => {
                let (command, blocks) = (taken.command, blocks.to_vec());
                self.later_ends(wait, Ends::Dropped, move |this| {
                    if let Ok(pieces) = data::pieces(&this.memory, &command, blocks.len()) {
                        let _ = data::scatter(&this.memory, &pieces, &blocks);
                    }
                });
            }
            _ => {}
        }
        None
    }

    /// The first page to somewhere else; what of the piece is behind it stays where it should be.
    fn misplace(&mut self, pieces: &mut Vec<Piece>) {
        let Some(first) = pieces.first().copied() else {
            return;
        };
        let Some(address) = self.memory.another_page(first.address, PAGE.into()) else {
            self.log.line("fault-missed", "there is no other page");
            return;
        };
        let length = first.length.min(PAGE as usize);
        let rest = Piece {
            address: first.address.saturating_add(length as u64),
            length: first.length - length,
        };
        pieces.splice(..1, [Piece { address, length }, rest]);
        pieces.retain(|piece| piece.length > 0);
    }

    /// Before the ranges of a Dataset Management are read: as many as the command can have are read, from
    /// where the data pointer then leads. An answer means that no more is to be done.
    pub(crate) fn ranges_fault(&mut self, fired: Fired, taken: &Taken) -> Option<Answer> {
        if fired.kind.fault != Fault::RangesBeyond {
            return None;
        }
        if taken.command.flags >> 6 != 0 {
            let why = "an SGL says where the ranges end";
            self.log.line("fault-missed", why);
            return None;
        }
        let read = data::pieces(&self.memory, &taken.command, MOST_RANGES * RANGE_BYTES)
            .and_then(|pieces| Ok(data::gather(&self.memory, &pieces)?));
        read.err().map(|_| Answer {
            result: 0,
            status: Status::DATA_TRANSFER_ERROR,
        })
    }

    fn move_nowhere(&self, taken: &Taken, blocks: &mut [u8]) -> Answer {
        let moved = if reads(taken) {
            self.memory.write(NOWHERE, blocks)
        } else {
            self.memory.read(NOWHERE, blocks)
        };
        match moved {
            Ok(()) => Answer::DONE,
            Err(_) => Answer {
                result: 0,
                status: Status::DATA_TRANSFER_ERROR,
            },
        }
    }

    /// Other blocks than the command's: those in front of them, or behind them. `None` for a read,
    /// whose blocks are then on their way.
    fn move_other(&mut self, taken: &Taken, first: u64, blocks: &mut [u8]) -> Option<Answer> {
        let namespace = self.namespaces.get_mut(&taken.command.nsid.get())?;
        let count = (blocks.len() >> namespace.lbads) as u64;
        let other = first.checked_sub(count).unwrap_or(first + count);
        if !namespace.holds(other, count) {
            self.log.line("fault-missed", "there are no other blocks");
            return None;
        }
        if reads(taken) {
            let _ = namespace.read(other, blocks);
            None
        } else {
            let _ = namespace.write(other, blocks);
            Some(Answer::DONE)
        }
    }

    /// Moves the data when the command has been completed.
    fn move_later(
        &mut self,
        wait: Duration,
        taken: &Taken,
        first: u64,
        pieces: Vec<Piece>,
        blocks: Vec<u8>,
    ) {
        let (nsid, read) = (taken.command.nsid.get(), reads(taken));
        // A write that was acknowledged is owed; the memory of a read is not the controller's.
        let ends = if read { Ends::Dropped } else { Ends::Done };
        self.later_ends(wait, ends, move |this| {
            if read {
                let _ = data::scatter(&this.memory, &pieces, &blocks);
            } else if let Ok(late) = data::gather(&this.memory, &pieces) {
                if let Some(namespace) = this.namespaces.get_mut(&nsid) {
                    let _ = namespace.write(first, &late);
                }
            }
        });
    }
}

fn reads(taken: &Taken) -> bool {
    const READ: u8 = 0x02;
    taken.command.opcode == READ
}

fn flip(bit: u64, blocks: &mut [u8]) {
    let length = blocks.len() as u64;
    let place = (bit / 8).checked_rem(length).unwrap_or(0) as usize;
    if let Some(byte) = blocks.get_mut(place) {
        *byte ^= 1 << (bit % 8);
    }
}

/// The first two pages for each other, or the halves of what is shorter.
fn swap(blocks: &mut [u8]) {
    let size = (PAGE as usize).min(blocks.len() / 2);
    let (one, two) = blocks.split_at_mut(size);
    if let Some(two) = two.get_mut(..size) {
        one.swap_with_slice(two);
    }
}
