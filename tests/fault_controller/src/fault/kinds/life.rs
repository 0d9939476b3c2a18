// SPDX-License-Identifier: MIT

//! What can happen anywhere: the controller ends, breaks, forgets, or says what nobody asked.

use super::{Expects, Fault, Kind, Place};
use crate::fault::Hook;

const GONE: &str = "all registers read as ones";
const FATAL: &str = "fatal status (CSTS.CFS)";
const EVENTS: &str = "invented identifiers of asynchronous events";

pub(super) const PLACE: Place = Place {
    title: "Life",
    about: "These can happen anywhere: `on=` says where, or when. What was about to happen goes on.",
    kinds: &[
        Kind::new("death", Hook::Anywhere, Fault::Death)
            .argument("the exit status", 0)
            .expects(Expects::Errors)
            .says(
                "ends the process; what QEMU then does with accesses is its own matter",
                "takes the device for gone, ends all requests with an error, and unloads",
                GONE,
            )
            .example("death:queue=io,nth=20"),
        Kind::new("gone", Hook::Anywhere, Fault::Gone)
            .expects(Expects::Errors)
            .says(
                "is gone from now on, until faults are disarmed: registers read as ones, writes and \
                 doorbells reach nobody, nothing is completed",
                "takes the device for gone: ends all requests with an error, touches no register again",
                GONE,
            )
            .example("gone:queue=io,nth=20"),
        Kind::new("fatal", Hook::Anywhere, Fault::FatalStatus)
            .says(
                "sets CSTS.CFS and carries out no command until it is reset",
                "resets the controller and sends the requests again",
                FATAL,
            )
            .example("fatal:queue=io,nth=20"),
        Kind::new("fatal-again", Hook::Anywhere, Fault::FatalStatus)
            .always()
            .expects(Expects::Errors)
            .says(
                "sets CSTS.CFS at each I/O command, after each reset again",
                "resets at most N times in a window, then takes the controller for dead",
                FATAL,
            )
            .example("fatal-again:queue=io,nth=20"),
        Kind::new("ready-drops", Hook::Anywhere, Fault::ReadyDrops)
            .says(
                "clears CSTS.RDY by itself and carries out no command until it is reset",
                "notices by a timeout, and resets",
                "CSTS.RDY never set, or never cleared",
            )
            .example("ready-drops:queue=io,nth=20"),
        Kind::new("forgets", Hook::Anywhere, Fault::Forgets)
            .says(
                "resets itself: CSTS.RDY is 0, CC.EN is 0, queues and commands are forgotten",
                "notices by a timeout, and sets the controller up again",
                "parallel resets, reset against removal",
            )
            .example("forgets:queue=io,nth=20"),
        Kind::new("stands-still", Hook::Anywhere, Fault::Paused)
            .argument("milliseconds", 2000)
            .says(
                "carries out nothing for a while; then it goes on where it stopped",
                "waits; if its timeout is shorter, recovers and drops what comes late",
                "a slow controller",
            )
            .example("stands-still:queue=io,nth=20"),
        Kind::new("completion-unasked", Hook::Anywhere, Fault::Unasked)
            .argument("how many in each queue", 1)
            .says(
                "posts entries with an unknown identifier in all queues, though nothing was asked",
                "drops them and counts them",
                "a duplicate, late or invented completion ends a request twice, or another's",
            )
            .example("completion-unasked:queue=io,nth=20,times=10"),
        Kind::new("event-invented", Hook::Anywhere, Fault::Event(0x0004_0002))
            .argument("how many", 1)
            .says(
                "completes an Asynchronous Event Request as if the namespaces had changed; the last one \
                 again when none waits",
                "drops an event that no request waits for, or rescans once; never has more requests in \
                 its ring than it has slots for",
                EVENTS,
            )
            .example("event-invented:queue=io,nth=20,times=5"),
        Kind::new("event-flood", Hook::Anywhere, Fault::Event(0x0004_0002))
            .argument("how many", 64)
            .says(
                "completes all Asynchronous Event Requests, and the last one many times more, at once",
                "handles each once or drops it; never has more requests in its ring than it has slots for",
                EVENTS,
            )
            .example("event-flood:queue=io,nth=20"),
        Kind::new("event-absurd", Hook::Anywhere, Fault::Event(0x00ff_ff07))
            .argument("how many", 1)
            .says(
                "completes an Asynchronous Event Request with a type, an information and a log page that \
                 no specification has",
                "logs it, at a limited rate, and asks again",
                EVENTS,
            )
            .example("event-absurd:queue=io,nth=20,times=5"),
        Kind::new("event-reserved", Hook::Anywhere, Fault::Event(0x0000_ff02))
            .argument("how many", 1)
            .says(
                "sends a notice with an information that is reserved",
                "leaves it alone, and asks again",
                EVENTS,
            )
            .example("event-reserved:queue=io,nth=20,times=5"),
        Kind::new("firmware-activation", Hook::Anywhere, Fault::FirmwareStarts)
            .argument("milliseconds that it lasts", 1000)
            .says(
                "says by an event, if one was asked for, that the activation of firmware begins, sets CSTS.PP, and carries out \
                 nothing until it is over",
                "sends nothing meanwhile, and goes on when CSTS.PP is 0",
                "MTFA of up to 109 minutes",
            )
            .example("firmware-activation:queue=io,nth=20"),
    ],
};
