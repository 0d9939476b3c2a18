// SPDX-License-Identifier: MIT

//! What can happen anywhere, and what faults keep between two occasions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use nvme_proto::completion::Completion;

use super::completion::{invented, NOBODY};
use super::{Fault, Fired, Spec};
use crate::controller::{Answer, Controller, Taken};
use crate::later::{Ends, Owed};

/// What faults keep between two occasions.
#[derive(Default)]
pub struct Lies {
    /// Whether the controller is gone: nothing reaches it, and nothing comes from it.
    pub gone: bool,
    /// Until when it carries out nothing.
    pub still_until: Duration,
    /// How long the answer to the register read that is being served shall take. Whoever serves it
    /// takes it and waits, when the controller is unlocked.
    pub pause: Duration,
    /// Completions that were kept back, by submission queue.
    pub(super) held: BTreeMap<u16, Vec<Completion>>,
    /// Commands that were put aside, with how long the one in their place is late.
    pub(super) parked: BTreeMap<u16, (Taken, Duration)>,
    /// The identifier of the last Asynchronous Event Request.
    pub(super) event_cid: Option<u16>,
    /// Stops who changes a structure that was handed out.
    pub(super) rewriting: Option<Arc<AtomicBool>>,
    /// Stops who writes to an entry again and again.
    pub(super) disarmed: Arc<AtomicBool>,
    /// Doorbells of submission queues so far, and the last that was acted on of each queue.
    rings: u64,
    acted_on: BTreeMap<u16, u64>,
    /// How many queues of a number (and whether of completions) were deleted.
    deleted: BTreeMap<(u16, bool), u64>,
}

impl Lies {
    /// The controller was reset.
    pub fn reset(&mut self) {
        self.held.clear();
        self.parked.clear();
        self.acted_on.clear();
        self.event_cid = None;
        self.still_until = Duration::ZERO;
    }

    /// A command was taken from its queue.
    pub fn saw(&mut self, taken: &Taken) {
        const ASYNC_EVENT_REQUEST: u8 = 0x0c;
        if taken.sqid == 0 && taken.command.opcode == ASYNC_EVENT_REQUEST {
            self.event_cid = Some(taken.command.cid.get());
        }
    }

    /// The host does something: it may give memory back now.
    pub fn host_moves(&mut self) {
        if let Some(stop) = self.rewriting.take() {
            stop.store(true, Ordering::Release);
        }
    }

    /// A doorbell was rung that is not acted on at once. Its number.
    pub(super) fn next_ring(&mut self) -> u64 {
        self.rings += 1;
        self.rings
    }

    /// A submission queue's doorbell was rung, and is acted on.
    pub fn rang(&mut self, sqid: u16) {
        let number = self.next_ring();
        self.acted_on.insert(sqid, number);
    }

    /// Whether a doorbell of earlier is to be acted on now: no later one was.
    pub(super) fn rang_late(&mut self, number: u64, sqid: u16) -> bool {
        let acted_on = self.acted_on.entry(sqid).or_default();
        let newer = number > *acted_on;
        *acted_on = number.max(*acted_on);
        newer
    }

    /// A queue was deleted: what is kept of it is not for the next one of its number.
    pub(super) fn queue_deleted(&mut self, qid: u16, completion: bool) {
        if !completion {
            self.held.remove(&qid);
            self.parked.remove(&qid);
        }
        *self.deleted.entry((qid, completion)).or_default() += 1;
    }

    /// Whether a completion of the queue waits for another.
    pub fn holds(&self, sqid: u16) -> bool {
        self.held.contains_key(&sqid)
    }
}

impl Controller {
    /// Does what can happen anywhere. What was about to happen goes on.
    pub(crate) fn deed(&mut self, fired: Fired) {
        match fired.kind.fault {
            Fault::Death => self.wires.end((fired.argument & 0xff) as i32),
            Fault::Gone => self.lies.gone = true,
            Fault::FatalStatus => self.registers.csts |= 2,
            Fault::ReadyDrops => {
                self.registers.csts &= !1;
                self.owe(Owed::Ready, Self::become_ready);
            }
            Fault::Forgets => {
                self.reset();
                self.registers.csts &= !1;
                self.registers.cc &= !1;
            }
            Fault::Paused => self.stand_still(fired.wait()),
            Fault::Spurious => self.raise_all(fired.times()),
            Fault::Storm => {
                let end = self.now() + fired.wait();
                self.storm(end);
            }
            Fault::Unasked => {
                let queues: Vec<u16> = self.completion.keys().copied().collect();
                for cqid in queues {
                    for _ in 0..fired.times() {
                        self.post(cqid, invented(cqid, NOBODY));
                    }
                }
            }
            Fault::Event(result) => {
                if !self.invent_events(fired.times(), result) {
                    self.log.line("fault-missed", "no event was asked for");
                }
            }
            Fault::FirmwareStarts => self.pause_for_firmware(fired.wait(), Ends::Done),
            Fault::EarlyInterrupts => {
                for vector in 0..=self.settings.queues {
                    self.wires.raise(vector);
                }
            }
            _ => {}
        }
    }

    /// Arms a fault. Tells its number.
    pub fn arm(&mut self, spec: Spec) -> u32 {
        let (line, now) = (spec.to_string(), self.now());
        let id = self.faults.arm(spec, now);
        self.log.line("armed", &format!("{id} {line}"));
        id
    }

    /// Does something after `wait`, at once if that is zero, unless faults are disarmed before.
    pub(crate) fn later_ends(
        &mut self,
        wait: Duration,
        ends: Ends,
        deed: impl FnOnce(&mut Self) + Send + 'static,
    ) {
        if wait.is_zero() {
            deed(self);
        } else {
            self.later.push(self.now() + wait, ends, Box::new(deed));
        }
    }

    /// Puts off what is done with a queue, unless that queue is deleted before.
    pub(super) fn later_in_queue(
        &mut self,
        wait: Duration,
        qid: u16,
        completion: bool,
        deed: impl FnOnce(&mut Self) + Send + 'static,
    ) {
        let deleted = move |this: &Self| this.lies.deleted.get(&(qid, completion)).copied();
        let before = deleted(self);
        self.later_ends(wait, Ends::Done, move |this| {
            if deleted(this) == before {
                deed(this);
            }
        });
    }

    /// Does something in a thread beside, if there can be one more.
    pub(super) fn beside(&mut self, work: impl FnOnce() + Send + 'static) {
        if let Err(error) = std::thread::Builder::new().spawn(work) {
            self.log.line("fault-missed", &error.to_string());
        }
    }

    /// Disarms all faults and ends what they made last.
    pub fn disarm(&mut self) {
        self.faults.disarm();
        self.settle();
    }

    /// Disarms one fault. Tells whether there was such a one. With the last of them ends what they made
    /// last.
    pub fn disarm_one(&mut self, id: u32) -> bool {
        let there = self.faults.disarm_one(id);
        if self.faults.is_empty() {
            self.settle();
        }
        there
    }

    /// The controller is well again: what faults keep back or put off is done now, and what they go on
    /// doing ends. What they have thrown away (completions, commands, doorbells, interrupts) is gone.
    fn settle(&mut self) {
        self.lies.gone = false;
        self.lies.still_until = Duration::ZERO;
        self.lies.pause = Duration::ZERO;
        self.lies.host_moves();
        let stop = std::mem::take(&mut self.lies.disarmed);
        stop.store(true, Ordering::Release);
        for deed in self.later.settle() {
            deed(self);
        }
        for (taken, _) in std::mem::take(&mut self.lies.parked).into_values() {
            self.carry_out(taken);
        }
        let held: Vec<u16> = self.lies.held.keys().copied().collect();
        for sqid in held {
            self.release(sqid);
        }
        self.drain_all();
        self.tell();
    }

    /// Carries out what was submitted while nothing was.
    pub(crate) fn drain_all(&mut self) {
        let queues: Vec<u16> = self.submission.keys().copied().collect();
        for sqid in queues {
            self.drain(sqid);
        }
    }

    /// Completes Asynchronous Event Requests, which are used up by that; when none waits, the last one
    /// again. Tells whether there ever was one.
    fn invent_events(&mut self, times: u64, result: u32) -> bool {
        for _ in 0..times {
            let entry = match (self.admin.events.requests.pop_front(), self.lies.event_cid) {
                (Some(request), _) => self.entry(&request, Answer::with(result.into())),
                (None, Some(cid)) => Completion {
                    result: result.into(),
                    ..invented(0, cid)
                },
                (None, None) => return false,
            };
            self.post(0, entry);
        }
        true
    }

    /// Carries out nothing for a while, then what was submitted meanwhile.
    fn stand_still(&mut self, wait: Duration) {
        self.lies.still_until = self.now() + wait;
        self.later_ends(wait, Ends::Done, Self::drain_all);
    }
}
