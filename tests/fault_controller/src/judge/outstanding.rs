// SPDX-License-Identifier: MIT

//! Commands of which only so many may be outstanding: Abort and Asynchronous Event Request.
//!
//! They count from their doorbell on. The controller may be done with one before it takes the next, so
//! what is in the ring is looked at there.

use nvme_proto::command::Command;
use zerocopy::IntoBytes as _;

use super::{rules, story, Judge};
use crate::controller::{Controller, Taken};
use crate::queue::SQE_BYTES;

/// Abort and Asynchronous Event Request.
const ABORT: u8 = 0x08;
const EVENT_REQUEST: u8 = 0x0c;

impl Judge {
    /// The admin queue's doorbell is told of a new tail, while the queue still has the old one.
    pub(super) fn submitted(&mut self, this: &Controller, tail: u32) {
        let Some(queue) = this.submission.get(&0) else {
            return;
        };
        let (mut waiting, mut new) = (Vec::new(), false);
        let mut slot = queue.head;
        while slot != tail {
            new |= slot == queue.tail;
            let mut command = Command::default();
            let at = queue.base.wrapping_add(u64::from(slot) * SQE_BYTES);
            if this.memory.read(at, command.as_mut_bytes()).is_err() {
                // That it cannot be reached is found where the command is taken.
                return;
            }
            waiting.push((new, command));
            slot = (slot + 1) % queue.entries;
        }
        let id = this.identify_controller();
        for (rule, name, opcode, limit) in [
            (rules::ABORTS, "Aborts", ABORT, id.acl),
            (
                rules::EVENT_REQUESTS,
                "Asynchronous Event Requests",
                EVENT_REQUEST,
                id.aerl,
            ),
        ] {
            let mut same = waiting.iter().filter(|(_, one)| one.opcode == opcode);
            let count = self.rings.outstanding(opcode) + same.clone().count();
            // What was complained of before is not new.
            let last = same.rfind(|(new, _)| *new);
            if let Some((_, command)) = last.filter(|_| count > usize::from(limit) + 1) {
                let taken = Taken {
                    sqid: 0,
                    command: *command,
                };
                let seen = format!("{count} {name} are outstanding");
                self.complain(rule, &seen, story::of(this, &taken));
            }
        }
    }
}
