// SPDX-License-Identifier: MIT

//! What can go wrong, when, and how often.
//!
//! A fault is armed by a line of the grammar: `KIND[:key=value[,key=value]...]`, with the keys
//!
//! - `nth=N` (1): the first occasion that it happens on, counted among those that match;
//! - `times=N|forever` (1): how many occasions it happens on;
//! - `every=N` (1): only each Nth of them;
//! - `queue=admin|io|N`, `opcode=N`, `nsid=N`, `offset=N`: which occasions match;
//! - `after=SECONDS` (0): not before, counted from when it was armed;
//! - `arg=N`: the kind's own argument.
//!
//! Numbers may be hexadecimal (0x). What each kind does where is in the files under `fault/`; the
//! table of all, which the pages and the checks are made from, is in `fault/kinds.rs`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

mod completion;
mod data;
pub mod kinds;
mod register;
mod structure;

pub use kinds::{Fault, Kind, KINDS};

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
    /// Data is to be moved.
    Data,
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
    /// The command's opcode.
    pub opcode: Option<u8>,
    /// The command's namespace.
    pub nsid: Option<u32>,
    /// The register.
    pub offset: Option<usize>,
    /// The structure.
    pub what: Option<What>,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.queue.map(|queue| format!("queue {queue}")));
        parts.extend(self.opcode.map(|opcode| format!("opcode {opcode:#04x}")));
        parts.extend(self.nsid.map(|nsid| format!("namespace {nsid}")));
        parts.extend(self.offset.map(|offset| format!("register {offset:#x}")));
        parts.extend(self.what.map(|what| format!("{what:?}")));
        f.write_str(&parts.join(", "))
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
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} arg={}", self.id, self.kind.name, self.argument)
    }
}

/// Which queue a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Any,
    Io,
    Id(u16),
}

/// A line of the grammar.
#[derive(Clone, Debug)]
pub struct Spec {
    kind: &'static Kind,
    nth: u64,
    times: u64,
    every: u64,
    queue: Queue,
    opcode: Option<u64>,
    nsid: Option<u64>,
    offset: Option<u64>,
    after: Duration,
    argument: u64,
}

/// A number, decimal or hexadecimal.
fn number(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|error| format!("{text}: {error}"))
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (name, rest) = line.split_once(':').unwrap_or((line, ""));
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| format!("{name}: no such kind of fault"))?;
        let mut spec = Self {
            kind,
            nth: 1,
            times: 1,
            every: 1,
            queue: Queue::Any,
            opcode: None,
            nsid: None,
            offset: None,
            after: Duration::ZERO,
            argument: kind.argument.map_or(0, |argument| argument.default),
        };
        for pair in rest.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair}: not key=value"))?;
            spec.set(key, value)?;
        }
        Ok(spec)
    }
}

impl Spec {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "nth" => self.nth = number(value)?.max(1),
            "times" if value == "forever" => self.times = u64::MAX,
            "times" => self.times = number(value)?,
            "every" => self.every = number(value)?.max(1),
            "queue" => {
                self.queue = match value {
                    "admin" => Queue::Id(0),
                    "io" => Queue::Io,
                    other => Queue::Id(other.parse().map_err(|error| format!("{other}: {error}"))?),
                }
            }
            "opcode" => self.opcode = Some(number(value)?),
            "nsid" => self.nsid = Some(number(value)?),
            "offset" => self.offset = Some(number(value)?),
            "after" => {
                let seconds: f64 = value.parse().map_err(|error| format!("{value}: {error}"))?;
                self.after = Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())?;
            }
            "arg" if self.kind.argument.is_none() => {
                return Err(format!("{} takes no argument", self.kind.name));
            }
            "arg" => self.argument = number(value)?,
            other => return Err(format!("{other}: no such key")),
        }
        Ok(())
    }

    fn matches(&self, occasion: &Occasion) -> bool {
        let queue = match (self.queue, occasion.queue) {
            (Queue::Any, _) => true,
            (Queue::Io, Some(queue)) => queue != 0,
            (Queue::Id(wanted), Some(queue)) => wanted == queue,
            (_, None) => false,
        };
        let same = |wanted: Option<u64>, there: Option<u64>| wanted.is_none() || wanted == there;
        queue
            && same(self.opcode, occasion.opcode.map(u64::from))
            && same(self.nsid, occasion.nsid.map(u64::from))
            && same(self.offset, occasion.offset.map(|offset| offset as u64))
            && self.kind.applies(occasion)
    }
}

/// An armed fault.
struct Armed {
    id: u32,
    spec: Spec,
    since: Duration,
    seen: u64,
    fired: u64,
}

/// All that are armed.
#[derive(Default)]
pub struct Faults {
    armed: Vec<Armed>,
    count: u32,
}

impl Faults {
    /// Arms a fault. Tells its number.
    pub fn arm(&mut self, spec: Spec, now: Duration) -> u32 {
        self.count += 1;
        self.armed.push(Armed {
            id: self.count,
            spec,
            since: now,
            seen: 0,
            fired: 0,
        });
        self.count
    }

    /// Disarms all.
    pub fn disarm(&mut self) {
        self.armed.clear();
    }

    /// How often each armed fault has happened: number, kind, count.
    pub fn counts(&self) -> Vec<(u32, &'static str, u64)> {
        let row = |armed: &Armed| (armed.id, armed.spec.kind.name, armed.fired);
        self.armed.iter().map(row).collect()
    }

    /// The fault that happens on this occasion. The first that was armed wins; all count it.
    pub fn at(&mut self, hook: Hook, occasion: &Occasion, now: Duration) -> Option<Fired> {
        let mut winner = None;
        for armed in &mut self.armed {
            let spec = &armed.spec;
            if spec.kind.hook != hook || !spec.matches(occasion) || now < armed.since + spec.after {
                continue;
            }
            armed.seen += 1;
            let due = armed.seen >= spec.nth && (armed.seen - spec.nth) % spec.every == 0;
            if due && armed.fired < spec.times && winner.is_none() {
                armed.fired += 1;
                winner = Some(Fired {
                    id: armed.id,
                    kind: spec.kind,
                    argument: spec.argument,
                });
            }
        }
        winner
    }
}
