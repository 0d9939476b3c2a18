// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The world that is explored: a controller's life with requests, a device, and those who act.
//!
//! It is made of the crate's own state machine, decisions, command ids and completion ring; what
//! Linux and the device add is modelled here as simply as it can be. Each step is atomic. A rule
//! that is broken is noted in `broken`, where the search finds it.

use nvme_proto::cid::{CommandId, Generation};
use nvme_proto::life::{Answer, Event, Life, Plan, State};
use nvme_proto::ring::CompletionHead;
use nvme_proto::timeout::{after_cancel, AbortLimit, Cancelled};

/// What may be done wrong, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mistake {
    ForgetsToUnfreeze,
    ForgetsToUnquiesce,
    ForgetsToStop,
    CancelsBeforeDisabling,
    TimeoutEndsTheRequestToo,
    GenerationIgnored,
    RemovalWaitsForTheReset,
    ResetIgnoresTheRemoval,
    TwoResetsAtOnce,
    TimeoutWaitsWhileDeleting,
    AbortPermitLost,
    DisableNotConfirmed,
}

/// How much of everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    pub(crate) requests: usize,
    pub(crate) tags: usize,
    pub(crate) retries: u8,
    /// Resets that somebody asks for.
    pub(crate) resets: u8,
    /// Fatal statuses.
    pub(crate) fatals: u8,
    /// Completions that the device repeats, or sends after a reset.
    pub(crate) repeats: u8,
    /// Whether the device may vanish.
    pub(crate) may_vanish: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Its submitter has not come yet.
    Outside,
    /// In blk-mq, without a tag.
    Entered,
    InFlight {
        tag: usize,
    },
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) place: Place,
    pub(crate) retries: u8,
    pub(crate) aborted: bool,
}

/// A slot of the table of requests in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    generation: Generation,
    request: Option<usize>,
}

/// The disks and the queues, as the block layer and the driver see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Queues {
    pub(crate) disks: bool,
    pub(crate) dead: bool,
    pub(crate) frozen: bool,
    pub(crate) quiesced: bool,
    pub(crate) usable: bool,
    pub(crate) attached: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Device {
    pub(crate) present: bool,
    pub(crate) enabled: bool,
    /// Commands it works on, with the request whose data it may write.
    pub(crate) held: Vec<(u16, usize)>,
    /// Identifiers that it remembers.
    pub(crate) past: Vec<u16>,
    /// Where its next completion goes.
    tail: CompletionHead,
}

/// Somebody with a plan, and how far it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    pub(crate) plan: &'static Plan,
    pub(crate) at: usize,
}

/// The one who closes: a removal or a system's shutdown. It holds the device's lock till the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Closer {
    Away,
    /// It tells this until the answer is no longer to wait.
    Tells(Event),
    Works(Work),
    Done,
}

/// What the outside may still do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) resets: u8,
    pub(crate) fatals: u8,
    pub(crate) repeats: u8,
    pub(crate) may_vanish: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) life: Life,
    pub(crate) aborts: AbortLimit,
    pub(crate) requests: Vec<Request>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) queues: Queues,
    pub(crate) device: Device,
    ring: Vec<Option<(u16, bool)>>,
    head: CompletionHead,
    pub(crate) worker: Option<Work>,
    pub(crate) closer: Closer,
    pub(crate) left: Left,
    pub(crate) retries: u8,
    pub(crate) mistake: Option<Mistake>,
    /// What a timeout handler that makes its mistake has still to end.
    pub(crate) to_end: Option<usize>,
    pub(crate) broken: Option<&'static str>,
}

impl World {
    pub(crate) fn new(bounds: &Bounds, mistake: Option<Mistake>) -> Self {
        let entries = bounds.tags as u16 + 2;
        let request = Request {
            place: Place::Outside,
            retries: 0,
            aborted: false,
        };
        Self {
            life: Life::new(),
            aborts: AbortLimit::new(0),
            requests: vec![request; bounds.requests],
            slots: vec![Slot::default(); bounds.tags],
            queues: Queues::default(),
            device: Device {
                present: true,
                enabled: false,
                held: Vec::new(),
                past: Vec::new(),
                tail: CompletionHead::new(entries),
            },
            ring: vec![None; usize::from(entries)],
            head: CompletionHead::new(entries),
            worker: None,
            closer: Closer::Away,
            left: Left {
                resets: bounds.resets,
                fatals: bounds.fatals,
                repeats: bounds.repeats,
                may_vanish: bounds.may_vanish,
            },
            retries: bounds.retries,
            mistake,
            to_end: None,
            broken: None,
        }
    }

    pub(crate) fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    pub(crate) fn breaks(&mut self, rule: &'static str) {
        self.broken.get_or_insert(rule);
    }

    /// Somebody tells the state machine; a plan that comes of it goes to the worker.
    pub(crate) fn tell(&mut self, event: Event) {
        if let Answer::Do(plan) = self.life.on(event) {
            if self.worker.is_some() || matches!(self.closer, Closer::Works(work) if touches(work))
            {
                self.breaks("two plans touch the controller at once");
            }
            self.worker = Some(Work { plan, at: 0 });
        }
    }

    /// A request leaves blk-mq's queue for the driver.
    pub(crate) fn dispatch(&mut self, index: usize) {
        let Some(tag) = self.slots.iter().position(|slot| slot.request.is_none()) else {
            return;
        };
        if !self.queues.usable {
            self.end(index);
            return;
        }
        let slot = &mut self.slots[tag];
        slot.generation = slot.generation.next();
        slot.request = Some(index);
        let cid = CommandId::new(tag as u16, slot.generation.get()).raw();
        self.requests[index].place = Place::InFlight { tag };
        if self.device.present && self.device.enabled {
            self.device.held.push((cid, index));
            self.device.held.sort_unstable();
        }
    }

    /// The request ends, for good.
    pub(crate) fn end(&mut self, index: usize) {
        if self.requests[index].place == Place::Ended {
            self.breaks("a request ends twice");
        }
        if self.device.held.iter().any(|held| held.1 == index) {
            self.breaks("a request ends while the device may still write to its data");
        }
        self.give_up_abort(index);
        self.requests[index].place = Place::Ended;
    }

    fn give_up_abort(&mut self, index: usize) {
        let aborted = std::mem::take(&mut self.requests[index].aborted);
        if aborted && !self.makes(Mistake::AbortPermitLost) {
            self.aborts.give_back();
        }
    }

    /// The device writes a completion, if there is room for it.
    pub(crate) fn post(&mut self, cid: u16) {
        let at = usize::from(self.device.tail.index());
        let unread = self.ring.iter().flatten().count();
        if unread + 1 >= self.ring.len() {
            return;
        }
        self.ring[at] = Some((cid, self.device.tail.phase()));
        self.device.tail.advance();
        let _ = self.device.tail.ring();
    }

    pub(crate) fn has_completion(&self) -> bool {
        let entry = self.ring[usize::from(self.head.index())];
        entry.is_some_and(|(_, phase)| phase == self.head.phase())
    }

    /// The owner of the completion queue takes one entry.
    pub(crate) fn take_completion(&mut self) {
        let at = usize::from(self.head.index());
        let Some((cid, _)) = self.ring[at].filter(|(_, phase)| *phase == self.head.phase()) else {
            return;
        };
        // The model forgets what was read; in truth the old phase says so.
        self.ring[at] = None;
        self.head.advance();
        let _ = self.head.ring();
        let id = CommandId::from_raw(cid);
        let ignored = self.makes(Mistake::GenerationIgnored);
        if let Some(slot) = self.slots.get_mut(usize::from(id.tag())) {
            if ignored || slot.generation.get() == id.generation() {
                if let Some(index) = slot.request.take() {
                    self.end(index);
                }
            }
        }
    }

    /// Takes back every request in flight.
    pub(crate) fn cancel(&mut self) {
        for tag in 0..self.slots.len() {
            let Some(index) = self.slots[tag].request.take() else {
                continue;
            };
            match after_cancel(
                self.life.state(),
                self.requests[index].retries,
                self.retries,
            ) {
                Cancelled::Requeue => {
                    if self.device.held.iter().any(|held| held.1 == index) {
                        self.breaks("a request is requeued while the device works on it");
                    }
                    self.give_up_abort(index);
                    self.requests[index].retries += 1;
                    self.requests[index].place = Place::Entered;
                }
                Cancelled::End(_) => self.end(index),
            }
        }
    }

    /// The device forgets its commands, and will write to no data of theirs.
    pub(crate) fn silence(&mut self) {
        self.device.enabled = false;
        for (cid, _) in std::mem::take(&mut self.device.held) {
            self.remember(cid);
        }
    }

    pub(crate) fn remember(&mut self, cid: u16) {
        if self.left.repeats == 0 {
            self.device.past.clear();
        } else if !self.device.past.contains(&cid) {
            self.device.past.push(cid);
            self.device.past.sort_unstable();
        }
    }

    /// The controller comes up with fresh queues and their interrupts.
    pub(crate) fn come_up(&mut self) {
        let entries = self.ring.len();
        self.ring = vec![None; entries];
        self.head = CompletionHead::new(entries as u16);
        self.device.tail = CompletionHead::new(entries as u16);
        self.device.enabled = true;
        self.queues.usable = true;
        self.queues.attached = true;
    }

    pub(crate) fn is_drained(&self) -> bool {
        let outside = |request: &Request| matches!(request.place, Place::Outside | Place::Ended);
        self.requests.iter().all(outside)
    }

    /// Whether all is over, or at rest: nobody has anything left to do or to wait for.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_drained()
            && self.worker.is_none()
            && !self.life.is_at_work()
            && !self.queues.frozen
            && !self.queues.quiesced
            && self.aborts == AbortLimit::new(0)
            && matches!(self.closer, Closer::Away | Closer::Done)
            && !matches!(self.life.state(), State::Connecting | State::Resetting)
    }
}

/// Whether a plan is one of those that are carried out one at a time.
pub(crate) fn touches(work: Work) -> bool {
    work.plan.done != Event::LetGo
}
