// SPDX-License-Identifier: MIT

//! What can go wrong, when, and how often.
//!
//! The controller asks [`Faults`] at each of its [`Hook`]s whether to misbehave. A fault is armed by a
//! [`Spec`], a line of the grammar in `fault/spec.rs`; what there is, is in the tables under
//! `fault/kinds/`, which the pages and the checks are made from; what each does is in the other files
//! here, by where it happens.

use std::fmt;
use std::time::Duration;

mod command;
mod completion;
mod data;
mod interrupt;
pub mod kinds;
mod life;
pub mod pages;
mod queue;
pub mod random;
mod register;
mod spec;
mod structure;

pub use kinds::{Fault, Kind};
pub use life::Lies;
pub use spec::Spec;
pub use structure::Afterwards;

use nvme_proto::command::AdminOpcode;

use crate::controller::Taken;
use random::Random;

/// The places in the controller where a fault can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// A register is read.
    RegisterRead,
    /// A register is written.
    RegisterWrite,
    /// CC.EN was set, and CSTS.RDY is to follow.
    Enable,
    /// CC.EN was cleared: queues and commands are about to be forgotten.
    Reset,
    /// CC.EN was cleared, and CSTS.RDY is to follow.
    Disable,
    /// CC.SHN was written, and CSTS.SHST is to follow.
    Shutdown,
    /// A doorbell is rung.
    Doorbell,
    /// The host has consumed completions.
    Consumed,
    /// A command was taken from its queue.
    Command,
    /// A completion is to be posted.
    Completion,
    /// An interrupt is to be sent.
    Interrupt,
    /// A structure is to be handed out: identify data, a list, a log page.
    Structure,
    /// The number of queues is to be granted.
    Grant,
    /// A queue was deleted.
    QueueDeleted,
    /// An event index of a shadow doorbell is to be written.
    EventIndex,
    /// Data is to be moved.
    Data,
    /// Time goes by: each tenth of a second or more often.
    Time,
    /// Wherever the line of the grammar says (`on=`); what the controller was about to do goes on.
    Anywhere,
}

/// A structure that is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Identify, by its CNS.
    Identify(u8),
    /// A log page, by its LID.
    Log(u8),
}

/// What is going on where a fault could happen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Occasion {
    /// The queue that it is about.
    pub queue: Option<u16>,
    /// Whether that is a completion queue, where it could be either.
    pub completion: bool,
    /// The command's opcode.
    pub opcode: Option<u8>,
    /// The command's namespace.
    pub nsid: Option<u32>,
    /// The register.
    pub offset: Option<usize>,
    /// The bytes of the access to it.
    pub bytes: usize,
    /// The structure.
    pub what: Option<What>,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.queue.map(|queue| format!("queue {queue}")));
        parts.extend(self.opcode.map(|opcode| format!("opcode {opcode:#04x}")));
        parts.extend(self.nsid.map(|nsid| format!("namespace {nsid:#x}")));
        parts.extend(self.offset.map(|offset| format!("register {offset:#x}")));
        parts.extend(self.what.map(|what| match what {
            What::Identify(cns) => format!("identify {cns:#04x}"),
            What::Log(lid) => format!("log {lid:#04x}"),
        }));
        f.write_str(&parts.join(", "))
    }
}

impl Taken {
    /// What the grammar of faults can ask of it.
    pub fn occasion(&self) -> Occasion {
        Occasion {
            queue: Some(self.sqid),
            opcode: Some(self.command.opcode),
            nsid: Some(self.command.nsid.get()),
            what: self.structure(),
            ..Occasion::default()
        }
    }

    /// The structure that the command asks for, if it asks for one.
    fn structure(&self) -> Option<What> {
        let which = (self.command.cdw10.get() & 0xff) as u8;
        match (self.sqid, self.command.opcode) {
            (0, opcode) if opcode == AdminOpcode::Identify as u8 => Some(What::Identify(which)),
            (0, opcode) if opcode == AdminOpcode::GetLogPage as u8 => Some(What::Log(which)),
            _ => None,
        }
    }
}

/// A fault that happens now.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    /// The number it was armed under.
    pub id: u32,
    /// Its kind.
    pub kind: &'static Kind,
    /// Its argument.
    pub argument: u64,
    /// How often it has happened, with this time.
    pub count: u64,
    /// What is random in it follows from this.
    pub dice: u64,
}

impl Fired {
    /// Its argument as milliseconds: a minute at most.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.argument.min(60_000))
    }

    /// Its argument as a number of things to do at once: 65,536 at most.
    pub fn times(&self) -> u64 {
        self.argument.min(1 << 16)
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} arg={}", self.id, self.kind.name, self.argument)
    }
}

/// An armed fault.
struct Armed {
    id: u32,
    spec: Spec,
    since: Duration,
    seen: u64,
    fired: u64,
    random: Random,
}

impl Armed {
    /// Counts an occasion. Tells whether it is one to happen on.
    fn is_due(&mut self, now: Duration) -> bool {
        let (spec, age) = (&self.spec, now.saturating_sub(self.since));
        if age < spec.after || age >= spec.until {
            return false;
        }
        self.seen += 1;
        self.seen >= spec.nth
            && (self.seen - spec.nth) % spec.every == 0
            && self.fired < spec.times
            && (spec.permille >= 1000 || self.random.below(1000) < u64::from(spec.permille))
    }

    fn fire(&mut self) -> Fired {
        self.fired += 1;
        Fired {
            id: self.id,
            kind: self.spec.kind,
            argument: self.spec.argument,
            count: self.fired,
            dice: self.random.next(),
        }
    }
}

/// What happens on an occasion.
#[derive(Debug, Default)]
pub struct Happening {
    /// What is done beside what was about to happen.
    pub deeds: Vec<Fired>,
    /// What is done instead of it.
    pub instead: Option<Fired>,
}

/// All that are armed.
#[derive(Default)]
pub struct Faults {
    armed: Vec<Armed>,
    count: u32,
    seed: u64,
}

impl Faults {
    /// None. What is random in those to come follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Arms a fault. Tells its number.
    pub fn arm(&mut self, spec: Spec, now: Duration) -> u32 {
        self.count += 1;
        let seed = spec.seed.unwrap_or(self.seed);
        self.armed.push(Armed {
            id: self.count,
            spec,
            since: now,
            seen: 0,
            fired: 0,
            random: Random::new(seed ^ (u64::from(self.count) << 32)),
        });
        self.count
    }

    /// Disarms all.
    pub fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Disarms one. Tells whether there was such a one.
    pub fn disarm_one(&mut self, id: u32) -> bool {
        let before = self.armed.len();
        self.armed.retain(|armed| armed.id != id);
        self.armed.len() != before
    }

    /// Whether one is armed that happens when the head of this completion queue moves.
    pub fn watch_heads(&self, cqid: u16) -> bool {
        let occasion = Occasion {
            queue: Some(cqid),
            completion: true,
            ..Occasion::default()
        };
        self.armed.iter().any(|armed| {
            let of_heads = match armed.spec.on {
                Hook::Consumed => true,
                Hook::Doorbell => armed.spec.kind.only == kinds::Only::Completion,
                _ => false,
            };
            of_heads && armed.fired < armed.spec.times && armed.spec.matches(&occasion)
        })
    }

    /// Whether one is armed that would happen on such an occasion, now or on a later one.
    pub fn await_such(&self, hook: Hook, occasion: &Occasion) -> bool {
        self.armed.iter().any(|armed| {
            let spec = &armed.spec;
            spec.on == hook && armed.fired < spec.times && spec.matches(occasion)
        })
    }

    /// Whether none is armed.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// How often each armed fault has happened: number, kind, count.
    pub fn counts(&self) -> Vec<(u32, &'static str, u64)> {
        let row = |armed: &Armed| (armed.id, armed.spec.kind.name, armed.fired);
        self.armed.iter().map(row).collect()
    }

    /// What happens on this occasion. Of those that would take the place of what was about to happen
    /// the first that was armed wins; all count it.
    pub fn at(&mut self, hook: Hook, occasion: &Occasion, now: Duration) -> Happening {
        let mut happening = Happening::default();
        for armed in &mut self.armed {
            if armed.spec.on != hook || !armed.spec.matches(occasion) || !armed.is_due(now) {
                continue;
            }
            if armed.spec.kind.hook == Hook::Anywhere {
                happening.deeds.push(armed.fire());
            } else if happening.instead.is_none() {
                happening.instead = Some(armed.fire());
            }
        }
        happening
    }
}
