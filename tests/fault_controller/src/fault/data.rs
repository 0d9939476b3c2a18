// SPDX-License-Identifier: MIT

//! Faults of data on its way.
//!
//! What is done after the completion goes to the places that were named before it, whoever has them
//! then; it is never held against the driver.

use std::time::Duration;

use nvme_proto::status::Status;
use nvme_proto::PAGE;

use super::{Fault, Fired};
use crate::controller::{Answer, Controller, Taken};
use crate::data::{self, Piece};

/// An address that no host has mapped.
const NOWHERE: u64 = 0x0000_7fff_ffff_0000;

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
        pieces: &mut [Piece],
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
                self.later(wait, move |this| {
                    if let Ok(pieces) = data::pieces(&this.memory, &command, blocks.len()) {
                        let _ = data::scatter(&this.memory, &pieces, &blocks);
                    }
                });
            }
            _ => {}
        }
        None
    }

    /// The first page to somewhere else; what of the piece is behind it, nowhere.
    fn misplace(&self, pieces: &mut [Piece]) {
        let Some(piece) = pieces.first_mut() else {
            return;
        };
        if let Some(other) = self.memory.another_page(piece.address, PAGE.into()) {
            piece.address = other;
            piece.length = piece.length.min(PAGE as usize);
        }
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
        self.later(wait, move |this| {
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
