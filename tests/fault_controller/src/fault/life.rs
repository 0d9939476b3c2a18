// SPDX-License-Identifier: MIT

//! What can happen anywhere, and what faults keep between two occasions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use nvme_proto::completion::Completion;

use super::completion::{invented, NOBODY};
use super::{Fault, Fired, Spec};
use crate::controller::{Controller, Taken};

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
}

impl Lies {
    /// The controller was reset.
    pub fn reset(&mut self) {
        self.held.clear();
        self.parked.clear();
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
            Fault::Gone => {
                self.later.clear();
                self.lies.gone = true;
            }
            Fault::FatalStatus => self.registers.csts |= 2,
            Fault::ReadyDrops => self.registers.csts &= !1,
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
            Fault::Event(result) => self.invent_events(fired.times(), result),
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

    /// Does something in a thread beside, if there can be one more.
    pub(super) fn beside(&mut self, work: impl FnOnce() + Send + 'static) {
        if let Err(error) = std::thread::Builder::new().spawn(work) {
            self.log.line("fault-missed", &error.to_string());
        }
    }

    /// Disarms all faults and ends what they made last.
    pub fn disarm(&mut self) {
        self.faults.disarm();
        self.lies.gone = false;
        self.lies.still_until = Duration::ZERO;
    }

    /// Completes the last Asynchronous Event Request, as often as told.
    fn invent_events(&mut self, times: u64, result: u32) {
        let Some(cid) = self.lies.event_cid else {
            self.log.line("fault-missed", "no event was asked for");
            return;
        };
        for _ in 0..times {
            let result = result.into();
            self.post(
                0,
                Completion {
                    result,
                    ..invented(0, cid)
                },
            );
        }
    }

    /// Carries out nothing for a while, then what was submitted meanwhile.
    fn stand_still(&mut self, wait: Duration) {
        self.lies.still_until = self.now() + wait;
        self.later(wait, |this| {
            let queues: Vec<u16> = this.submission.keys().copied().collect();
            for sqid in queues {
                this.drain(sqid);
            }
        });
    }
}
