// SPDX-License-Identifier: MIT

//! Faults of log pages.

use super::{Fault, Kind, Only, Place};
use crate::fault::Hook;

const PARSED: &str = "descriptor, log page, zone report or FDP lengths";

const fn log(name: &'static str, fault: Fault, only: Only) -> Kind {
    Kind::new(name, Hook::Structure, fault)
        .only(only)
        .always()
        .at_start()
}

pub(super) const PLACE: Place = Place {
    title: "Log pages",
    about: "What Get Log Page hands out; lid= picks one page. Pages that the controller does not have are handed \
            out, too, since a fault is to change them. The examples claim data placement (CTRATT.FDPS), so that a \
            driver asks for a page by itself.",
    kinds: &[
        log("log-zeros", Fault::Fill(0), Only::Logs).says(
            "answers Get Log Page with zeros",
            "takes nothing from a page that says nothing",
            PARSED,
        )
        .example("log-zeros identify-ctratt:arg=0x80000 namespace-endgid features-claimed"),
        log("log-ones", Fault::Fill(0xff), Only::Logs).says(
            "answers Get Log Page with all ones",
            "reads no further than its buffer, and shows no absurd value as true",
            PARSED,
        )
        .example("log-ones identify-ctratt:arg=0x80000 namespace-endgid features-claimed"),
        log("log-random", Fault::Random, Only::Logs).says(
            "answers Get Log Page with bytes that follow from the seed",
            "reads no further than its buffer",
            PARSED,
        )
        .example("log-random identify-ctratt:arg=0x80000 namespace-endgid features-claimed"),
        log("log-short", Fault::Short, Only::Logs)
            .argument("bytes that are written", 16)
            .says(
                "writes only the first bytes of a log page and reports success",
                "uses a buffer that was cleared: what was in that memory before reaches nobody",
                "a structure that is shorter than it should be",
            )
            .example("log-short identify-ctratt:arg=0x80000 namespace-endgid features-claimed"),
        log("changed-list-absurd", Fault::ChangedAbsurd, Only::Log(0x04))
            .says(
                "fills the list of changed namespaces with identifiers that there are not, unsorted and \
                 repeated, and none of the end",
                "looks at each at most once, in bounded time, or scans all",
                "a list unsorted, with repeats, or never ending",
            )
            .example("changed-list-absurd event-invented:queue=io,nth=20"),
        log("changed-list-overflow", Fault::Fill(0xff), Only::Log(0x04))
            .says(
                "says that more namespaces have changed than the list can hold",
                "scans all",
                "a list unsorted, with repeats, or never ending",
            )
            .example("changed-list-overflow event-invented:queue=io,nth=20"),
        log("effects-ones", Fault::Fill(0xff), Only::Log(0x05)).says(
            "says that each command has every effect there is",
            "takes care with commands from user space; its own go on",
            PARSED,
        ),
    ],
};
