// SPDX-License-Identifier: MIT

//! The judge: whether the driver keeps the rules, by what the controller sees of it.
//!
//! A complaint is a driver's mistake: the rule's name, the section that has it, what was seen, and the
//! command as a story in the lines below; it fails the run. The rules are in `judge/rules.rs`. What a
//! fault of the controller's could have caused is excused: `judge/trust.rs`. The judge sees the
//! controller as it was before it acts on what the host has just done.

mod commands;
mod features;
mod fields;
mod outstanding;
mod pointers;
mod queues;
mod registers;
mod rings;
pub mod rules;
mod shadow;
mod story;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

use crate::controller::{Controller, Taken};
use crate::fault::{Fired, Occasion};
use crate::log::Log;
use crate::memory::DmaFault;
use rings::Rings;
use rules::Rule;
use shadow::Untold;
use trust::Deceit;

pub(crate) use rings::Doorbell;
pub use trust::Trust;

/// A rule that was broken, and what was seen.
type Broken = (&'static Rule, String);

/// Stories in the log for each rule: a driver that never stops breaking one must not fill the disk.
const STORIES: u64 = 20;

/// What the judge knows, and how often it has complained.
#[derive(Default)]
pub struct Judge {
    broken: BTreeMap<&'static str, u64>,
    excused: BTreeMap<&'static str, u64>,
    tolerated: BTreeSet<&'static str>,
    deceit: Deceit,
    rings: Rings,
    /// The most blocks that each namespace has had: a driver learns late that one has shrunk.
    most_blocks: BTreeMap<u32, u64>,
    /// Tails in the shadow doorbells that the controller was not told of.
    untold: BTreeMap<u16, Untold>,
    /// What is to be logged: word and text.
    lines: Vec<(&'static str, String)>,
}

impl Judge {
    /// How many complaints there were.
    pub fn complaints(&self) -> u64 {
        self.broken.values().sum()
    }

    /// The rules that were broken, and how often.
    pub fn broken(&self) -> &BTreeMap<&'static str, u64> {
        &self.broken
    }

    /// The rules that were broken after a lie, or that are tolerated, and how often.
    pub fn excused(&self) -> &BTreeMap<&'static str, u64> {
        &self.excused
    }

    /// Excuses a rule from now on: for what people send past the driver.
    pub fn tolerate(&mut self, name: &str) -> Result<(), String> {
        let rule = rules::RULES.iter().find(|rule| rule.name == name);
        let rule = rule.ok_or_else(|| format!("{name}: no such rule"))?;
        self.tolerated.insert(rule.name);
        Ok(())
    }

    /// A mistake of the driver's.
    fn complain(&mut self, rule: &'static Rule, seen: &str, story: Vec<String>) {
        let excuse = match self.deceit.excuse(rule) {
            _ if self.tolerated.contains(rule.name) => Some("it is tolerated"),
            other => other,
        };
        let counts = match excuse {
            Some(_) => &mut self.excused,
            None => &mut self.broken,
        };
        let count = counts.entry(rule.name).or_default();
        *count += 1;
        if *count > STORIES {
            return;
        }
        let head = format!("{} ({}): {seen}", rule.name, rule.section);
        match excuse {
            Some(excuse) => {
                let line = format!("{head}; not held against the driver: {excuse}");
                self.lines.push(("excused", line));
            }
            None => {
                self.lines.push(("judge", head));
                let rule = format!("a good driver {}", rule.says);
                self.lines.push(("story", rule));
                let story = story.into_iter().map(|line| ("story", line));
                self.lines.extend(story);
            }
        }
        if *count == STORIES {
            let line = format!("{}: from now on only counted", rule.name);
            self.lines.push(("story", line));
        }
    }

    fn report(&mut self, log: &mut Log) {
        for (word, text) in self.lines.drain(..) {
            log.line(word, &text);
        }
    }

    /// The controller was reset: queues and what was in flight are gone.
    pub fn reset(&mut self) {
        self.rings = Rings::default();
        self.untold.clear();
        self.deceit.reset();
    }

    /// A fault happens.
    pub fn lied(&mut self, occasion: &Occasion, fired: &Fired) {
        self.deceit.fired(occasion, fired);
    }

    /// The driver gave an address for a queue, or for doorbells, that is not there.
    pub fn dma(&mut self, fault: &DmaFault, what: &str, log: &mut Log) {
        if fault.barred {
            return;
        }
        let seen = format!("{what}: {fault}");
        self.complain(rules::QUEUE_UNMAPPED, &seen, Vec::new());
        self.report(log);
    }

    /// A command was taken from its queue.
    fn taken(&mut self, this: &Controller, taken: &Taken) {
        let mut broken = Vec::new();
        broken.extend(self.rings.taken(taken));
        self.remember(this, taken);
        commands::check(this, taken, &self.most_blocks, &mut broken);
        self.complain_of(this, taken, broken);
    }

    /// A command breaks rules.
    fn complain_of(&mut self, this: &Controller, taken: &Taken, broken: Vec<Broken>) {
        for (rule, seen) in broken {
            self.complain(rule, &seen, story::of(this, taken));
        }
    }

    /// What a driver may still believe later.
    fn remember(&mut self, this: &Controller, taken: &Taken) {
        // The driver learns of sizes by admin commands.
        if taken.sqid == 0 {
            for (nsid, namespace) in &this.namespaces {
                let most = self.most_blocks.entry(*nsid).or_default();
                *most = namespace.blocks.max(*most);
            }
        }
    }
}

impl Controller {
    /// Asks the judge, who sees all of the controller.
    fn judged<T>(&mut self, ask: impl FnOnce(&mut Judge, &Self) -> T) -> T {
        let mut judge = std::mem::take(&mut self.judge);
        let answer = ask(&mut judge, self);
        judge.report(&mut self.log);
        self.judge = judge;
        answer
    }

    /// The driver breaks a rule, by a command if there is one to tell.
    pub fn complain(&mut self, rule: &'static Rule, seen: &str, taken: Option<&Taken>) {
        self.judged(|judge, this| {
            let story = taken.map_or_else(Vec::new, |taken| story::of(this, taken));
            judge.complain(rule, seen, story);
        });
    }

    /// A command was taken from its queue.
    pub(crate) fn judge_command(&mut self, taken: &Taken) {
        self.judged(|judge, this| judge.taken(this, taken));
    }
}
