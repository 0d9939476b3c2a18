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

/// Kinds that lie about less than others at their place: what they do is only late, or not at all, and
/// the judge sees the entries that are posted.
const HARMLESS: &[&str] = &[
    "command-ignored",
    "completion-late",
    "completion-lost",
    "deaf",
    "deaf-io",
    "flush-ignored",
];

impl Deceit {
    /// A fault happens.
    pub(super) fn fired(&mut self, hook: Hook, occasion: &Occasion, fired: &Fired) {
        let name = fired.kind.name;
        let admin = occasion.queue == Some(0);
        let about: &[Trust] = match hook {
            _ if fired.kind.hook == Hook::Anywhere => &[Trust::Status, Trust::Rings, Trust::Admin],
            Hook::RegisterRead => match occasion.offset {
                Some(offset::INTMS..=offset::ACQ) => &[Trust::Status],
                _ => &[Trust::Capabilities],
            },
            Hook::RegisterWrite | Hook::Enable | Hook::Disable | Hook::Shutdown => &[Trust::Status],
            Hook::Reset => &[Trust::Status, Trust::Rings],
            Hook::Structure | Hook::Grant => &[Trust::Structures],
            Hook::Command | Hook::Completion if HARMLESS.contains(&name) && !admin => &[],
            Hook::Command | Hook::Completion => &[Trust::Rings, Trust::Admin],
            Hook::Doorbell | Hook::Consumed | Hook::QueueDeleted => &[Trust::Rings],
            Hook::EventIndex => &[Trust::Rings, Trust::Memory],
            Hook::Data => &[Trust::Memory],
            Hook::Interrupt | Hook::Time | Hook::Anywhere => &[],
        };
        for trust in about {
            self.told.entry(*trust).or_insert(name);
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
