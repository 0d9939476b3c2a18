// SPDX-License-Identifier: MIT

//! What the controller has lied about, so that no driver is blamed for having believed it.
//!
//! This is the one place that knows it. [`Deceit::fired`] is told of every fault as it fires, by where
//! it fires; each [`Rule`] names what a driver must have been told rightly to keep it. A complaint that
//! a lie could have caused is written down as excused, and fails nothing.
//!
//! It excuses more than it must rather than less: after a fault in its identify data a controller
//! cannot prove that the driver's command was too long. So the rules are judged in runs without faults,
//! and with faults of other kinds.

use std::collections::BTreeMap;

use nvme_proto::register::offset;

use super::rules::Rule;
use crate::fault::{Fired, Hook, Occasion};

/// What a driver believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Registers that say what the controller can do: CAP, VS, CRTO, and the memory buffer's.
    Capabilities,
    /// Registers that say how it is, and that what was written to one has arrived: until it is
    /// enabled again in the right order.
    Status,
    /// Identify data, lists, log pages, and the number of queues granted.
    Structures,
    /// What the completions of admin commands say about queues and features: until a reset.
    Admin,
    /// What is in completion queues, and in which order: until a reset.
    Rings,
    /// That the controller writes only where it was told to, and reads what is there.
    Memory,
}

/// The lies, each with the fault that told it first.
#[derive(Default)]
pub(super) struct Deceit {
    told: BTreeMap<Trust, &'static str>,
}

/// Kinds that mislead nobody, whatever is usual at their place: what they do is late, or not done, or
/// changes only what nobody judges: the data of blocks, the status of I/O. The judge sees the entries
/// that are posted.
const HARMLESS: &[&str] = &[
    "completion-lost",
    "completion-late",
    "completion-reordered",
    "completion-interrupt-early",
    "completion-error",
    "completion-error-dnr",
    "completion-error-unknown",
    "completion-error-random",
    "completion-retry-later",
    "data-short",
    "data-not-moved",
    "data-flipped",
    "data-other-block",
    "data-pages-swapped",
    "write-lost",
    "write-flipped",
    "write-other-block",
    "ranges-read-beyond",
    "register-slow",
    "stands-still",
    "firmware-activation",
    "interrupt-spurious",
    "interrupt-burst",
    "interrupt-storm",
    "interrupt-while-enabling",
];

/// Kinds that write to an entry more than once.
const WRITES_ON: &[&str] = &["completion-torn", "completion-rewritten"];

/// What a fault misleads about.
fn misleads(occasion: &Occasion, fired: &Fired) -> &'static [Trust] {
    let admin = occasion.queue == Some(0);
    match fired.kind.hook {
        // Of an admin command's answer a driver makes queues, and what it takes the controller for.
        Hook::Command | Hook::Completion if admin => {
            &[Trust::Rings, Trust::Admin, Trust::Structures]
        }
        _ if HARMLESS.contains(&fired.kind.name) => &[],
        Hook::Command | Hook::Interrupt => &[],
        // These go on writing to an entry when its queue may be gone.
        Hook::Completion if WRITES_ON.contains(&fired.kind.name) => &[Trust::Rings, Trust::Memory],
        Hook::Completion | Hook::Consumed | Hook::Doorbell | Hook::EventIndex => &[Trust::Rings],
        Hook::RegisterRead => match occasion.offset {
            Some(offset::INTMS..=offset::ACQ) => &[Trust::Status],
            _ => &[Trust::Capabilities],
        },
        // A queue's address that did not arrive has the controller read what was no queue.
        Hook::RegisterWrite => &[Trust::Status, Trust::Memory],
        Hook::Enable | Hook::Disable | Hook::Shutdown => &[Trust::Status],
        Hook::Structure | Hook::Grant => &[Trust::Structures],
        // Entries where there was a queue.
        Hook::Reset | Hook::QueueDeleted => &[Trust::Rings, Trust::Memory],
        Hook::Data => &[Trust::Memory],
        Hook::Time | Hook::Anywhere => &[Trust::Status, Trust::Rings, Trust::Admin],
    }
}

impl Deceit {
    /// A fault happens.
    pub(super) fn fired(&mut self, occasion: &Occasion, fired: &Fired) {
        for trust in misleads(occasion, fired) {
            self.told.entry(*trust).or_insert(fired.kind.name);
        }
    }

    /// The controller was reset: the driver begins anew with its queues.
    pub(super) fn reset(&mut self) {
        self.told.remove(&Trust::Admin);
        self.told.remove(&Trust::Rings);
    }

    /// The driver has enabled a controller that had stopped, as it must.
    pub(super) fn enabled(&mut self) {
        self.told.remove(&Trust::Status);
    }

    /// The fault that could have made the driver break a rule.
    pub(super) fn excuse(&self, rule: &Rule) -> Option<&'static str> {
        rule.trusts
            .iter()
            .find_map(|trust| self.told.get(trust).copied())
    }
}
