// SPDX-License-Identifier: MIT

//! The judge: whether the driver keeps the rules, by what the controller sees of it.
//!
//! A complaint is a mistake of the driver's: a line in the log, and it fails the run. What a fault of
//! the controller's could have caused is not held against the driver.

use std::collections::{BTreeMap, BTreeSet};

use crate::controller::Taken;
use crate::data::PointerFault;
use crate::log::Log;
use crate::memory::DmaFault;
use crate::queue::{CompletionQueue, SubmissionQueue};
use crate::registers::Registers;

/// What the judge knows, and how often it has complained.
#[derive(Default)]
pub struct Judge {
    complaints: u64,
    /// Command identifiers in flight: queue and identifier.
    in_flight: BTreeSet<(u16, u16)>,
}

impl Judge {
    /// How many complaints there were.
    pub fn complaints(&self) -> u64 {
        self.complaints
    }

    /// A mistake of the driver's.
    pub fn complain(&mut self, text: &str, log: &mut Log) {
        self.complaints += 1;
        log.line("judge", text);
    }

    /// The controller was reset: nothing is in flight.
    pub fn reset(&mut self) {
        self.in_flight.clear();
    }

    /// A register is read.
    pub fn register_read(&mut self, _at: usize, _bytes: usize) {}

    /// A register is written.
    pub fn register_written(
        &mut self,
        _old: &Registers,
        _at: usize,
        _bytes: &[u8],
        _log: &mut Log,
    ) {
    }

    /// A doorbell is rung. Tells whether the value can be acted on.
    pub fn doorbell(
        &mut self,
        queues: (
            &BTreeMap<u16, SubmissionQueue>,
            &BTreeMap<u16, CompletionQueue>,
        ),
        qid: u16,
        completion: bool,
        value: u32,
        aligned: bool,
        log: &mut Log,
    ) -> bool {
        let entries = if completion {
            queues.1.get(&qid).map(|queue| queue.entries)
        } else {
            queues.0.get(&qid).map(|queue| queue.entries)
        };
        let kind = if completion {
            "completion"
        } else {
            "submission"
        };
        match entries {
            Some(entries) if aligned && value < entries => return true,
            Some(entries) => self.complain(
                &format!(
                    "doorbell of {kind} queue {qid} is told {value}, it has {entries} entries"
                ),
                log,
            ),
            None => self.complain(
                &format!("doorbell of {kind} queue {qid}, which is not there"),
                log,
            ),
        }
        false
    }

    /// A command was taken from its queue.
    pub fn taken(&mut self, taken: &Taken, slot: u32, log: &mut Log) {
        let cid = taken.command.cid.get();
        if !self.in_flight.insert((taken.sqid, cid)) {
            let text = format!(
                "command id {cid} of queue {} is in use twice, slot {slot}: {:?}",
                taken.sqid, taken.command
            );
            self.complain(&text, log);
        }
    }

    /// An entry with this command id was posted, rightly or as a fault: the driver may use it again.
    pub fn completed(&mut self, sqid: u16, cid: u16) {
        self.in_flight.remove(&(sqid, cid));
    }

    /// A submission queue was deleted.
    pub fn queue_deleted(&mut self, sqid: u16) {
        self.in_flight.retain(|&(queue, _)| queue != sqid);
    }

    /// A command's data pointer breaks the rules.
    pub fn pointer(&mut self, taken: &Taken, fault: &PointerFault, log: &mut Log) {
        let text = format!("{fault}; queue {}: {:?}", taken.sqid, taken.command);
        self.complain(&text, log);
    }

    /// The driver gave an address that is not there.
    pub fn dma(&mut self, fault: &DmaFault, what: &str, log: &mut Log) {
        self.complain(&format!("{what}: {fault}"), log);
    }
}
