// SPDX-License-Identifier: MIT

//! Faults of what is granted: queues and event indices.

use super::{Expects, Fault, Kind, Place};
use crate::fault::Hook;

const GRANTED: &str = "queue count granted: 0, 1, or more than asked";

/// What Number of Queues is answered with.
const fn granted(name: &'static str, dword: u64) -> Kind {
    Kind::new(name, Hook::Grant, Fault::Granted)
        .argument(
            "dword 0: submission queues, and completion queues << 16, both counted from 0",
            dword,
        )
        .always()
        .at_start()
}

pub(super) const PLACE: Place = Place {
    title: "Queues",
    about: "How many queues are granted, and what shadow doorbells are told.",
    kinds: &[
        granted("queues-one", 0).says(
            "grants one I/O queue, whatever is asked for",
            "makes do with one for all CPUs",
            GRANTED,
        ),
        granted("queues-many", 0xffff_ffff).says(
            "grants 65,536 queues, more than there can be",
            "takes no more than it asked for",
            GRANTED,
        ),
        granted("queues-uneven", 0x0000_ffff).says(
            "grants many submission queues and one completion queue",
            "makes no more pairs than the smaller number",
            GRANTED,
        ),
        granted("queues-no-completion", 0xffff_0000).says(
            "grants one submission queue and many completion queues",
            "makes no more pairs than the smaller number",
            GRANTED,
        ),
        Kind::new("queues-shrinking", Hook::Grant, Fault::GrantShrinks)
            .always()
            .at_start()
            .says(
                "grants half as many queues each time that it is asked",
                "brings the number of its hardware queues down in the reset",
                "queues shrink or vanish in a reset",
            ),
        Kind::new("event-index-garbage", Hook::EventIndex, Fault::EventIndex)
            .always()
            .at_start()
            .expects(Expects::Errors)
            .says(
                "writes event indices of shadow doorbells that follow from the seed, beyond the queues too",
                "uses them for nothing but whether to ring; what is not rung for is found by a timeout",
                "shadow doorbells with absurd event indices",
            ),
    ],
};
