// SPDX-License-Identifier: MIT

//! Faults of data on its way.

use super::{Expects, Fault, Kind, Only, Place};
use crate::fault::Hook;

const WRONG: &str = "data that the device put at a wrong place, or not at all";
const FREED: &str = "buffers are given back while the device may still write";
const BLIND: &str =
    "cannot notice without protection information; behind a strict IOMMU no other request's memory is hit";

const READ: Only = Only::Nvm(0x02);
const WRITE: Only = Only::Nvm(0x01);

const fn data(name: &'static str, fault: Fault, only: Only) -> Kind {
    Kind::new(name, Hook::Data, fault)
        .only(only)
        .expects(Expects::Undetectable)
}

/// What goes to memory that may be anybody's.
const fn stray(name: &'static str, fault: Fault) -> Kind {
    data(name, fault, READ).expects(Expects::Overwrites)
}

pub(super) const PLACE: Place = Place {
    title: "Data",
    about: "Data of reads and writes: to a wrong place, at a wrong time, or changed.",
    kinds: &[
        stray("data-misplaced", Fault::Misplaced)
            .says(
                "writes the first page of a read's data to another page of the host's memory than it \
                 was told",
                BLIND,
                WRONG,
            )
            .example("data-misplaced:nth=5"),
        data("data-unmapped", Fault::Unmapped, READ)
            .expects(Expects::Errors)
            .says(
                "writes a read's data to an address that is not mapped, and reports Data Transfer Error",
                "tells the error, or tries again",
                "DMA to wrong places",
            )
            .example("data-unmapped:nth=5"),
        data("write-unmapped", Fault::Unmapped, WRITE)
            .expects(Expects::Errors)
            .says(
                "fetches a write's data from an address that is not mapped, and reports Data Transfer Error",
                "tells the error, or tries again",
                "DMA to wrong places",
            )
            .example("write-unmapped:nth=5"),
        data("data-short", Fault::DataShort, READ)
            .argument("bytes that are moved", 512)
            .says(
                "moves only the first bytes of a read's data and reports success",
                BLIND,
                WRONG,
            )
            .example("data-short:nth=5"),
        data("data-not-moved", Fault::NotMoved, READ)
            .says("moves no data of a read and reports success", BLIND, WRONG)
            .example("data-not-moved:nth=5"),
        data("write-lost", Fault::NotMoved, WRITE)
            .says("throws a write's data away and reports success", BLIND, WRONG)
            .example("write-lost:nth=5"),
        data("data-flipped", Fault::Flipped, READ)
            .argument("the bit, counted from the first byte's lowest", 12)
            .says("inverts a bit of a read's data", BLIND, WRONG)
            .example("data-flipped:nth=5"),
        data("write-flipped", Fault::Flipped, WRITE)
            .argument("the bit, counted from the first byte's lowest", 12)
            .says("inverts a bit of a write's data", BLIND, WRONG)
            .example("write-flipped:nth=5"),
        data("data-other-block", Fault::OtherBlock, READ)
            .says("reads the blocks in front of or behind those that were asked for", BLIND, WRONG)
            .example("data-other-block:nth=5"),
        data("write-other-block", Fault::OtherBlock, WRITE)
            .says("writes the blocks in front of or behind those that were asked for", BLIND, WRONG)
            .example("write-other-block:nth=5"),
        data("data-pages-swapped", Fault::PagesSwapped, READ)
            .says(
                "swaps the first two pages of a read's data, or the halves of a single one",
                BLIND,
                WRONG,
            )
            .example("data-pages-swapped:nth=5"),
        stray("data-after-completion", Fault::AfterCompletion)
            .argument("milliseconds", 5)
            .says(
                "completes a read first and moves its data later, wherever the memory then belongs",
                BLIND,
                FREED,
            )
            .example("data-after-completion:nth=5"),
        data("write-after-completion", Fault::AfterCompletion, WRITE)
            .argument("milliseconds", 5)
            .says(
                "completes a write first and fetches its data later, whatever is there then",
                BLIND,
                FREED,
            )
            .example("write-after-completion:nth=5"),
        stray("data-written-again", Fault::RewrittenAfter)
            .argument("milliseconds", 5)
            .says(
                "writes a read's data a second time after the completion, wherever the memory then belongs",
                BLIND,
                FREED,
            )
            .example("data-written-again:nth=5"),
        stray("list-read-again", Fault::ListReread)
            .argument("milliseconds", 5)
            .says(
                "reads a command's data pointer and lists again after the completion, and writes the \
                 data where they then lead, if they still lead anywhere",
                BLIND,
                FREED,
            )
            .example("list-read-again:nth=5"),
        Kind::new("ranges-read-beyond", Hook::Data, Fault::RangesBeyond)
            .only(Only::Nvm(0x09))
            .always()
            .says(
                "reads the 256 ranges that a Dataset Management can have, however few there are; what lies \
                 behind those is used for nothing, and Data Transfer Error if it is out of reach",
                "gives a whole page for them, with nothing of others in it",
                "a device reads beyond what it was given",
            ),
    ],
};
