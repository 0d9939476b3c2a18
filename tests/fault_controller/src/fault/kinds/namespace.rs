// SPDX-License-Identifier: MIT

//! Faults of Identify Namespace (CNS 00h).

use std::mem::offset_of;

use nvme_proto::identify::IdentifyNamespace as Id;

use super::{patch, Expects, Fault, Kind, Only, Patch, Place, Put};
use crate::fault::Hook;

const SIZES: &str = "LBADS < 9, > 16 or absurd; NSZE << LBADS overflows";
const LIMITS: &str = "NPWG, NAWUPF and their like × block size overflow";
const ZEROED: &str = "identify data of all zeros or all ones";

const fn kind(name: &'static str, fault: Fault) -> Kind {
    Kind::new(name, Hook::Structure, fault)
        .only(Only::Identify(0x00))
        .always()
        .at_start()
}

const NSFEAT: usize = offset_of!(Id, nsfeat);
const FLBAS: usize = offset_of!(Id, flbas);
const LBAF: usize = offset_of!(Id, lbaf);

/// LBADS of all formats that there are.
const LBADS: Fault = Fault::Patch(&[
    patch(LBAF + 2, 1),
    patch(LBAF + 6, 1),
    patch(LBAF + 10, 1),
    patch(LBAF + 14, 1),
]);

const fn lbads(name: &'static str, value: u64, does: &'static str) -> Kind {
    kind(name, LBADS)
        .argument("LBADS of the first four formats", value)
        .expects(Expects::Refuses)
        .says(
            does,
            "refuses the namespace with a message; the others live",
            SIZES,
        )
}

pub(super) const PLACE: Place = Place {
    title: "Identify Namespace",
    about: "The structure that says how large a namespace is and what it can do; nsid= picks one.",
    kinds: &[
        kind("namespace-zeros", Fault::Fill(0)).expects(Expects::Refuses).says(
            "answers Identify Namespace with zeros, as for one that is not active",
            "has no disk for it",
            ZEROED,
        ),
        kind("namespace-ones", Fault::Fill(0xff)).expects(Expects::Refuses).says(
            "answers Identify Namespace with all ones",
            "refuses the namespace with a message",
            ZEROED,
        ),
        kind("namespace-random", Fault::Random).expects(Expects::Refuses).says(
            "answers Identify Namespace with bytes that follow from the seed",
            "refuses the namespace, or has a disk whose requests fail",
            ZEROED,
        ),
        lbads("lbads-zero", 0, "says blocks of 1 byte, the mark of a format that is not there"),
        lbads("lbads-small", 8, "says blocks of 256 bytes"),
        lbads("lbads-large", 17, "says blocks of 128 KiB"),
        lbads("lbads-absurd", 255, "says blocks of 2 to the power of 255 bytes"),
        kind("nsze-zero", Fault::Patch(&[patch(0, 8)]))
            .argument("NSZE", 0)
            .expects(Expects::Refuses)
            .says("says that the namespace has no block", "has no disk for it", SIZES),
        kind("nsze-huge", Fault::Patch(&[patch(0, 8), patch(8, 8)]))
            .argument("NSZE and NCAP", u64::MAX)
            .expects(Expects::Refuses)
            .says(
                "says that the namespace has 2 to the power of 64 blocks, less one",
                "refuses the namespace: the size in bytes overflows",
                SIZES,
            ),
        kind("nsze-beyond", Fault::Patch(&[patch(0, 8), patch(8, 8)]))
            .argument("NSZE and NCAP", 1 << 40)
            .expects(Expects::Errors)
            .says(
                "says that the namespace has a thousand milliard blocks; those that it has not are \
                 answered with LBA Out of Range",
                "tells the errors of what lies behind",
                SIZES,
            ),
        kind("ncap-zero", Fault::Patch(&[patch(8, 8)]))
            .argument("NCAP", 0)
            .expects(Expects::Refuses)
            .says(
                "says that the namespace has blocks and no capacity: it is not active",
                "has no disk for it",
                SIZES,
            ),
        kind("size-shrinking", Fault::SizeShrinks)
            .expects(Expects::Errors)
            .says(
                "says half as many blocks each time that it is asked",
                "makes the disk smaller; requests behind its end fail",
                "a namespace that changes its size",
            )
            .example("size-shrinking event-invented:queue=io,nth=20"),
        kind("flbas-beyond", Fault::Patch(&[patch(FLBAS, 1)]))
            .argument("FLBAS", 0x0f)
            .expects(Expects::Refuses)
            .says(
                "uses a format that is behind the last",
                "refuses the namespace with a message",
                SIZES,
            ),
        kind("nlbaf-absurd", Fault::Patch(&[patch(offset_of!(Id, nlbaf), 1), patch(FLBAS, 1)]))
            .argument("NLBAF and FLBAS", 0xff)
            .expects(Expects::Refuses)
            .says(
                "says 256 formats of which the last is used; the table has 64",
                "reads nothing behind the table, and refuses the namespace",
                SIZES,
            ),
        kind("metadata-absurd", Fault::Patch(&[patch(LBAF, 2), patch(LBAF + 4, 2)]))
            .argument("MS of the first two formats", 0xffff)
            .expects(Expects::Refuses)
            .says(
                "says 65,535 bytes of metadata to each block",
                "refuses the namespace with a message, or has a disk of size 0",
                SIZES,
            ),
        kind("protection-absurd", Fault::Patch(&[patch(offset_of!(Id, dps), 1)]))
            .argument("DPS", 0xff)
            .expects(Expects::Refuses)
            .says(
                "says protection information of a type that there is not, without metadata",
                "refuses the namespace, or goes without protection",
                SIZES,
            ),
        kind("noiob-absurd", Fault::Patch(&[patch(offset_of!(Id, noiob), 2)]))
            .argument("NOIOB", 0xffff)
            .says(
                "says an optimal boundary that is no power of two",
                "leaves it out",
                LIMITS,
            ),
        kind(
            "npwg-absurd",
            Fault::Patch(&[
                Patch { at: NSFEAT, bytes: 1, put: Put::Or(0x30) },
                Patch { at: offset_of!(Id, npwg), bytes: 8, put: Put::Fill },
            ]),
        )
        .argument("each byte of NPWG, NPWA, NPDG and NPDA", 0xff)
        .says(
            "says write and deallocate granularities of 65,536 blocks",
            "computes in 64 bits, and leaves out what makes no sense",
            LIMITS,
        ),
        kind(
            "nows-absurd",
            Fault::Patch(&[
                Patch { at: NSFEAT, bytes: 1, put: Put::Or(0x30) },
                patch(offset_of!(Id, nows), 2),
            ]),
        )
        .argument("NOWS", 0xffff)
        .says(
            "says an optimal write size of 65,536 blocks",
            "computes in 64 bits, and leaves out what makes no sense",
            LIMITS,
        ),
        kind(
            "nawupf-absurd",
            Fault::Patch(&[
                Patch { at: NSFEAT, bytes: 1, put: Put::Or(0x02) },
                Patch { at: offset_of!(Id, nawun), bytes: 12, put: Put::Fill },
            ]),
        )
        .argument("each byte of NAWUN to NABSPF", 0xff)
        .says(
            "says atomic units and boundaries of 65,536 blocks, the boundary with an offset as large",
            "computes in 64 bits, and leaves out what makes no sense",
            LIMITS,
        ),
        kind("nsfeat-ones", Fault::Patch(&[patch(NSFEAT, 1)]))
            .argument("NSFEAT", 0xff)
            .says(
                "says every feature of a namespace, with zeros in the fields that then count",
                "takes zeros for what they mean: one block",
                LIMITS,
            ),
        kind("dlfeat-ones", Fault::Patch(&[patch(offset_of!(Id, dlfeat), 1)]))
            .argument("DLFEAT", 0xff)
            .says(
                "says a behaviour of deallocated blocks that there is not",
                "relies on none",
                LIMITS,
            ),
        kind("namespace-endgid", Fault::Patch(&[patch(offset_of!(Id, endgid), 2)]))
            .argument("ENDGID", 1)
            .says(
                "says that the namespace is in an endurance group that there is not",
                "asks for the group's features and logs or not, and has the disk in any case",
                "a feature that the controller claims and does not have",
            )
            .example("namespace-endgid identify-ctratt:arg=0x80000"),
        kind("nmic-shared", Fault::Patch(&[patch(offset_of!(Id, nmic), 1)]))
            .argument("NMIC", 0xff)
            .says(
                "says that other controllers reach the namespace, too",
                "has one disk for it all the same",
                "the same namespace or controller identifier twice",
            ),
        kind("nsattr-protected", Fault::Patch(&[patch(offset_of!(Id, nsattr), 1)]))
            .argument("NSATTR", 0xff)
            .expects(Expects::Errors)
            .says(
                "says that the namespace is write protected",
                "has a read-only disk",
                LIMITS,
            ),
        kind("mssrl-absurd", Fault::Patch(&[Patch { at: offset_of!(Id, mssrl), bytes: 7, put: Put::Fill }]))
            .argument("each byte of MSSRL, MCL and MSRC", 0xff)
            .says(
                "says copies of any length",
                "computes in 64 bits",
                LIMITS,
            ),
        kind("namespace-rewritten", Fault::RewrittenWhileRead)
            .argument("milliseconds that it lasts at most, until the host does anything", 2)
            .expects(Expects::Refuses)
            .says(
                "changes the structure between what is right and all ones after the command was \
                 completed; ends with what is right",
                "decides by one copy, by which the namespace may be none",
                "the entry changes while it is read",
            ),
    ],
};
