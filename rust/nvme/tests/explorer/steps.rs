// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Who may do what next: all the moves that a world allows.
//!
//! A move is the host's or the outside's. The outside (the device, users, who removes it) may never
//! move at all, so nothing may depend on it.

use std::fmt;

use nvme_proto::life::{Answer, Event, State, Step};
use nvme_proto::timeout::{decide, Overdue, Verdict};

use crate::world::{Closer, Mistake, Place, Work, World};

/// A step in a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Move {
    Probe,
    Submit(usize),
    Dispatch(usize),
    Completes(u16),
    Repeats(u16),
    Interrupt,
    TimesOut(usize),
    EndsLate(usize),
    AsksForReset,
    Fails,
    Vanishes,
    NoticesGone,
    Worker(Step),
    WorkerFails(Step),
    WorkerTells(Event),
    Closes(Event),
    CloserTells(Event),
    Closer(Step),
}

impl Move {
    /// Whether this only happens if the outside wants it.
    pub(crate) fn is_outside(self) -> bool {
        use Move::*;
        match self {
            Probe | Submit(_) | Completes(_) | Repeats(_) | AsksForReset | Fails | Vanishes
            | Closes(_) => true,
            // A bring-up succeeds only with the device's help.
            Worker(step) => step == Step::BringUp,
            _ => false,
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => write!(f, "probe begins"),
            Self::Submit(n) => write!(f, "request {n} is submitted"),
            Self::Dispatch(n) => write!(f, "request {n} is handed to the driver"),
            Self::Completes(cid) => write!(f, "the device completes command {cid:#06x}"),
            Self::Repeats(cid) => write!(f, "the device completes command {cid:#06x} once more"),
            Self::Interrupt => write!(f, "the interrupt takes a completion"),
            Self::TimesOut(n) => write!(f, "request {n} times out"),
            Self::EndsLate(n) => write!(f, "the timeout handler ends request {n}"),
            Self::AsksForReset => write!(f, "a user asks for a reset"),
            Self::Fails => write!(f, "the controller reports a fatal status"),
            Self::Vanishes => write!(f, "the device vanishes"),
            Self::NoticesGone => write!(f, "somebody reads all ones"),
            Self::Worker(step) => write!(f, "the worker does {step:?}"),
            Self::WorkerFails(step) => write!(f, "the worker fails to do {step:?}"),
            Self::WorkerTells(event) => write!(f, "the worker tells {event:?}"),
            Self::Closes(event) => write!(f, "{event:?} begins, with the device's lock"),
            Self::CloserTells(event) => write!(f, "the closer tells {event:?}"),
            Self::Closer(step) => write!(f, "the closer does {step:?}"),
        }
    }
}

/// Each move that is possible, with the world after it.
pub(crate) fn moves(world: &World) -> Vec<(Move, World)> {
    let mut found = Vec::new();
    let mut add = |what: Move, act: &dyn Fn(&mut World)| {
        let mut after = world.clone();
        act(&mut after);
        if after != *world {
            found.push((what, after));
        }
    };
    if world.life.state() == State::New && world.closer == Closer::Away {
        add(Move::Probe, &|w| w.tell(Event::Probe));
    }
    for index in 0..world.requests.len() {
        request(world, index, &mut add);
    }
    device(world, &mut add);
    if let Some(work) = world.worker {
        worker(world, work, &mut add);
    }
    closer(world, &mut add);
    found
}

type Add<'a> = &'a mut dyn FnMut(Move, &dyn Fn(&mut World));

fn request(world: &World, index: usize, add: Add<'_>) {
    let queues = &world.queues;
    match world.requests[index].place {
        // Requests are alike, so they come in order.
        Place::Outside if index > 0 && world.requests[index - 1].place == Place::Outside => {}
        Place::Outside if queues.disks && queues.dead => {
            add(Move::Submit(index), &|w| w.end(index));
        }
        Place::Outside if queues.disks && !queues.frozen => {
            add(Move::Submit(index), &|w| {
                w.requests[index].place = Place::Entered
            });
        }
        Place::Entered if !queues.quiesced => {
            add(Move::Dispatch(index), &|w| w.dispatch(index));
        }
        Place::InFlight { .. } => add(Move::TimesOut(index), &|w| times_out(w, index)),
        _ => {}
    }
    if world.to_end == Some(index) {
        add(Move::EndsLate(index), &|w| {
            w.to_end = None;
            w.end(index);
        });
    }
}

/// Poll first, look again, then decide.
fn times_out(world: &mut World, index: usize) {
    while world.queues.attached && world.has_completion() {
        world.take_completion();
    }
    let overdue = Overdue {
        ended: !matches!(world.requests[index].place, Place::InFlight { .. }),
        aborted: world.requests[index].aborted,
        admin: false,
        working: world.device.present && world.device.enabled,
    };
    if world.makes(Mistake::TimeoutWaitsWhileDeleting) && world.life.state() == State::Deleting {
        return;
    }
    match decide(world.life.state(), overdue, &mut world.aborts) {
        Verdict::Ended | Verdict::Wait => {}
        Verdict::Abort => world.requests[index].aborted = true,
        Verdict::Escalate => {
            if world.makes(Mistake::TimeoutEndsTheRequestToo) {
                world.to_end = Some(index);
            }
            world.tell(Event::Timeout);
        }
    }
}

fn device(world: &World, add: Add<'_>) {
    let device = &world.device;
    if device.present && device.enabled {
        for (at, &(cid, _)) in device.held.iter().enumerate() {
            add(Move::Completes(cid), &|w| {
                w.device.held.remove(at);
                w.post(cid);
                w.remember(cid);
            });
        }
        for &cid in &device.past {
            if world.left.repeats > 0 {
                add(Move::Repeats(cid), &|w| {
                    w.left.repeats -= 1;
                    w.post(cid);
                    w.remember(cid);
                });
            }
        }
        if world.left.fatals > 0 {
            add(Move::Fails, &|w| {
                w.left.fatals -= 1;
                w.tell(Event::Fatal);
            });
        }
    }
    if world.left.may_vanish && device.present {
        add(Move::Vanishes, &|w| {
            w.left.may_vanish = false;
            w.device.present = false;
            w.silence();
        });
    }
    if !device.present {
        add(Move::NoticesGone, &|w| w.tell(Event::Gone));
    }
    if world.queues.attached && world.has_completion() {
        add(Move::Interrupt, &|w| w.take_completion());
    }
    if world.left.resets > 0 && world.queues.disks {
        add(Move::AsksForReset, &|w| {
            w.left.resets -= 1;
            if w.makes(Mistake::TwoResetsAtOnce) && w.life.state() == State::Resetting {
                w.life = live_again();
            }
            w.tell(Event::ResetAsked);
        });
    }
}

/// A life whose owner forgot that it is being reset.
fn live_again() -> nvme_proto::life::Life {
    let mut life = nvme_proto::life::Life::new();
    let _ = life.on(Event::Probe);
    let _ = life.on(Event::BroughtUp);
    life
}

fn worker(world: &World, work: Work, add: Add<'_>) {
    let told_to_stop = world.life.must_stop()
        && !(world.makes(Mistake::ResetIgnoresTheRemoval) && world.life.state() == State::Deleting);
    if let Some(event) = work.plan.stopped.filter(|_| told_to_stop) {
        add(Move::WorkerTells(event), &|w| worker_tells(w, event));
        return;
    }
    let Some(&step) = work.plan.steps.get(work.at) else {
        add(Move::WorkerTells(work.plan.done), &|w| {
            worker_tells(w, work.plan.done)
        });
        return;
    };
    let next = |w: &mut World| {
        w.worker = Some(Work {
            at: work.at + 1,
            ..work
        })
    };
    match step {
        Step::BringUp => {
            if world.device.present {
                add(Move::Worker(step), &|w| {
                    w.come_up();
                    next(w);
                });
            }
            if let Some(event) = work.plan.stopped {
                add(Move::WorkerFails(step), &|w| worker_tells(w, event));
            }
        }
        Step::Drain if !world.is_drained() => {}
        // The function's reset needs the device's lock.
        Step::FunctionReset if !matches!(world.closer, Closer::Away | Closer::Done) => {}
        _ => add(Move::Worker(step), &|w| {
            carry_out(w, work, step);
            next(w);
        }),
    }
}

fn worker_tells(world: &mut World, event: Event) {
    world.worker = None;
    let first = world.life.state() == State::Connecting;
    world.tell(event);
    if first && world.life.state() == State::Live {
        world.queues.disks = true;
    }
}

fn carry_out(world: &mut World, work: Work, step: Step) {
    let before = work.at.checked_sub(1).map(|at| work.plan.steps[at]);
    let swapped = world.makes(Mistake::CancelsBeforeDisabling);
    let forgets = |mistake| world.makes(mistake) && world.life.state() == State::Dead;
    match step {
        Step::Freeze => world.queues.frozen = true,
        Step::Quiesce => world.queues.quiesced = true,
        Step::Stop => {
            world.queues.attached = false;
            if !world.makes(Mistake::ForgetsToStop) {
                world.queues.usable = false;
            }
        }
        Step::Disable if swapped => world.cancel(),
        Step::Cancel if swapped && before == Some(Step::Disable) => world.silence(),
        Step::Disable if world.makes(Mistake::DisableNotConfirmed) => world.device.enabled = false,
        Step::Disable => world.silence(),
        Step::Cancel => world.cancel(),
        Step::Unquiesce if forgets(Mistake::ForgetsToUnquiesce) => {}
        Step::Unquiesce => world.queues.quiesced = false,
        Step::Unfreeze if forgets(Mistake::ForgetsToUnfreeze) => {}
        Step::Unfreeze => world.queues.frozen = false,
        Step::MarkDead => world.queues.dead = true,
        Step::RemoveDisks => world.queues.disks = false,
        Step::ShutDown | Step::FunctionReset | Step::BringUp | Step::Drain => {}
    }
}

fn closer(world: &World, add: Add<'_>) {
    match world.closer {
        // Probe holds the device's lock as well.
        Closer::Away => {
            let probing = world.worker.is_some() && !world.queues.disks;
            if !probing && world.life.state() != State::New {
                for event in [Event::Removal, Event::Shutdown] {
                    add(Move::Closes(event), &|w| w.closer = Closer::Tells(event));
                }
            }
        }
        Closer::Tells(event) => {
            let waits = world.makes(Mistake::RemovalWaitsForTheReset) && world.life.is_at_work();
            if !waits {
                add(Move::CloserTells(event), &|w| closer_tells(w, event));
            }
        }
        Closer::Works(work) => match work.plan.steps.get(work.at) {
            None => add(Move::CloserTells(work.plan.done), &|w| {
                closer_tells(w, work.plan.done);
            }),
            // New requests fail from its beginning on; it ends when all others have ended.
            Some(Step::RemoveDisks) if !world.is_drained() => {
                add(Move::Closer(Step::RemoveDisks), &|w| w.queues.disks = false);
            }
            Some(&step) => add(Move::Closer(step), &|w| {
                carry_out(w, work, step);
                w.closer = Closer::Works(Work {
                    at: work.at + 1,
                    ..work
                });
            }),
        },
        Closer::Done => {}
    }
}

fn closer_tells(world: &mut World, event: Event) {
    world.closer = match world.life.on(event) {
        Answer::Wait => Closer::Tells(event),
        Answer::Nothing => Closer::Done,
        Answer::Do(plan) => {
            let work = Work { plan, at: 0 };
            if world.worker.is_some() && crate::world::touches(work) {
                world.breaks("two plans touch the controller at once");
            }
            Closer::Works(work)
        }
    };
}
