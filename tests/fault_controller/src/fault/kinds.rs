// SPDX-License-Identifier: MIT

//! The table of all kinds of faults: name, place, argument, and in words what the controller does and
//! what a good driver does then. The pages for people are made from it.

use super::{Hook, Occasion, What};

/// A kind's argument.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Argument {
    /// What it means, with its unit.
    pub means: &'static str,
    /// What it is unless told.
    pub default: u64,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Kind {
    /// Which it is.
    #[serde(skip)]
    pub fault: Fault,
    /// Its name in the grammar.
    pub name: &'static str,
    /// Where it happens.
    pub hook: Hook,
    /// Its argument, if it has one.
    pub argument: Option<Argument>,
    /// What the controller does.
    pub does: &'static str,
    /// What a good driver does.
    pub answer: &'static str,
}

/// The kinds, for the code that plays them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fault {
    CompletionLost,
    CompletionLate,
    CompletionDuplicate,
    InterruptMissing,
    RegistersOnes,
    NeverReady,
    ListEndless,
    DataMisplaced,
}

const fn argument(means: &'static str, default: u64) -> Option<Argument> {
    Some(Argument { means, default })
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind {
        fault: Fault::CompletionLost,
        name: "completion-lost",
        hook: Hook::Completion,
        argument: None,
        does: "carries out a command and never completes it",
        answer: "notices by its timeout, aborts the command, resets the controller if that does not help, and tries again",
    },
    Kind {
        fault: Fault::CompletionLate,
        name: "completion-late",
        hook: Hook::Completion,
        argument: argument("milliseconds", 500),
        does: "completes a command late",
        answer: "waits, and takes the completion once; if its timeout was shorter, drops it without harm",
    },
    Kind {
        fault: Fault::CompletionDuplicate,
        name: "completion-duplicate",
        hook: Hook::Completion,
        argument: None,
        does: "posts a completion twice",
        answer: "drops the second, counts it, and ends the request once",
    },
    Kind {
        fault: Fault::InterruptMissing,
        name: "interrupt-missing",
        hook: Hook::Interrupt,
        argument: None,
        does: "posts a completion and sends no interrupt for it",
        answer: "finds it by polling when the request's time is over",
    },
    Kind {
        fault: Fault::RegistersOnes,
        name: "registers-ones",
        hook: Hook::RegisterRead,
        argument: None,
        does: "answers a register read with all ones, as the bus does for a device that is gone",
        answer: "takes the device for gone where that lasts: ends all requests with an error and touches no register again",
    },
    Kind {
        fault: Fault::NeverReady,
        name: "never-ready",
        hook: Hook::Enable,
        argument: None,
        does: "never sets CSTS.RDY after CC.EN",
        answer: "gives up after the time that CAP.TO or CRTO names, within its own bound",
    },
    Kind {
        fault: Fault::ListEndless,
        name: "list-endless",
        hook: Hook::Structure,
        argument: None,
        does: "answers each request for the list of active namespaces with a full list, without end",
        answer: "stops at a number of its own, or at the number of namespaces that there can be, and says so once",
    },
    Kind {
        fault: Fault::DataMisplaced,
        name: "data-misplaced",
        hook: Hook::Data,
        argument: None,
        does: "writes the data of a read to another page of the host's memory than it was told",
        answer: "cannot notice without protection information; behind a strict IOMMU the page is one that was mapped for it",
    },
];

impl Kind {
    /// Whether the kind has anything to do on an occasion, beyond its hook.
    pub fn applies(&self, occasion: &Occasion) -> bool {
        match self.fault {
            Fault::ListEndless => occasion.what == Some(What::Identify(0x02)),
            Fault::DataMisplaced => occasion.opcode == Some(0x02),
            _ => true,
        }
    }
}
