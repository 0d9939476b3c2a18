// SPDX-License-Identifier: MIT

//! Creation and deletion of queues, and the memory that they have (Base 3.3.1, 5.2).

use std::ops::Range;

use nvme_proto::register::{Cap, Cc};
use nvme_proto::PAGE;

use super::{rules, Broken};
use crate::controller::{Controller, Taken};
use crate::pci::VECTORS;
use crate::queue::{CQE_BYTES, SQE_BYTES};

/// A queue's memory.
pub(super) fn region(base: u64, entries: u32, bytes: u64) -> Range<u64> {
    base..base.saturating_add(u64::from(entries) * bytes)
}

/// Whether two stretches have a byte in common.
pub(super) fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// The memory of all live queues, with their names.
pub(super) fn regions(this: &Controller) -> Vec<(String, Range<u64>)> {
    let submission = this.submission.values().map(|queue| {
        let place = region(queue.base, queue.entries, SQE_BYTES);
        (format!("submission queue {}", queue.id), place)
    });
    let completion = this.completion.values().map(|queue| {
        let place = region(queue.base, queue.entries, CQE_BYTES);
        (format!("completion queue {}", queue.id), place)
    });
    submission.chain(completion).collect()
}

/// Why a queue cannot have this memory.
pub(super) fn unusable(
    this: &Controller,
    name: &str,
    place: &Range<u64>,
    write: bool,
    others: &[(String, Range<u64>)],
) -> Option<Broken> {
    if !this
        .memory
        .holds(place.start, place.end - place.start, write)
    {
        let seen = format!("{name} at {:#x}..{:#x}", place.start, place.end);
        return Some((rules::QUEUE_UNMAPPED, seen));
    }
    let (other, there) = others.iter().find(|(_, other)| overlap(place, other))?;
    let seen = format!(
        "{name} at {:#x}..{:#x} and {other} at {:#x}..{:#x}",
        place.start, place.end, there.start, there.end
    );
    Some((rules::QUEUE_OVERLAP, seen))
}

/// Create I/O Completion Queue and Create I/O Submission Queue.
fn create(this: &Controller, taken: &Taken, completion: bool) -> Option<Broken> {
    let command = &taken.command;
    let (cdw10, cdw11) = (command.cdw10.get(), command.cdw11.get());
    let (id, entries) = ((cdw10 & 0xffff) as u16, (cdw10 >> 16) + 1);
    let cap = Cap::from_raw(this.registers.cap);
    let cc = Cc::from_raw(this.registers.cc);
    let (kind, size, right, exists) = if completion {
        let exists = this.completion.contains_key(&id);
        ("completion", cc.iocqes(), 4, exists)
    } else {
        let exists = this.submission.contains_key(&id);
        ("submission", cc.iosqes(), 6, exists)
    };
    let name = format!("{kind} queue {id}");
    let base = command.prp1.get();
    if id == 0 || exists {
        return Some((rules::QUEUE_ID, format!("{name} is there already")));
    }
    let last = this.last_queue(completion);
    if u32::from(id) > last {
        let seen = format!("{name}, where {last} are granted");
        return Some((rules::QUEUE_NOT_GRANTED, seen));
    }
    if entries < 2 || entries > u32::from(cap.mqes()) + 1 {
        return Some((rules::QUEUE_SIZE, format!("{name} of {entries} entries")));
    }
    if cdw11 & 1 == 0 && cap.cqr() {
        return Some((rules::QUEUE_CONTIGUOUS, format!("{name} with PC 0")));
    }
    if base % u64::from(PAGE) != 0 {
        return Some((rules::QUEUE_BASE, format!("{name} at {base:#x}")));
    }
    if size != right {
        let seen = format!("{name} with entries of 2^{size} bytes in CC");
        return Some((rules::QUEUE_ENTRY_SIZE, seen));
    }
    let high = (cdw11 >> 16) as u16;
    if completion && cdw11 & 2 != 0 && high >= VECTORS {
        let seen = format!("{name} with vector {high}, there are {VECTORS}");
        return Some((rules::QUEUE_VECTOR, seen));
    }
    if !completion && (high == 0 || !this.completion.contains_key(&high)) {
        let seen = format!("{name} with completion queue {high}");
        return Some((rules::QUEUE_CQ_MISSING, seen));
    }
    let bytes = if completion { CQE_BYTES } else { SQE_BYTES };
    let place = region(base, entries, bytes);
    unusable(this, &name, &place, completion, &regions(this))
}

/// Delete I/O Completion Queue and Delete I/O Submission Queue.
fn delete(this: &Controller, taken: &Taken, completion: bool) -> Option<Broken> {
    let id = (taken.command.cdw10.get() & 0xffff) as u16;
    let exists = if completion {
        this.completion.contains_key(&id)
    } else {
        this.submission.contains_key(&id)
    };
    if id == 0 || !exists {
        let kind = if completion {
            "completion"
        } else {
            "submission"
        };
        let seen = format!("{kind} queue {id} is no I/O queue that there is");
        return Some((rules::QUEUE_DELETE, seen));
    }
    let user = this.submission.values().find(|queue| queue.cqid == id);
    let user = user.filter(|_| completion)?;
    let seen = format!("completion queue {id} has submission queue {}", user.id);
    Some((rules::QUEUE_CQ_FIRST, seen))
}

/// The commands that create and delete queues.
pub(super) fn check(this: &Controller, taken: &Taken) -> Option<Broken> {
    match taken.command.opcode {
        0x00 => delete(this, taken, false),
        0x01 => create(this, taken, false),
        0x04 => delete(this, taken, true),
        0x05 => create(this, taken, true),
        _ => None,
    }
}
