// SPDX-License-Identifier: MIT

//! Faults of interrupts.

use super::{Expects, Fault, Kind, Place};
use crate::fault::Hook;

const POLLED: &str = "the timeout handler first polls, then rechecks, then acts";
const SPURIOUS: &str = "an interrupt before the queue is ready, or for no reason";

pub(super) const PLACE: Place = Place {
    title: "Interrupts",
    about: "Messages of MSI-X that do not come, come late, or for nothing.",
    kinds: &[
        Kind::new("interrupt-missing", Hook::Interrupt, Fault::InterruptMissing)
            .says(
                "posts a completion and sends no interrupt for it",
                "finds it by polling when the request's time is over",
                POLLED,
            )
            .example("interrupt-missing:queue=io,nth=20"),
        Kind::new("interrupt-never", Hook::Interrupt, Fault::InterruptMissing)
            .always()
            .at_start()
            .expects(Expects::Errors)
            .says(
                "sends no interrupt at all; in the example for ten seconds from the start on, since each \
                 command takes a timeout then",
                "finds each completion by polling when its time is over, or gives up in bounded time",
                POLLED,
            )
            .example("interrupt-never:queue=io,until=10"),
        Kind::new("interrupt-late", Hook::Interrupt, Fault::InterruptLate)
            .argument("milliseconds", 100)
            .says(
                "sends an interrupt late",
                "takes what it finds then; an interrupt that finds nothing does no harm",
                POLLED,
            )
            .example("interrupt-late:queue=io,nth=20,times=10"),
        Kind::new("interrupt-twice", Hook::Interrupt, Fault::InterruptTwice)
            .always()
            .says(
                "sends each interrupt twice",
                "finds nothing the second time",
                SPURIOUS,
            )
            .example("interrupt-twice:queue=io,times=100"),
        Kind::new("interrupt-wrong-vector", Hook::Interrupt, Fault::WrongVector)
            .argument("the vector", 0)
            .says(
                "sends an interrupt by the vector of another queue",
                "finds nothing in the other queue, and this one's completion by polling",
                POLLED,
            )
            .example("interrupt-wrong-vector:queue=io,nth=20"),
        Kind::new("interrupt-spurious", Hook::Anywhere, Fault::Spurious)
            .argument("how many", 1)
            .says(
                "sends an interrupt of each queue for nothing",
                "counts it, and says that it was not its device's where the line is shared",
                SPURIOUS,
            )
            .example("interrupt-spurious:queue=io,nth=20,times=10"),
        Kind::new("interrupt-burst", Hook::Anywhere, Fault::Spurious)
            .argument("how many", 1000)
            .says(
                "sends many interrupts of each queue for nothing, at once",
                "counts them; the kernel may switch off an interrupt that nobody handles",
                SPURIOUS,
            )
            .example("interrupt-burst:queue=io,nth=20"),
        Kind::new("interrupt-storm", Hook::Anywhere, Fault::Storm)
            .argument("milliseconds that it lasts", 1000)
            .says(
                "sends an interrupt of each queue every millisecond, for nothing",
                "goes on with its work between them",
                SPURIOUS,
            )
            .example("interrupt-storm:queue=io,nth=20"),
        Kind::new("interrupt-while-enabling", Hook::Anywhere, Fault::EarlyInterrupts)
            .at_start()
            .says(
                "sends the messages of all vectors that a queue can have, whether or not it is there yet: \
                 in the example whenever a register is read, and before each completion of an admin command",
                "has each queue complete before it asks for its interrupt",
                SPURIOUS,
            )
            .always()
            .example(
                "interrupt-while-enabling:on=register-read interrupt-while-enabling:on=completion,queue=admin",
            ),
    ],
};
