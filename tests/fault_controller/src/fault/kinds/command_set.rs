// SPDX-License-Identifier: MIT

//! Faults of what Identify tells beside its two large structures: the limits of the NVM Command Set
//! (CNS 06h), the formats of its namespaces (CNS 05h), and what holds for a namespace of any command
//! set (CNS 08h).

use std::mem::offset_of;

use nvme_proto::identify::{IdentifyControllerNvm as Limits, IndependentNamespace as Namespace};

use super::{patch, Expects, Fault, Kind, Only, Patch, Place};
use crate::fault::Hook;

const SHIFTS: &str = "MDTS, WZSL, ZASL: shifts";
const RANGES: &str = "limits of Dataset Management that are 1, or overflow";
const ZEROED: &str = "identify data of all zeros or all ones";
const TWO_PLACES: &str = "two structures say different things of one namespace";

const fn kind(name: &'static str, cns: u8, fault: Fault) -> Kind {
    Kind::new(name, Hook::Structure, fault)
        .only(Only::Identify(cns))
        .always()
        .at_start()
}

const fn limits(name: &'static str, fault: Fault) -> Kind {
    kind(name, 0x06, fault)
}

const fn namespace(name: &'static str, fault: Fault) -> Kind {
    kind(name, 0x08, fault)
}

/// The structure is refused.
const fn refused(name: &'static str, cns: u8) -> Kind {
    Kind::new(name, Hook::Command, Fault::Refused)
        .only(Only::Identify(cns))
        .argument("the status", 0x4002)
        .always()
        .at_start()
}

const DMRL: Patch = patch(offset_of!(Limits, dmrl), 1);
const DMRSL: Patch = patch(offset_of!(Limits, dmrsl), 4);
const DMSL: Patch = patch(offset_of!(Limits, dmsl), 8);

pub(super) const PLACE: Place = Place {
    title: "Identify by command set",
    about: "Limits of the NVM Command Set (CNS 06h), formats of its namespaces (CNS 05h), and what holds \
            for a namespace of any command set (CNS 08h).",
    kinds: &[
        limits("limits-ones", Fault::Fill(0xff)).says(
            "answers with limits of all ones",
            "checks the shifts, computes in 64 bits, and has limits of its own",
            ZEROED,
        ),
        limits("limits-random", Fault::Random).says(
            "answers with limits that follow from the seed",
            "checks the shifts, computes in 64 bits, and has limits of its own",
            ZEROED,
        ),
        limits("limits-wzsl", Fault::Patch(&[patch(offset_of!(Limits, wzsl), 1)]))
            .argument("WZSL", 255)
            .says(
                "says a longest Write Zeroes of 2 to the power of 255 pages",
                "checks the shift, and writes no more zeroes at once than NLB can say",
                SHIFTS,
            ),
        limits("limits-wzsl-one", Fault::Patch(&[patch(offset_of!(Limits, wzsl), 1)]))
            .argument("WZSL", 1)
            .says(
                "says a longest Write Zeroes of two pages",
                "splits what is longer",
                SHIFTS,
            ),
        limits("limits-wzdsl", Fault::Patch(&[patch(offset_of!(Limits, wzdsl), 1)]))
            .argument("WZDSL", 255)
            .says(
                "says a longest Write Zeroes that deallocates of 2 to the power of 255 pages",
                "checks the shift, and writes no more zeroes at once than NLB can say",
                SHIFTS,
            )
            .example("limits-wzdsl identify-oncs"),
        limits(
            "limits-vsl-wusl",
            Fault::Patch(&[
                patch(offset_of!(Limits, vsl), 1),
                patch(offset_of!(Limits, wusl), 1),
            ]),
        )
        .argument("VSL and WUSL", 255)
        .says(
            "says a longest Verify and Write Uncorrectable of 2 to the power of 255 pages",
            "checks the shifts, or does without these commands",
            SHIFTS,
        ),
        limits("limits-ranges-one", Fault::Patch(&[DMRL, DMRSL, DMSL]))
            .argument("DMRL, DMRSL and DMSL", 1)
            .says(
                "says that a Dataset Management has one range of one block",
                "discards a block at a time, or not at all",
                RANGES,
            ),
        limits("limits-ranges-ones", Fault::Patch(&[DMRL, DMRSL, DMSL]))
            .argument("DMRL, DMRSL and DMSL", u64::MAX)
            .says(
                "says 255 ranges, each of as many blocks as a range can have, and more in all",
                "computes in 64 bits, and has a limit of its own",
                RANGES,
            ),
        limits("limits-ranges-inverted", Fault::Patch(&[DMSL]))
            .argument("DMSL", 1)
            .says(
                "says that all ranges together have one block at most, and nothing of each",
                "keeps to the smaller of all limits",
                RANGES,
            ),
        refused("limits-refused", 0x06).says(
            "refuses Identify Controller for the NVM Command Set",
            "has limits of its own",
            "an error or a timeout while the controller is being set up",
        ),
        kind("formats-ones", 0x05, Fault::Fill(0xff))
            .expects(Expects::Refuses)
            .says(
                "answers Identify Namespace for the NVM Command Set with all ones; drivers ask for it where \
                 the controller claims extended formats",
                "refuses the namespace, or goes without what makes no sense",
                ZEROED,
            )
            .example("formats-ones identify-ctratt:arg=0x8000"),
        kind("formats-random", 0x05, Fault::Random)
            .expects(Expects::Refuses)
            .says(
                "answers Identify Namespace for the NVM Command Set with bytes that follow from the seed",
                "refuses the namespace, or goes without what makes no sense",
                ZEROED,
            )
            .example("formats-random identify-ctratt:arg=0x8000"),
        namespace("independent-zeros", Fault::Fill(0))
            .expects(Expects::Refuses)
            .says(
                "answers with zeros: the namespace is not ready (NSTAT)",
                "waits for an event that says it is, or uses it and tells the errors",
                ZEROED,
            ),
        namespace("independent-ones", Fault::Fill(0xff))
            .expects(Expects::Errors)
            .says(
                "answers with all ones: write protected, rotating, shared, without a cache",
                "has a read-only disk, or refuses the namespace",
                ZEROED,
            ),
        namespace("independent-random", Fault::Random)
            .expects(Expects::Errors)
            .says(
                "answers with bytes that follow from the seed",
                "takes what makes sense, or refuses the namespace",
                ZEROED,
            ),
        namespace(
            "independent-protected",
            Fault::Patch(&[patch(offset_of!(Namespace, nsattr), 1)]),
        )
        .argument("NSATTR", 0xff)
        .expects(Expects::Errors)
        .says(
            "says that the namespace is write protected; Identify Namespace says that it is not",
            "has a read-only disk, or goes by Identify Namespace, always the same",
            TWO_PLACES,
        ),
        namespace(
            "independent-nsfeat",
            Fault::Patch(&[patch(offset_of!(Namespace, nsfeat), 1)]),
        )
        .argument("NSFEAT", 0xff)
        .says(
            "says that the medium rotates and has no volatile cache, though the controller has one",
            "flushes or not, and loses nothing of what was written",
            TWO_PLACES,
        ),
        namespace(
            "independent-groups",
            Fault::Patch(&[
                patch(offset_of!(Namespace, nmic), 1),
                patch(offset_of!(Namespace, anagrpid), 4),
                patch(offset_of!(Namespace, nvmsetid), 2),
                patch(offset_of!(Namespace, endgid), 2),
            ]),
        )
        .argument("NMIC, ANAGRPID, NVMSETID and ENDGID", 0xffff_ffff)
        .says(
            "says that the namespace is shared, and groups and a set that there are not",
            "indexes nothing with them, and has one disk",
            TWO_PLACES,
        ),
        namespace("independent-rewritten", Fault::RewrittenWhileRead)
            .argument(
                "milliseconds that it lasts at most, until the host does anything",
                2,
            )
            .expects(Expects::Errors)
            .says(
                "changes the structure between what is right and all ones after the command was \
                 completed; ends with what is right",
                "decides by one copy, which may say that the namespace is write protected",
                "the entry changes while it is read",
            ),
        refused("independent-refused", 0x08).says(
            "refuses the structure",
            "goes by Identify Namespace",
            "an error or a timeout while the controller is being set up",
        ),
    ],
};
