// SPDX-License-Identifier: MIT

//! The tables of all kinds of faults: name, place, argument, and in words what the controller does and
//! what a good driver does then. `--kinds` prints them, the pages for people are made from them.
//!
//! The tables are in the files under `kinds/`, one for each place; `fault` plays what they say.

use super::{Hook, Occasion, What};

mod command_set;
mod commands;
mod completions;
mod controller;
mod data;
mod interrupts;
mod life;
mod lists;
mod logs;
mod namespace;
mod queues;
mod registers;

/// A kind's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Argument {
    /// What it means, with its unit.
    pub means: &'static str,
    /// What it is unless told.
    pub default: u64,
}

/// What is asked of a driver that meets a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expects {
    /// All data is right and no request fails: at most the log tells.
    Survives,
    /// The controller or the namespace is refused with a message; nothing hangs, the module unloads.
    Refuses,
    /// Requests may fail, in bounded time and with an error that is told; what was told to be written
    /// is there.
    Errors,
    /// The data is wrong, and nothing shows it without protection information.
    Undetectable,
    /// Memory that the controller was not given is written: whoever has it by then may fail in any way.
    Overwrites,
}

/// When a fault is armed, to be of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arms {
    /// Before a driver binds: it is met while the controller is set up.
    Start,
    /// While the disk is in use.
    Running,
    /// Before a driver binds: it is met when the driver is unbound.
    Unbind,
}

/// On which occasions of its hook a kind has anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// On all.
    Any,
    /// Of an I/O queue.
    Io,
    /// A read or a write.
    Moves,
    /// An I/O command by its opcode.
    Nvm(u8),
    /// An admin command by its opcode.
    Admin(u8),
    /// Create I/O Submission Queue or Create I/O Completion Queue.
    Creation,
    /// Set Features or Get Features.
    Features,
    /// A structure of Identify, by its CNS.
    Identify(u8),
    /// Any structure.
    Structure,
    /// What names a namespace: its structure and its descriptors.
    Names,
    /// Any log page.
    Logs,
    /// A log page by its LID.
    Log(u8),
    /// An access that touches these bytes of the registers.
    Register {
        /// The first byte.
        at: usize,
        /// How many.
        bytes: usize,
    },
    /// A register of the memory buffer, or what says that there is one.
    MemoryBuffer,
    /// A submission queue.
    Submission,
    /// A completion queue.
    Completion,
}

impl Only {
    /// Whether an occasion is one of these.
    pub(super) fn admits(self, occasion: &Occasion) -> bool {
        let admin = occasion.queue == Some(0);
        let io = occasion.queue.is_some() && !admin;
        let touches = |at: usize, bytes: usize| {
            occasion.offset.is_some_and(|offset| {
                offset < at + bytes && at < offset.saturating_add(occasion.bytes)
            })
        };
        match self {
            Self::Any => true,
            Self::Io => io,
            Self::Moves => io && matches!(occasion.opcode, Some(1 | 2)),
            Self::Nvm(opcode) => io && occasion.opcode == Some(opcode),
            Self::Admin(opcode) => admin && occasion.opcode == Some(opcode),
            Self::Creation => admin && matches!(occasion.opcode, Some(1 | 5)),
            Self::Features => admin && matches!(occasion.opcode, Some(0x09 | 0x0a)),
            Self::Identify(cns) => occasion.what == Some(What::Identify(cns)),
            Self::Structure => occasion.what.is_some(),
            Self::Names => matches!(occasion.what, Some(What::Identify(0 | 3))),
            Self::Logs => matches!(occasion.what, Some(What::Log(_))),
            Self::Log(lid) => occasion.what == Some(What::Log(lid)),
            Self::Register { at, bytes } => touches(at, bytes),
            Self::MemoryBuffer => touches(0x04, 4) || touches(0x38, 8) || touches(0x58, 4),
            Self::Submission => !occasion.completion,
            Self::Completion => occasion.completion,
        }
    }
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kind {
    /// Its name in the grammar.
    pub name: &'static str,
    /// Where it happens.
    pub hook: Hook,
    /// Which it is.
    #[serde(skip)]
    pub fault: Fault,
    /// On which occasions it happens.
    #[serde(skip)]
    pub only: Only,
    /// Its argument, if it has one.
    pub argument: Option<Argument>,
    /// How many occasions it happens on unless told: once, or (the largest number) on all.
    #[serde(serialize_with = "times")]
    pub times: u64,
    /// What the controller does.
    pub does: &'static str,
    /// What a good driver does.
    pub answer: &'static str,
    /// The hazard that it stands for.
    pub hazard: &'static str,
    /// What a runner judges a driver by.
    pub expects: Expects,
    /// When a runner arms it.
    pub arms: Arms,
    /// What a runner arms: lines of the grammar, with a space between two.
    pub example: &'static str,
}

fn times<S: serde::Serializer>(times: &u64, to: S) -> Result<S::Ok, S::Error> {
    match *times {
        u64::MAX => to.serialize_str("forever"),
        times => to.serialize_u64(times),
    }
}

impl Kind {
    /// A kind that happens once, while the disk is in use, and that a driver survives. What is not said
    /// here follows.
    const fn new(name: &'static str, hook: Hook, fault: Fault) -> Self {
        Self {
            name,
            hook,
            fault,
            only: Only::Any,
            argument: None,
            times: 1,
            does: "",
            answer: "",
            hazard: "",
            expects: Expects::Survives,
            arms: Arms::Running,
            example: name,
        }
    }

    const fn only(mut self, only: Only) -> Self {
        self.only = only;
        self
    }

    const fn argument(mut self, means: &'static str, default: u64) -> Self {
        self.argument = Some(Argument { means, default });
        self
    }

    /// It happens on all occasions unless told otherwise.
    const fn always(mut self) -> Self {
        self.times = u64::MAX;
        self
    }

    /// It is met while the controller is set up.
    const fn at_start(mut self) -> Self {
        self.arms = Arms::Start;
        self
    }

    /// It is met when the driver is unbound.
    const fn at_unbind(mut self) -> Self {
        self.arms = Arms::Unbind;
        self
    }

    const fn expects(mut self, expects: Expects) -> Self {
        self.expects = expects;
        self
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    /// In words: what the controller does, what a good driver does, and the hazard.
    const fn says(
        mut self,
        does: &'static str,
        answer: &'static str,
        hazard: &'static str,
    ) -> Self {
        (self.does, self.answer, self.hazard) = (does, answer, hazard);
        self
    }
}

/// The kinds of one place.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What the place is called.
    pub title: &'static str,
    /// What there is to know of it.
    pub about: &'static str,
    /// The kinds.
    pub kinds: &'static [Kind],
}

/// All places, each with its kinds.
pub const PLACES: &[Place] = &[
    completions::PLACE,
    commands::PLACE,
    interrupts::PLACE,
    registers::PLACE,
    queues::PLACE,
    controller::PLACE,
    namespace::PLACE,
    command_set::PLACE,
    lists::PLACE,
    logs::PLACE,
    data::PLACE,
    life::PLACE,
];

/// All kinds.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    PLACES.iter().flat_map(|place| place.kinds)
}

/// The kind of a name.
pub fn find(name: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.name == name)
}

/// A change of a structure: so many bytes at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The first byte.
    pub at: usize,
    /// How many, eight at most unless they are filled.
    pub bytes: usize,
    /// What is put there.
    pub put: Put,
}

/// The argument in a field.
const fn patch(at: usize, bytes: usize) -> Patch {
    Patch {
        at,
        bytes,
        put: Put::Argument,
    }
}

/// What a patch puts into its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The fault's argument, little-endian.
    Argument,
    /// These bits beside those that are there.
    Or(u64),
    /// The fault's argument in each byte.
    Fill,
}

/// The kinds, for the code that plays them. One may have several names, for several occasions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fault {
    // Completions.
    Lost,
    Late,
    Duplicate,
    Unknown,
    Stale,
    OtherQueue,
    WrongPhase,
    Flood,
    Overrun,
    Endless,
    SqHead,
    SqId,
    Torn,
    Rewritten,
    Garbage,
    Reordered,
    Status,
    StatusRandom,
    RetryLater,
    AdminInIo,
    InterruptEarly,
    AfterDeletion,
    AfterReset,
    // Commands.
    Refused,
    Ignored,
    Claimed,
    Swapped,
    // Interrupts.
    InterruptMissing,
    InterruptLate,
    InterruptTwice,
    WrongVector,
    // Registers.
    Ones,
    Zeros,
    Value,
    Field { at: usize, shift: u32, bits: u32 },
    Bits { at: usize, bits: u64 },
    CapChanging,
    MemoryBuffer { over_registers: bool },
    SlowRead,
    WriteIgnored,
    // What follows CC.
    Never,
    Slowly,
    Fatal,
    ShutdownUnseen,
    // Doorbells.
    DoorbellLost,
    DoorbellLate,
    // Queues.
    Granted,
    GrantShrinks,
    EventIndex,
    // Structures.
    Fill(u8),
    Random,
    Patch(&'static [Patch]),
    Changing { at: usize, bytes: usize },
    Short,
    RewrittenWhileRead,
    SizeShrinks,
    SameNames,
    ListEndless,
    ListRepeated,
    ListUnsorted,
    ListDuplicate,
    ListInvalid,
    ListBeyond,
    ListShrinks,
    Descriptor(Descriptor),
    ChangedAbsurd,
    // Data.
    Misplaced,
    Unmapped,
    DataShort,
    Flipped,
    NotMoved,
    AfterCompletion,
    RewrittenAfter,
    ListReread,
    PagesSwapped,
    OtherBlock,
    RangesBeyond,
    // What happens anywhere.
    Death,
    Gone,
    FatalStatus,
    ReadyDrops,
    Forgets,
    Paused,
    Spurious,
    Storm,
    Unasked,
    Event(u32),
    FirmwareStarts,
    EarlyInterrupts,
}

/// What is wrong with the namespace identification descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Descriptor {
    ZeroLength,
    Overlong,
    WrongLength,
    Unknown,
    Repeated,
    WrongCsi,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fault::Spec;

    #[test]
    fn each_kind_has_a_name_of_its_own_and_words_for_people() {
        let mut names = BTreeSet::new();
        for kind in all() {
            assert!(names.insert(kind.name), "{} comes twice", kind.name);
            for (what, text) in [
                ("does", kind.does),
                ("answer", kind.answer),
                ("hazard", kind.hazard),
            ] {
                assert!(text.len() >= 5, "{}: {what} is {text:?}", kind.name);
                assert!(!text.ends_with('.'), "{}: {what} ends in a dot", kind.name);
            }
        }
        println!("{} kinds", names.len());
        assert!(names.len() >= 60);
    }

    #[test]
    fn each_example_arms_its_kind() {
        for kind in all() {
            let specs: Vec<Spec> = kind
                .example
                .split(' ')
                .map(|line| {
                    line.parse()
                        .unwrap_or_else(|error| panic!("{}: {error}", kind.name))
                })
                .collect();
            assert!(
                specs.iter().any(|spec| spec.kind == kind),
                "{}: {}",
                kind.name,
                kind.example
            );
        }
    }
}
