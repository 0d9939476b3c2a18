// SPDX-License-Identifier: MIT

//! Faults of Identify Controller (CNS 01h).

use std::mem::offset_of;

use nvme_proto::identify::IdentifyController as Id;

use super::{patch, Expects, Fault, Kind, Only, Patch, Place, Put};
use crate::fault::Hook;

const ZEROED: &str = "identify data of all zeros or all ones";
const SHIFTS: &str = "MDTS, WZSL, ZASL: shifts";
const TEXT: &str = "strings that are not terminated, no UTF-8, or hold control characters";
const POWER: &str = "NPSS > 31, HMPRE, HMMIN or HMMINDS huge";
const CLAIMS: &str = "a feature that the controller claims and does not have";
const CHANGES: &str = "a value that changes between two reads";

const fn kind(name: &'static str, fault: Fault) -> Kind {
    Kind::new(name, Hook::Structure, fault)
        .only(Only::Identify(0x01))
        .always()
        .at_start()
}

/// The argument in each byte.
const fn fill(at: usize, bytes: usize) -> Patch {
    Patch {
        at,
        bytes,
        put: Put::Fill,
    }
}

pub(super) const PLACE: Place = Place {
    title: "Identify Controller",
    about: "The structure that says what the controller is and can do.",
    kinds: &[
        kind("identify-zeros", Fault::Fill(0))
            .expects(Expects::Refuses)
            .says(
                "answers Identify Controller with zeros",
                "refuses a controller without a queue entry size, or takes zeros for nothing there",
                ZEROED,
            ),
        kind("identify-ones", Fault::Fill(0xff))
            .expects(Expects::Refuses)
            .says(
                "answers Identify Controller with all ones",
                "refuses the controller, or leaves out all that makes no sense",
                ZEROED,
            ),
        kind("identify-random", Fault::Random)
            .expects(Expects::Refuses)
            .says(
                "answers Identify Controller with bytes that follow from the seed",
                "refuses the controller, or leaves out all that makes no sense",
                ZEROED,
            ),
        kind("identify-short", Fault::Short)
            .argument("bytes that are written", 64)
            .expects(Expects::Refuses)
            .says(
                "writes only the first bytes and reports success",
                "uses a buffer that was cleared, and judges what is there",
                "a structure that is shorter than it should be",
            ),
        kind("identify-rewritten", Fault::RewrittenWhileRead)
            .argument(
                "milliseconds that it lasts at most, until the host does anything",
                2,
            )
            .says(
                "changes the structure between what is right and all ones after the command was \
                 completed; ends with what is right",
                "decides by one copy",
                "the entry changes while it is read",
            ),
        kind(
            "identify-mdts",
            Fault::Patch(&[patch(offset_of!(Id, mdts), 1)]),
        )
        .argument("MDTS", 255)
        .says(
            "says a largest transfer of 2 to the power of 255 pages",
            "checks the shift, and has a limit of its own",
            SHIFTS,
        ),
        kind(
            "identify-mdts-one",
            Fault::Patch(&[patch(offset_of!(Id, mdts), 1)]),
        )
        .argument("MDTS", 1)
        .says(
            "says a largest transfer of two pages",
            "splits what is longer",
            SHIFTS,
        ),
        kind("identify-nn", Fault::Patch(&[patch(offset_of!(Id, nn), 4)]))
            .argument("NN", 0xffff_ffff)
            .says(
                "says that there can be as many namespaces as there are numbers",
                "does not look at each",
                "NN of all ones in a scan one by one",
            ),
        kind(
            "identify-nn-zero",
            Fault::Patch(&[patch(offset_of!(Id, nn), 4)]),
        )
        .argument("NN", 0)
        .expects(Expects::Refuses)
        .says(
            "says that there can be no namespace, and lists them",
            "has no disk, or those of the list",
            "NN of all ones in a scan one by one",
        ),
        kind(
            "identify-sqes",
            Fault::Patch(&[patch(offset_of!(Id, sqes), 1)]),
        )
        .argument("SQES", 0xff)
        .expects(Expects::Refuses)
        .says(
            "says submission queue entries of 32 KiB at least",
            "refuses the controller, or uses 64 bytes all the same",
            ZEROED,
        ),
        kind(
            "identify-cqes",
            Fault::Patch(&[patch(offset_of!(Id, cqes), 1)]),
        )
        .argument("CQES", 0xff)
        .expects(Expects::Refuses)
        .says(
            "says completion queue entries of 32 KiB at least",
            "refuses the controller, or uses 16 bytes all the same",
            ZEROED,
        ),
        kind(
            "identify-cntrltype",
            Fault::Patch(&[patch(offset_of!(Id, cntrltype), 1)]),
        )
        .argument("CNTRLTYPE", 0xff)
        .expects(Expects::Refuses)
        .says(
            "says a controller type that there is not",
            "refuses it with a message, or takes it for an I/O controller by its class",
            CLAIMS,
        ),
        kind(
            "identify-discovery",
            Fault::Patch(&[patch(offset_of!(Id, cntrltype), 1)]),
        )
        .argument("CNTRLTYPE", 2)
        .expects(Expects::Refuses)
        .says(
            "says that it is a discovery controller, which has no I/O queue",
            "refuses it with a message",
            CLAIMS,
        ),
        kind(
            "identify-cntlid",
            Fault::Changing {
                at: offset_of!(Id, cntlid),
                bytes: 2,
            },
        )
        .says(
            "says another controller identifier each time that it is asked",
            "goes by the one that it read when the controller was set up, or refuses the change",
            "the same namespace or controller identifier twice",
        ),
        kind(
            "identify-serial-changing",
            Fault::Changing {
                at: offset_of!(Id, sn),
                bytes: 20,
            },
        )
        .says(
            "says another serial number each time that it is asked, as if the device was exchanged",
            "takes it for another device after a reset, or goes by the first",
            CHANGES,
        ),
        kind(
            "identify-aerl",
            Fault::Patch(&[patch(offset_of!(Id, aerl), 1)]),
        )
        .argument("AERL", 255)
        .says(
            "says that 256 Asynchronous Event Requests may wait at once",
            "sends no more than its admin queue has room for",
            CLAIMS,
        ),
        kind(
            "identify-acl",
            Fault::Patch(&[patch(offset_of!(Id, acl), 1)]),
        )
        .argument("ACL", 0)
        .says(
            "says that one command may be aborted at a time",
            "keeps to it",
            "the abort limit is exceeded",
        ),
        kind(
            "identify-oncs",
            Fault::Patch(&[patch(offset_of!(Id, oncs), 2)]),
        )
        .argument("ONCS", 0xffff)
        .says(
            "says every optional command of the NVM Command Set",
            "takes a refusal of one that is not there for what it is",
            CLAIMS,
        ),
        kind(
            "identify-oacs",
            Fault::Patch(&[patch(offset_of!(Id, oacs), 2)]),
        )
        .argument("OACS", 0xffff)
        .says(
            "says every optional admin command",
            "takes a refusal of one that is not there for what it is",
            CLAIMS,
        ),
        kind(
            "identify-vwc",
            Fault::Patch(&[patch(offset_of!(Id, vwc), 1)]),
        )
        .argument("VWC", 0)
        .says(
            "says that there is no volatile write cache",
            "sends no Flush, or sends it all the same",
            CLAIMS,
        ),
        kind(
            "identify-sgls",
            Fault::Patch(&[patch(offset_of!(Id, sgls), 4)]),
        )
        .argument("SGLS", 0xffff_ffff)
        .says(
            "says every kind of SGL, the reserved ones too",
            "uses what it knows",
            CLAIMS,
        ),
        kind(
            "identify-hmb-huge",
            Fault::Patch(&[
                patch(offset_of!(Id, hmpre), 4),
                patch(offset_of!(Id, hmmin), 4),
                patch(offset_of!(Id, hmminds), 4),
            ]),
        )
        .argument("HMPRE, HMMIN and HMMINDS, in 4 KiB", 0xffff_ffff)
        .says(
            "asks for a host memory buffer of 16 TiB",
            "gives none, with one message",
            POWER,
        ),
        kind(
            "identify-hmb-inverted",
            Fault::Patch(&[patch(offset_of!(Id, hmmin), 4)]),
        )
        .argument("HMMIN, in 4 KiB", 0x0100_0000)
        .says(
            "says a smallest host memory buffer above the preferred one",
            "gives none",
            POWER,
        ),
        kind(
            "identify-npss",
            Fault::Patch(&[
                patch(offset_of!(Id, npss), 1),
                fill(offset_of!(Id, apsta), 1),
            ]),
        )
        .argument("NPSS, and APSTA", 255)
        .says(
            "says 256 power states with autonomous transitions; there can be 32",
            "reads nothing behind the table, and leaves the feature out",
            POWER,
        ),
        kind(
            "identify-power-states",
            Fault::Patch(&[
                Patch {
                    at: offset_of!(Id, npss),
                    bytes: 1,
                    put: Put::Or(31),
                },
                fill(offset_of!(Id, psd), 1024),
            ]),
        )
        .argument("each byte of all power states", 0xff)
        .says(
            "says power states whose latencies and powers are all ones",
            "computes without overflow, and enters no state that is that slow",
            POWER,
        ),
        kind(
            "identify-rtd3e",
            Fault::Patch(&[patch(offset_of!(Id, rtd3e), 4)]),
        )
        .at_unbind()
        .argument("RTD3E, in microseconds", 0xffff_ffff)
        .says(
            "says that a shutdown takes 71 minutes",
            "waits 60 seconds at most",
            "shutdown never finishes",
        )
        .example("identify-rtd3e shutdown-never-finishes"),
        kind(
            "identify-crdt",
            Fault::Patch(&[
                patch(offset_of!(Id, crdt), 2),
                patch(offset_of!(Id, crdt) + 2, 2),
                patch(offset_of!(Id, crdt) + 4, 2),
            ]),
        )
        .argument("CRDT1 to CRDT3, in 100 milliseconds", 0xffff)
        .says(
            "says retry delays of 109 minutes",
            "waits for seconds at most",
            "a retry delay (CRDT) of up to 109 minutes",
        )
        .example("identify-crdt completion-retry-later:queue=io,nth=20"),
        kind(
            "identify-mtfa",
            Fault::Patch(&[patch(offset_of!(Id, mtfa), 2)]),
        )
        .argument("MTFA, in 100 milliseconds", 0xffff)
        .says(
            "says that activating firmware takes 109 minutes",
            "waits within a bound of its own, resets the controller then, and tries again",
            "MTFA of up to 109 minutes",
        )
        .example("identify-mtfa firmware-activation:queue=io,nth=20,arg=20000"),
        kind(
            "identify-cmic",
            Fault::Patch(&[patch(offset_of!(Id, cmic), 1)]),
        )
        .argument("CMIC", 0xff)
        .says(
            "says that it has more ports, more controllers, and reports asymmetric access",
            "has one disk for each namespace; no access log, no access state",
            CLAIMS,
        ),
        kind(
            "identify-ctratt",
            Fault::Patch(&[patch(offset_of!(Id, ctratt), 4)]),
        )
        .argument("CTRATT", 0xffff_ffff)
        .says(
            "says every controller attribute",
            "takes what is not there for not there",
            CLAIMS,
        ),
        kind(
            "identify-oaes",
            Fault::Patch(&[patch(offset_of!(Id, oaes), 4)]),
        )
        .argument("OAES", 0xffff_ffff)
        .says(
            "says every asynchronous event",
            "enables those that it knows",
            "invented identifiers of asynchronous events",
        ),
        kind(
            "identify-awupf",
            Fault::Patch(&[fill(offset_of!(Id, awun), 4), fill(offset_of!(Id, acwu), 2)]),
        )
        .argument("each byte of AWUN, AWUPF and ACWU", 0xff)
        .says(
            "says atomic writes of 65,536 blocks",
            "computes in 64 bits, and promises no more than its largest transfer",
            "NPWG, NAWUPF and their like × block size overflow",
        ),
        kind(
            "identify-maxcmd",
            Fault::Patch(&[patch(offset_of!(Id, maxcmd), 2)]),
        )
        .argument("MAXCMD", 1)
        .says(
            "says that one command may be outstanding in a queue",
            "keeps to it, or to the queue's entries: MAXCMD is a hint over PCIe",
            CLAIMS,
        ),
        kind(
            "identify-lpa",
            Fault::Patch(&[patch(offset_of!(Id, lpa), 1)]),
        )
        .argument("LPA", 0xff)
        .says(
            "says every attribute of log pages",
            "takes a refusal of a page that is not there for what it is",
            CLAIMS,
        ),
        kind(
            "identify-version",
            Fault::Patch(&[patch(offset_of!(Id, ver), 4)]),
        )
        .argument("VER", 0)
        .says(
            "says version 0 here and 2.1 in the register",
            "goes by one of them, always the same",
            CLAIMS,
        ),
        kind(
            "identify-control-characters",
            Fault::Patch(&[fill(offset_of!(Id, sn), 68)]),
        )
        .argument("each byte of SN, MN and FR", 0x1b)
        .says(
            "has nothing but control characters in serial number, model and firmware revision",
            "shows none of them in sysfs or the log as they are",
            TEXT,
        ),
        kind(
            "identify-not-utf8",
            Fault::Patch(&[fill(offset_of!(Id, sn), 68)]),
        )
        .argument("each byte of SN, MN and FR", 0xfe)
        .says(
            "has bytes in serial number, model and firmware revision that are no text",
            "shows none of them in sysfs or the log as they are",
            TEXT,
        ),
        kind(
            "identify-subnqn-unterminated",
            Fault::Patch(&[fill(offset_of!(Id, subnqn), 256)]),
        )
        .argument("each byte of SUBNQN", 0x61)
        .says(
            "has a subsystem name that fills its field, without an end",
            "reads nothing behind it",
            TEXT,
        ),
        kind(
            "identify-subnqn-empty",
            Fault::Patch(&[fill(offset_of!(Id, subnqn), 256)]),
        )
        .argument("each byte of SUBNQN", 0)
        .says(
            "has no subsystem name",
            "makes one from the serial number, or goes without",
            TEXT,
        ),
    ],
};
