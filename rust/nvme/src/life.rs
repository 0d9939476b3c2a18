// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The life of a controller: one state machine that says who may do what to it, and in which order.
//!
//! Whoever learns something ([`Event`]) tells it, under one lock of the caller's, and gets an
//! [`Answer`]: a plan to carry out, leave to do nothing, or the advice to wait. At most one plan at
//! a time touches the controller, so none has to be ready for another; who carries out a plan says
//! so when it is done. Nothing here waits: what takes time happens between two events.
//!
//! ```text
//!  New ──Probe──► Connecting ──BroughtUp──► Live ──ResetAsked, Fatal, Timeout──► Resetting
//!                  │  │  ▲                   │                                     ▲   │
//!                  │  │  └───────────────────┼──────────TakenDown──────────────────┼───┘
//!                  │  └──BringUpFailed───────┼─────────(function reset)────────────┘
//!                  └──BringUpFailed again──► Dead ◄──Gone, Shutdown
//!  from each: Removal ──► Deleting; a probe that gives up (LetGo) ends in Dead
//! ```
//!
//! What plans rely on, whoever carries them out: [`Step::Cancel`] comes after [`Step::Disable`] in
//! each of them, since the controller may write to a request's data until then; what holds the disks
//! (freeze, quiesce) is given back by every way out. `tests/explorer` tries all orders of events. The
//! driver resets nothing yet: it tells of probe, failure and removal.
//!
//! Base 3.5.1 (initialisation), 3.6 (shutdown), 3.7 (resets), 9.5 (Controller Fatal Status).

/// Where a controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has been done to it.
    New,
    /// It is brought up, for the first time or again.
    Connecting,
    /// It answers commands.
    Live,
    /// It is taken down, to be brought up again.
    Resetting,
    /// It goes away, and so do its disks.
    Deleting,
    /// It has failed or was shut down; its disks give errors until they are removed.
    Dead,
}

/// What somebody has learned, or has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Probe begins.
    Probe,
    /// [`Step::BringUp`] and what came after it in the plan are done.
    BroughtUp,
    /// A step of bringing up failed, or was told to stop.
    BringUpFailed,
    /// The plan that began a reset is done, or was told to stop.
    TakenDown,
    /// The controller reports a fatal status (CSTS.CFS; Base 3.1.4.6).
    Fatal,
    /// A command took too long, and nothing milder helps.
    Timeout,
    /// Somebody asks for a reset.
    ResetAsked,
    /// The registers read as all ones: there is no controller any more.
    Gone,
    /// The system shuts down.
    Shutdown,
    /// The device is removed from the driver.
    Removal,
    /// Its owner gives the controller up; there are no disks, or not any more.
    LetGo,
    /// A plan is done that leaves the controller off.
    Ended,
}

/// A piece of a plan. What gives something back does nothing if it is not held, what takes
/// something does nothing if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Let no new request in.
    Freeze,
    /// Hold back the requests that are in.
    Quiesce,
    /// Make the queues unusable, so that what is handed over is rejected, and detach interrupts.
    Stop,
    /// Delete the queues and notify the controller of its shutdown, if it goes along.
    ShutDown,
    /// Disable the controller; if it does not confirm that, take the bus from it.
    Disable,
    /// Take every request in flight back, and [requeue or end](crate::timeout::after_cancel) it.
    Cancel,
    /// Reset the PCI function. Never waits for the device's lock, which a removal may hold.
    FunctionReset,
    /// Enable the controller with fresh queues.
    BringUp,
    /// Let held back requests go on.
    Unquiesce,
    /// Wait until no request is in.
    Drain,
    /// Let new requests in.
    Unfreeze,
    /// Tell the disks that there is nothing behind them.
    MarkDead,
    /// Remove the disks, which waits for their requests.
    RemoveDisks,
}

/// What the winner of an event is to do.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// In this order.
    pub steps: &'static [Step],
    /// What to tell then.
    pub done: Event,
    /// What to tell instead, and at once, when a step fails or [`Life::must_stop`] says so. If
    /// there is nothing here, the plan is carried out to its end, come what may.
    pub stopped: Option<Event>,
}

static FIRST_BRING_UP: Plan = Plan {
    steps: &[Step::BringUp],
    done: Event::BroughtUp,
    stopped: Some(Event::LetGo),
};
static TAKE_DOWN: Plan = Plan {
    steps: &[
        Step::Freeze,
        Step::Quiesce,
        Step::Stop,
        Step::Disable,
        Step::Cancel,
    ],
    done: Event::TakenDown,
    stopped: Some(Event::TakenDown),
};
static TAKE_DOWN_HARDER: Plan = Plan {
    steps: &[
        Step::Freeze,
        Step::Quiesce,
        Step::Stop,
        Step::Disable,
        Step::Cancel,
        Step::FunctionReset,
    ],
    done: Event::TakenDown,
    stopped: Some(Event::TakenDown),
};
/// Only once all requests have gone through may the number of queues change: hence the drain.
static BRING_UP: Plan = Plan {
    steps: &[Step::BringUp, Step::Unquiesce, Step::Drain, Step::Unfreeze],
    done: Event::BroughtUp,
    stopped: Some(Event::BringUpFailed),
};
static FAIL: Plan = Plan {
    steps: &[Step::Stop, Step::Disable, Step::Cancel, Step::MarkDead],
    done: Event::Ended,
    stopped: None,
};
static ABANDON: Plan = Plan {
    steps: &[
        Step::Stop,
        Step::Disable,
        Step::Cancel,
        Step::MarkDead,
        Step::Unquiesce,
        Step::Unfreeze,
    ],
    done: Event::Ended,
    stopped: None,
};
static REMOVE_DISKS: Plan = Plan {
    steps: &[Step::RemoveDisks],
    done: Event::LetGo,
    stopped: None,
};
static LET_GO: Plan = Plan {
    steps: &[Step::Stop, Step::ShutDown, Step::Disable, Step::Cancel],
    done: Event::Ended,
    stopped: None,
};
static SHUT_DOWN: Plan = Plan {
    steps: &[
        Step::Stop,
        Step::ShutDown,
        Step::Disable,
        Step::Cancel,
        Step::MarkDead,
    ],
    done: Event::Ended,
    stopped: None,
};

/// What comes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Answer {
    /// The teller has won, and carries out the plan.
    Do(&'static Plan),
    /// Nothing is left to do for the teller.
    Nothing,
    /// Another's plan is under way and has been told to [stop](Life::must_stop) or is about to
    /// end. When [it has](Life::is_at_work), tell again.
    Wait,
}

/// The life of one controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    state: State,
    /// A plan that touches the controller is under way.
    at_work: bool,
    /// It has not been live yet, so there are no disks.
    first: bool,
    /// The bring-up under way has no chance.
    failed: bool,
    gone: bool,
    /// The controller is off for good, or will be when the plan under way is done.
    off: bool,
    /// The bring-up under way is the second try, after a reset of the function.
    harder: bool,
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

impl Life {
    /// A controller that was just found.
    pub const fn new() -> Self {
        Self {
            state: State::New,
            at_work: false,
            first: true,
            failed: false,
            gone: false,
            off: false,
            harder: false,
        }
    }

    /// Where the controller stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether a plan is under way that touches the controller.
    pub const fn is_at_work(&self) -> bool {
        self.at_work
    }

    /// Whether whoever takes the controller down for a reset or brings it up is to leave off:
    /// asked between steps and in each wait.
    pub const fn must_stop(&self) -> bool {
        match self.state {
            State::Connecting => self.failed,
            State::Resetting => self.gone,
            _ => true,
        }
    }

    /// Takes note of `event`, and says what its teller is to do.
    pub fn on(&mut self, event: Event) -> Answer {
        match event {
            // The end of a plan that nobody has begun.
            Event::BroughtUp | Event::BringUpFailed | Event::TakenDown if !self.at_work => {
                Answer::Nothing
            }
            Event::Probe => self.probe(),
            Event::BroughtUp => self.brought_up(),
            Event::BringUpFailed => self.bring_up_failed(),
            Event::TakenDown => self.taken_down(),
            Event::Fatal | Event::Timeout => self.trouble(),
            Event::ResetAsked => self.reset_asked(),
            Event::Gone => self.is_gone(),
            Event::Shutdown => self.shutdown(),
            Event::Removal => self.removal(),
            Event::LetGo => self.let_go(),
            Event::Ended => {
                self.at_work = false;
                Answer::Nothing
            }
        }
    }

    /// Starts a plan that touches the controller. Only while none is under way.
    fn start(&mut self, state: State, plan: &'static Plan) -> Answer {
        self.state = state;
        self.at_work = true;
        Answer::Do(plan)
    }

    /// Starts a plan, or goes on from the one under way, after which the controller stays off.
    fn switch_off(&mut self, state: State, plan: &'static Plan) -> Answer {
        self.off = true;
        self.start(state, plan)
    }

    fn probe(&mut self) -> Answer {
        match self.state {
            State::New => self.start(State::Connecting, &FIRST_BRING_UP),
            _ => Answer::Nothing,
        }
    }

    fn brought_up(&mut self) -> Answer {
        match self.state {
            State::Connecting if !self.failed => {
                self.state = State::Live;
                self.at_work = false;
                self.first = false;
                self.harder = false;
                Answer::Nothing
            }
            State::Connecting if self.first => self.let_go(),
            _ => self.bring_up_failed(),
        }
    }

    fn bring_up_failed(&mut self) -> Answer {
        match self.state {
            State::Connecting if self.harder || self.gone => self.switch_off(State::Dead, &ABANDON),
            State::Connecting => {
                self.harder = true;
                self.start(State::Resetting, &TAKE_DOWN_HARDER)
            }
            // Something more final has happened meanwhile.
            state => self.switch_off(state, &ABANDON),
        }
    }

    fn taken_down(&mut self) -> Answer {
        match self.state {
            State::Resetting if self.gone => self.switch_off(State::Dead, &ABANDON),
            State::Resetting => {
                // What timed out before belonged to the life that has just ended.
                self.failed = false;
                self.start(State::Connecting, &BRING_UP)
            }
            state => self.switch_off(state, &ABANDON),
        }
    }

    fn trouble(&mut self) -> Answer {
        match self.state {
            State::Connecting => {
                // Never wait for a reset from inside of one: who brings it up fails.
                self.failed = true;
                Answer::Nothing
            }
            // The removal of the disks waits for requests that the controller will not end.
            State::Deleting => self.fail_once(),
            _ => self.reset_asked(),
        }
    }

    fn reset_asked(&mut self) -> Answer {
        match self.state {
            State::Live => self.start(State::Resetting, &TAKE_DOWN),
            _ => Answer::Nothing,
        }
    }

    fn is_gone(&mut self) -> Answer {
        self.gone = true;
        match self.state {
            State::Connecting => {
                self.failed = true;
                Answer::Nothing
            }
            State::Live => self.switch_off(State::Dead, &FAIL),
            State::Deleting => self.fail_once(),
            State::New | State::Resetting | State::Dead => Answer::Nothing,
        }
    }

    fn fail_once(&mut self) -> Answer {
        if self.off || self.at_work {
            return Answer::Nothing;
        }
        self.switch_off(self.state, &FAIL)
    }

    fn shutdown(&mut self) -> Answer {
        match self.state {
            State::Live => self.switch_off(State::Dead, &SHUT_DOWN),
            // A removal ends with a shutdown of its own.
            State::Deleting => Answer::Nothing,
            _ => {
                self.state = State::Dead;
                self.wait_or(Answer::Nothing)
            }
        }
    }

    fn removal(&mut self) -> Answer {
        self.state = State::Deleting;
        self.wait_or(Answer::Do(&REMOVE_DISKS))
    }

    fn let_go(&mut self) -> Answer {
        match self.state {
            State::New => {
                self.state = State::Dead;
                Answer::Nothing
            }
            // Whoever gives it up now is the one who brought it up, so nobody else is at work.
            State::Connecting if self.first => self.switch_off(State::Dead, &LET_GO),
            State::Live => self.switch_off(State::Deleting, &LET_GO),
            State::Deleting if !self.off && !self.at_work => {
                self.switch_off(State::Deleting, &LET_GO)
            }
            State::Connecting | State::Resetting => {
                self.state = State::Deleting;
                Answer::Wait
            }
            State::Deleting | State::Dead => self.wait_or(Answer::Nothing),
        }
    }

    fn wait_or(&self, answer: Answer) -> Answer {
        if self.at_work {
            Answer::Wait
        } else {
            answer
        }
    }
}
