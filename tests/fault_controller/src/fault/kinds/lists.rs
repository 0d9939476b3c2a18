// SPDX-License-Identifier: MIT

//! Faults of the lists of namespaces and of what names a namespace.

use super::{Descriptor, Expects, Fault, Kind, Only, Place};
use crate::fault::Hook;

const LIST: &str = "namespace list unsorted, with repeats, or never ending";
const NAMES: &str = "descriptor lengths: a parser that cannot read past its slice";
const TWICE: &str = "the same namespace or controller identifier twice";

const fn list(name: &'static str, fault: Fault) -> Kind {
    Kind::new(name, Hook::Structure, fault)
        .only(Only::Identify(0x02))
        .always()
        .at_start()
}

const fn names(name: &'static str, descriptor: Descriptor) -> Kind {
    Kind::new(name, Hook::Structure, Fault::Descriptor(descriptor))
        .only(Only::Identify(0x03))
        .always()
        .at_start()
}

pub(super) const PLACE: Place = Place {
    title: "Lists and names",
    about: "The list of active namespaces (CNS 02h) and their identification descriptors (CNS 03h).",
    kinds: &[
        list("list-endless", Fault::ListEndless).says(
            "answers each request for the list of active namespaces with a full list, without end",
            "stops at a number of its own, or at the number of namespaces that there can be, and says \
             so once",
            LIST,
        ),
        list("list-repeated", Fault::ListRepeated).says(
            "answers each request with the same full list, whichever identifier it should begin behind",
            "takes only identifiers above the last; the first that is not ends the scan with one message",
            LIST,
        ),
        list("list-unsorted", Fault::ListUnsorted).expects(Expects::Refuses).says(
            "turns the list of active namespaces round",
            "ends the scan with one message at the first identifier that is not above the last, or sorts them",
            LIST,
        ),
        list("list-duplicate", Fault::ListDuplicate).expects(Expects::Refuses).says(
            "has each namespace twice in the list",
            "ends the scan with one message, or drops the second; no disk twice",
            LIST,
        ),
        list("list-zeros", Fault::Fill(0)).expects(Expects::Refuses).says(
            "answers with an empty list",
            "has no disk, and says so",
            LIST,
        ),
        list("list-ones", Fault::Fill(0xff)).expects(Expects::Refuses).says(
            "answers with a list of all ones, the identifier that means all namespaces",
            "refuses the list with one message",
            LIST,
        ),
        list("list-invalid", Fault::ListInvalid).expects(Expects::Refuses).says(
            "has identifiers in front of the right ones that there cannot be, and behind them all ones",
            "ends the scan at the first violation with one message",
            LIST,
        ),
        list("list-beyond", Fault::ListBeyond).says(
            "has identifiers behind the right ones that are above NN",
            "finds nothing there, or takes them for invalid; the others live",
            LIST,
        ),
        list("list-random", Fault::Random).expects(Expects::Refuses).says(
            "answers with bytes that follow from the seed",
            "ends the scan at the first violation with one message",
            LIST,
        ),
        list("list-shrinking", Fault::ListShrinks)
            .expects(Expects::Errors)
            .says(
                "leaves the last namespace out from the second request on, as if it was removed",
                "removes the disk at the next scan: requests to it end with an error",
                "scan against reset or removal",
            )
            .example("list-shrinking event-invented:queue=io,nth=20"),
        names("names-length-zero", Descriptor::ZeroLength).says(
            "has a descriptor of length 0 in front",
            "ends there; a zero length never means no progress",
            NAMES,
        ),
        names("names-overlong", Descriptor::Overlong).says(
            "has descriptors up to the last bytes of the page, where one claims to be longer than that",
            "reads nothing behind the page",
            NAMES,
        ),
        names("names-wrong-length", Descriptor::WrongLength).says(
            "has an NGUID of 4 bytes",
            "takes no half identifier, with one message",
            NAMES,
        ),
        names("names-unknown", Descriptor::Unknown).says(
            "has descriptors of types that there are not in front",
            "skips them",
            NAMES,
        ),
        names("names-repeated", Descriptor::Repeated).says(
            "has a second EUI64 that differs",
            "takes none or the first, always the same",
            NAMES,
        ),
        names("names-wrong-csi", Descriptor::WrongCsi)
            .argument("CSI", 0x02)
            .expects(Expects::Refuses)
            .says(
                "says that the namespace has another command set",
                "has no disk for it, or one that can do nothing; the controller lives",
                "CSS without NVM",
            ),
        Kind::new("names-zeros", Hook::Structure, Fault::Fill(0))
            .only(Only::Identify(0x03))
            .always()
            .at_start()
            .says(
                "has no descriptor",
                "takes the identifiers of Identify Namespace, or goes without",
                NAMES,
            ),
        Kind::new("names-ones", Hook::Structure, Fault::Fill(0xff))
            .only(Only::Identify(0x03))
            .always()
            .at_start()
            .says(
                "answers with descriptors of all ones",
                "skips what it does not know and reads nothing behind the page",
                NAMES,
            ),
        Kind::new("names-random", Hook::Structure, Fault::Random)
            .only(Only::Identify(0x03))
            .always()
            .at_start()
            .says(
                "answers with bytes that follow from the seed",
                "reads nothing behind the page",
                NAMES,
            ),
        Kind::new("names-shared", Hook::Structure, Fault::SameNames)
            .only(Only::Names)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "gives each namespace the EUI64, NGUID and UUID of the first",
                "refuses the later one, or takes no name from either: no data through a wrong name",
                TWICE,
            ),
    ],
};
