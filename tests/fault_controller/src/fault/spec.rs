// SPDX-License-Identifier: MIT

//! The grammar: `KIND[:key=value[,key=value]...]`, with the keys
//!
//! - `nth=N` (1): the first occasion that it happens on, counted among those that match;
//! - `times=N|forever` (the kind's own): how many occasions it happens on;
//! - `every=N` (1): only each Nth of them;
//! - `prob=PERMILLE` (1000): how probable it is on each, by the seed;
//! - `seed=N` (the controller's): what is random in it follows from this;
//! - `queue=admin|io|N`, `opcode=N`, `nsid=N`, `cns=N`, `lid=N`, `offset=N`: which occasions match, by
//!   queue, command, namespace, structure, register;
//! - `after=SECONDS` (0): not before, counted from when it was armed;
//! - `until=SECONDS`: not any more from then on;
//! - `on=command|completion|doorbell|register-read|register-write|time` (command): where, of a kind
//!   that can happen anywhere;
//! - `arg=N`: the kind's own argument.
//!
//! Numbers may be hexadecimal (0x). A key that could never match, or that comes twice, is a mistake:
//! a fault that cannot fire shows nothing. What is printed parses back to the same.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::kinds::{self, Kind};
use super::{Hook, Occasion, What};

/// Which queue a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Any,
    Io,
    Id(u16),
}

/// A line of the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub(super) kind: &'static Kind,
    pub(super) on: Hook,
    pub(super) nth: u64,
    pub(super) times: u64,
    pub(super) every: u64,
    pub(super) permille: u16,
    pub(super) seed: Option<u64>,
    queue: Queue,
    opcode: Option<u64>,
    nsid: Option<u64>,
    cns: Option<u64>,
    lid: Option<u64>,
    offset: Option<u64>,
    pub(super) after: Duration,
    pub(super) until: Duration,
    pub(super) argument: u64,
}

/// Where a kind that can happen anywhere may be put.
const ANYWHERE: [(&str, Hook); 6] = [
    ("command", Hook::Command),
    ("completion", Hook::Completion),
    ("doorbell", Hook::Doorbell),
    ("register-read", Hook::RegisterRead),
    ("register-write", Hook::RegisterWrite),
    ("time", Hook::Time),
];

/// The keys that say which occasions of a hook match.
fn keys(hook: Hook) -> &'static [&'static str] {
    match hook {
        Hook::RegisterRead | Hook::RegisterWrite => &["offset"],
        Hook::Doorbell => &["queue", "offset"],
        Hook::Consumed | Hook::Interrupt | Hook::EventIndex => &["queue"],
        Hook::QueueDeleted => &["queue", "opcode"],
        Hook::Command | Hook::Completion => &["queue", "opcode", "nsid", "cns", "lid"],
        Hook::Structure => &["queue", "opcode", "nsid", "cns", "lid"],
        Hook::Grant | Hook::Data => &["queue", "opcode", "nsid"],
        Hook::Enable | Hook::Reset | Hook::Disable | Hook::Shutdown => &[],
        Hook::Time | Hook::Anywhere => &[],
    }
}

/// A number, decimal or hexadecimal.
fn number(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|error| format!("{text:?} is no number: {error}"))
}

/// A number that is not 0.
fn positive(key: &str, text: &str) -> Result<u64, String> {
    match number(text)? {
        0 => Err(format!("{key}=0: this counts from 1")),
        number => Ok(number),
    }
}

/// A number of at most so many bits.
fn narrow(key: &str, text: &str, bits: u32) -> Result<u64, String> {
    let value = number(text)?;
    match value.checked_shr(bits) {
        Some(0) => Ok(value),
        _ => Err(format!("{key}={text}: it has {bits} bits")),
    }
}

/// Seconds, with up to nine digits behind a point.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} are no seconds: 2 or 0.25 would be");
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || part.len() > 9 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let nanos: u32 = format!("{part:0<9}").parse().map_err(|_| wrong())?;
    Ok(Duration::new(whole.parse().map_err(|_| wrong())?, nanos))
}

/// As [`seconds`] reads it.
fn shown(time: Duration) -> String {
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (name, rest) = line.split_once(':').unwrap_or((line, ""));
        let kind = kinds::find(name).ok_or_else(|| unknown(name))?;
        let mut spec = Self::new(kind);
        let mut seen = Vec::new();
        for pair in rest.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair:?} is not key=value"))?;
            if seen.contains(&key) {
                return Err(format!("{key}= comes twice"));
            }
            seen.push(key);
            spec.set(key, value)?;
        }
        spec.check(&seen)?;
        Ok(spec)
    }
}

/// What is said of a name that no kind has: the kinds that it may be short for.
fn unknown(name: &str) -> String {
    let like: Vec<&str> = kinds::all()
        .map(|kind| kind.name)
        .filter(|known| !name.is_empty() && known.contains(name))
        .collect();
    match like.as_slice() {
        [] => format!("{name:?}: no such kind of fault; --kinds lists all"),
        like => format!(
            "{name:?}: no such kind of fault; is it {}?",
            like.join(", ")
        ),
    }
}

impl Spec {
    /// A kind as it is without a key.
    pub fn new(kind: &'static Kind) -> Self {
        Self {
            kind,
            on: match kind.hook {
                Hook::Anywhere => Hook::Command,
                hook => hook,
            },
            nth: 1,
            times: kind.times,
            every: 1,
            permille: 1000,
            seed: None,
            queue: Queue::Any,
            opcode: None,
            nsid: None,
            cns: None,
            lid: None,
            offset: None,
            after: Duration::ZERO,
            until: Duration::MAX,
            argument: kind.argument.map_or(0, |argument| argument.default),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "nth" => self.nth = positive(key, value)?,
            "times" if value == "forever" => self.times = u64::MAX,
            "times" => self.times = positive(key, value)?,
            "every" => self.every = positive(key, value)?,
            "prob" => {
                let permille = positive(key, value)?;
                self.permille = u16::try_from(permille)
                    .ok()
                    .filter(|&permille| permille <= 1000)
                    .ok_or_else(|| format!("prob={value}: it is out of 1000"))?;
            }
            "seed" => self.seed = Some(number(value)?),
            "queue" => {
                self.queue = match value {
                    "admin" => Queue::Id(0),
                    "io" => Queue::Io,
                    other => Queue::Id(narrow(key, other, 16)? as u16),
                }
            }
            "opcode" => self.opcode = Some(narrow(key, value, 8)?),
            "nsid" => self.nsid = Some(narrow(key, value, 32)?),
            "cns" => self.cns = Some(narrow(key, value, 8)?),
            "lid" => self.lid = Some(narrow(key, value, 8)?),
            "offset" => self.offset = Some(narrow(key, value, 32)?),
            "after" => self.after = seconds(value)?,
            "until" => self.until = seconds(value)?,
            "on" if self.kind.hook != Hook::Anywhere => {
                return Err(format!("{} has a place of its own: no on=", self.kind.name));
            }
            "on" => {
                let place = ANYWHERE.iter().find(|(name, _)| *name == value);
                self.on = place.ok_or_else(|| format!("on={value}: no such place"))?.1;
            }
            "arg" if self.kind.argument.is_none() => {
                return Err(format!("{} takes no argument", self.kind.name));
            }
            "arg" => self.argument = number(value)?,
            other => return Err(format!("{other:?}: no such key")),
        }
        Ok(())
    }

    /// Whether the keys that were given can match.
    fn check(&self, given: &[&str]) -> Result<(), String> {
        const WHICH: [&str; 6] = ["queue", "opcode", "nsid", "cns", "lid", "offset"];
        let known = keys(self.on);
        let stray = given
            .iter()
            .find(|key| WHICH.contains(key) && !known.contains(key));
        if let Some(key) = stray {
            let name = self.kind.name;
            return Err(format!(
                "{name} is no matter of {key}=: it would never happen"
            ));
        }
        if self.cns.is_some() && self.lid.is_some() {
            return Err("cns= and lid= together: nothing is both".to_owned());
        }
        if self.until <= self.after {
            return Err("until= is not behind after=: it would never happen".to_owned());
        }
        Ok(())
    }

    /// Whether an occasion of its hook is one for it.
    pub(super) fn matches(&self, occasion: &Occasion) -> bool {
        let queue = match (self.queue, occasion.queue) {
            (Queue::Any, _) => true,
            (Queue::Io, Some(queue)) => queue != 0,
            (Queue::Id(wanted), Some(queue)) => wanted == queue,
            (_, None) => false,
        };
        let (cns, lid) = match occasion.what {
            Some(What::Identify(cns)) => (Some(cns.into()), None),
            Some(What::Log(lid)) => (None, Some(lid.into())),
            None => (None, None),
        };
        let same = |wanted: Option<u64>, there: Option<u64>| wanted.is_none() || wanted == there;
        queue
            && same(self.opcode, occasion.opcode.map(u64::from))
            && same(self.nsid, occasion.nsid.map(u64::from))
            && same(self.cns, cns)
            && same(self.lid, lid)
            && same(self.offset, occasion.offset.map(|offset| offset as u64))
            && self.kind.only.admits(occasion)
    }

    /// The keys that are not as the kind has them by itself.
    fn pairs(&self) -> Vec<String> {
        let own = Self::new(self.kind);
        let mut pairs = Vec::new();
        let mut number = |key: &str, value: u64, differs: bool| {
            pairs.extend(differs.then(|| format!("{key}={value}")));
        };
        number("nth", self.nth, self.nth != own.nth);
        number("every", self.every, self.every != own.every);
        number("prob", self.permille.into(), self.permille != own.permille);
        number("arg", self.argument, self.argument != own.argument);
        for (key, value) in [
            ("seed", self.seed),
            ("opcode", self.opcode),
            ("nsid", self.nsid),
            ("cns", self.cns),
            ("lid", self.lid),
            ("offset", self.offset),
        ] {
            pairs.extend(value.map(|value| format!("{key}={value:#x}")));
        }
        match self.times {
            times if times == own.times => {}
            u64::MAX => pairs.push("times=forever".to_owned()),
            times => pairs.push(format!("times={times}")),
        }
        match self.queue {
            Queue::Any => {}
            Queue::Io => pairs.push("queue=io".to_owned()),
            Queue::Id(id) => pairs.push(format!("queue={id}")),
        }
        if self.after != own.after {
            pairs.push(format!("after={}", shown(self.after)));
        }
        if self.until != own.until {
            pairs.push(format!("until={}", shown(self.until)));
        }
        if self.on != own.on {
            let place = ANYWHERE.iter().find(|(_, hook)| *hook == self.on);
            pairs.extend(place.map(|(name, _)| format!("on={name}")));
        }
        pairs
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.pairs();
        let colon = if pairs.is_empty() { "" } else { ":" };
        write!(f, "{}{colon}{}", self.kind.name, pairs.join(","))
    }
}
