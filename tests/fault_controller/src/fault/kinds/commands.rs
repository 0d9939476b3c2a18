// SPDX-License-Identifier: MIT

//! Faults of commands: refused, ignored, or taken for others.

use super::{Expects, Fault, Kind, Only, Place};
use crate::fault::Hook;

const SET_UP: &str = "an error or a timeout while the controller is being set up";

pub(super) const PLACE: Place = Place {
    title: "Commands",
    about: "Commands that the controller takes and does not carry out.",
    kinds: &[
        Kind::new("command-ignored", Hook::Command, Fault::Ignored)
            .says(
                "takes a command, does not carry it out, and never completes it",
                "notices by its timeout, and tries again after a reset",
                "a completion that never comes",
            )
            .example("command-ignored:queue=io,nth=20"),
        Kind::new("deaf", Hook::Command, Fault::Ignored)
            .always()
            .expects(Expects::Errors)
            .says(
                "takes all commands from now on and carries none out; registers answer as ever",
                "resets a bounded number of times, then takes the controller for dead: every request \
                 ends with an error",
                "a reset that does not help: at most N times in a window, then dead",
            )
            .example("deaf:nth=40"),
        Kind::new("deaf-io", Hook::Command, Fault::Ignored)
            .only(Only::Io)
            .always()
            .expects(Expects::Errors)
            .says(
                "takes all I/O commands from now on and carries none out; admin commands work",
                "resets, finds that it works, and must not do so without end",
                "a reset that does not help: at most N times in a window, then dead",
            )
            .example("deaf-io:nth=40"),
        Kind::new("command-refused", Hook::Command, Fault::Refused)
            .argument("the status", 0x4001)
            .expects(Expects::Errors)
            .says(
                "refuses a command without carrying it out, as one with an unknown opcode",
                "tells the error",
                "an error where none is due",
            )
            .example("command-refused:queue=io,nth=20"),
        Kind::new("command-taken-for-another", Hook::Command, Fault::Swapped)
            .argument("milliseconds until the other one's completion follows", 20)
            .only(Only::Moves)
            .expects(Expects::Undetectable)
            .says(
                "carries out the queue's next command, completes this one in its place (which is \
                 never carried out), and the next one later; as command-ignored if none comes",
                "cannot tell: the identifier is of a command in flight",
                "a completion with the identifier of another command in flight",
            )
            .example("command-taken-for-another:nth=20"),
        Kind::new("flush-ignored", Hook::Command, Fault::Ignored)
            .only(Only::Nvm(0x00))
            .says(
                "never answers a Flush; needs a volatile write cache, and somebody who syncs",
                "notices by its timeout and recovers as from any other",
                "a completion that never comes",
            ),
        Kind::new("features-refused", Hook::Command, Fault::Refused)
            .only(Only::Features)
            .argument("the status", 0x4002)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "refuses each Set Features and Get Features, Number of Queues among them",
                "does without what it can, and has no disk if there are no queues",
                SET_UP,
            ),
        Kind::new("features-ignored", Hook::Command, Fault::Ignored)
            .only(Only::Features)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "never answers Set Features or Get Features",
                "gives up in bounded time: a timeout while the controller is set up waits for no reset",
                SET_UP,
            ),
        Kind::new("features-claimed", Hook::Command, Fault::Claimed)
            .only(Only::Admin(0x0a))
            .argument("dword 0 of the completion", 1)
            .always()
            .at_start()
            .says(
                "answers each Get Features with success and the same number, also those of features that it \
                 has not, and moves no data",
                "uses a buffer that was cleared, checks the number, and goes without what makes no sense",
                "a feature that the controller claims and does not have",
            )
            .example("features-claimed identify-ctratt:arg=0x80000 namespace-endgid"),
        Kind::new("queue-creation-refused", Hook::Command, Fault::Refused)
            .only(Only::Creation)
            .argument("the status", 0x4101)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "refuses to create I/O queues",
                "has the admin queue only and no disk, or gives the controller up, with a message",
                "queues shrink or vanish in a reset",
            )
            .example("queue-creation-refused"),
        Kind::new("queue-creation-ignored", Hook::Command, Fault::Ignored)
            .only(Only::Creation)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "never answers the creation of I/O queues",
                "gives up in bounded time",
                SET_UP,
            ),
        Kind::new("identify-refused", Hook::Command, Fault::Refused)
            .only(Only::Identify(0x01))
            .argument("the status", 0x4002)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "refuses Identify Controller",
                "gives the controller up with a message",
                SET_UP,
            ),
        Kind::new("identify-ignored", Hook::Command, Fault::Ignored)
            .only(Only::Identify(0x01))
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "never answers Identify Controller",
                "gives up in bounded time",
                SET_UP,
            ),
        Kind::new("identify-namespace-refused", Hook::Command, Fault::Refused)
            .only(Only::Identify(0x00))
            .argument("the status", 0x4002)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "refuses Identify Namespace",
                "has no disk for that namespace; the controller lives",
                SET_UP,
            ),
        Kind::new("list-refused", Hook::Command, Fault::Refused)
            .only(Only::Identify(0x02))
            .argument("the status", 0x4002)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "refuses the list of active namespaces",
                "looks at the namespaces one by one up to a number of its own, or has none",
                "NN of all ones in a scan one by one",
            )
            .example("list-refused identify-nn"),
        Kind::new("log-refused", Hook::Command, Fault::Refused)
            .only(Only::Logs)
            .argument("the status", 0x4109)
            .always()
            .at_start()
            .says(
                "refuses each Get Log Page",
                "does without",
                SET_UP,
            )
            .example("log-refused identify-ctratt:arg=0x80000 namespace-endgid features-claimed"),
    ],
};
