// SPDX-License-Identifier: MIT

//! The grammar of faults: what is printed parses back, mistakes are named, and what is armed happens
//! when the line says so.

#[path = "driver/random.rs"]
#[allow(dead_code)]
mod random;

use std::time::Duration;

use nvme_fault_controller::fault::{kinds, Faults, Hook, Occasion, Spec, What};
use proptest::prelude::*;
use proptest::sample::Index;

/// A line: a kind and some of the keys, each with a value that it can have.
fn lines() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        (1u64..9).prop_map(|n| format!("nth={n}")),
        (1u64..9).prop_map(|n| format!("times={n}")),
        Just("times=forever".to_owned()),
        (1u64..9).prop_map(|n| format!("every={n}")),
        (1u64..=1000).prop_map(|n| format!("prob={n}")),
        any::<u64>().prop_map(|n| format!("seed={n:#x}")),
        any::<u64>().prop_map(|n| format!("arg={n}")),
        prop_oneof![
            Just("queue=admin".to_owned()),
            Just("queue=io".to_owned()),
            any::<u16>().prop_map(|n| format!("queue={n}")),
        ],
        any::<u8>().prop_map(|n| format!("opcode={n}")),
        any::<u8>().prop_map(|n| format!("cns={n}")),
        any::<u8>().prop_map(|n| format!("lid={n:#x}")),
        any::<u32>().prop_map(|n| format!("nsid={n}")),
        any::<u32>().prop_map(|n| format!("offset={n:#x}")),
        (0u32..3, 0u32..1_000_000_000).prop_map(|(s, n)| format!("after={s}.{n:09}")),
        (3u32..9, 0u32..1000).prop_map(|(s, n)| format!("until={s}.{n:03}")),
        Just("on=time".to_owned()),
        Just("on=register-read".to_owned()),
    ];
    let keys = proptest::collection::vec(key, 0..5);
    (any::<Index>(), keys).prop_map(|(index, keys)| {
        let names: Vec<&str> = kinds::all().map(|kind| kind.name).collect();
        format!("{}:{}", index.get(&names), keys.join(","))
    })
}

#[test]
fn what_is_printed_parses_back_to_the_same() {
    random::for_all(5000, lines(), |line| {
        let Ok(spec) = line.parse::<Spec>() else {
            return;
        };
        let printed = spec.to_string();
        let back: Spec = printed.parse().unwrap_or_else(|error| {
            panic!("{line} is printed as {printed}, which does not parse: {error}")
        });
        assert_eq!(spec, back, "{line} is printed as {printed}");
    });
}

#[test]
fn no_line_whatever_it_holds_makes_the_parser_panic() {
    random::for_all(5000, "[a-z:,=0-9x. -]{0,60}", |line: String| {
        let _ = line.parse::<Spec>();
    });
}

#[test]
fn each_mistake_has_a_message_that_names_it() {
    for (line, says) in [
        ("", "no such kind"),
        ("never", "is it interrupt-never, never-ready, "),
        ("completion", "is it completion-lost, "),
        ("nothing-like-it", "--kinds lists all"),
        ("completion-lost:nth", "not key=value"),
        ("completion-lost:nth=0", "counts from 1"),
        ("completion-lost:nth=two", "is no number"),
        ("completion-lost:nth=1,nth=2", "comes twice"),
        ("completion-lost:every=0", "counts from 1"),
        ("completion-lost:times=0", "counts from 1"),
        ("completion-lost:times=always", "is no number"),
        ("completion-lost:prob=1001", "out of 1000"),
        ("completion-lost:queue=65536", "16 bits"),
        ("completion-lost:queue=some", "is no number"),
        ("completion-lost:opcode=256", "8 bits"),
        ("completion-lost:nsid=0x100000000", "32 bits"),
        ("completion-lost:after=1.", "are no seconds"),
        ("completion-lost:after=-1", "are no seconds"),
        ("completion-lost:after=2,until=1", "not behind after="),
        ("completion-lost:cns=1,lid=1", "nothing is both"),
        ("completion-lost:arg=1", "takes no argument"),
        ("completion-lost:offset=0x1c", "no matter of offset="),
        ("completion-lost:colour=1", "no such key"),
        ("completion-lost:on=time", "has a place of its own"),
        ("never-ready:queue=io", "no matter of queue="),
        ("registers-ones:nsid=1", "no matter of nsid="),
        ("fatal:on=time,queue=io", "no matter of queue="),
        ("fatal:on=paper", "no such place"),
    ] {
        let error = line.parse::<Spec>().expect_err(line);
        assert!(error.contains(says), "{line}: {error:?}, without {says:?}");
    }
}

/// Of `count` equal occasions, those that a fault happens on, counted from 1.
fn happens(line: &str, occasion: &Occasion, hook: Hook, count: u64) -> Vec<u64> {
    let mut faults = Faults::new(1);
    faults.arm(line.parse().expect(line), Duration::ZERO);
    (1..=count)
        .filter(|_| {
            let happening = faults.at(hook, occasion, Duration::ZERO);
            happening.instead.is_some() || !happening.deeds.is_empty()
        })
        .collect()
}

/// A read of an I/O queue.
fn read() -> Occasion {
    Occasion {
        queue: Some(3),
        opcode: Some(2),
        nsid: Some(1),
        ..Occasion::default()
    }
}

#[test]
fn the_nth_occasion_and_every_so_many_until_it_is_enough() {
    let of = |keys: &str| {
        happens(
            &format!("completion-lost:{keys}"),
            &read(),
            Hook::Completion,
            12,
        )
    };
    assert_eq!(of(""), [1]);
    assert_eq!(of("nth=5"), [5]);
    assert_eq!(of("nth=5,times=3"), [5, 6, 7]);
    assert_eq!(of("nth=2,every=4,times=2"), [2, 6]);
    assert_eq!(of("every=5,times=forever"), [1, 6, 11]);
    assert_eq!(of("times=forever").len(), 12);
}

#[test]
fn only_what_matches_is_counted() {
    let of = |keys: &str| {
        !happens(
            &format!("completion-lost:{keys}"),
            &read(),
            Hook::Completion,
            1,
        )
        .is_empty()
    };
    for keys in [
        "queue=io",
        "queue=3",
        "opcode=2",
        "nsid=1",
        "queue=3,opcode=0x2,nsid=1",
    ] {
        assert!(of(keys), "{keys}");
    }
    for keys in [
        "queue=admin",
        "queue=2",
        "opcode=1",
        "nsid=2",
        "cns=2",
        "lid=2",
    ] {
        assert!(!of(keys), "{keys}");
    }
}

#[test]
fn a_structure_is_picked_by_its_number() {
    let page = Occasion {
        what: Some(What::Log(2)),
        ..Occasion::default()
    };
    let list = Occasion {
        what: Some(What::Identify(2)),
        ..Occasion::default()
    };
    let of = |line, occasion| happens(line, occasion, Hook::Structure, 1).len();
    assert_eq!(of("log-ones:lid=2", &page), 1);
    assert_eq!(of("log-ones:lid=3", &page), 0);
    assert_eq!(of("log-ones", &list), 0);
    assert_eq!(of("list-ones:cns=2", &list), 1);
}

#[test]
fn time_bounds_it_on_both_sides() {
    let mut faults = Faults::new(1);
    let line = "completion-lost:after=1.5,until=3,times=forever";
    faults.arm(line.parse().expect(line), Duration::from_secs(10));
    let mut at = |milliseconds| {
        let now = Duration::from_millis(milliseconds);
        faults.at(Hook::Completion, &read(), now).instead.is_some()
    };
    let seen = [11_000, 11_499, 11_500, 12_999, 13_000].map(&mut at);
    assert_eq!(seen, [false, false, true, true, false]);
}

#[test]
fn chance_follows_from_the_seed() {
    let line = "completion-lost:prob=300,times=forever,seed=";
    let of = |seed: u64| happens(&format!("{line}{seed}"), &read(), Hook::Completion, 1000);
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
    let count = of(7).len();
    assert!(
        (200..400).contains(&count),
        "{count} of 1000 at 300 permille"
    );
}

#[test]
fn the_first_that_was_armed_wins_and_all_count() {
    let mut faults = Faults::new(1);
    for line in [
        "completion-lost:nth=2",
        "completion-late:nth=2,times=2",
        "fatal:on=completion",
    ] {
        faults.arm(line.parse().expect(line), Duration::ZERO);
    }
    let mut names = || {
        let happening = faults.at(Hook::Completion, &read(), Duration::ZERO);
        let all = happening.deeds.iter().chain(&happening.instead);
        all.map(|fired| fired.kind.name).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["fatal"]);
    assert_eq!(names(), ["completion-lost"]);
    assert_eq!(names(), ["completion-late"]);
}

#[test]
fn pages_in_the_tree_are_what_the_tables_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kinds");
    let pages = nvme_fault_controller::fault::pages::pages();
    let hint = "run nvme_fault_controller --pages tests/fault_controller/kinds";
    for (name, text) in &pages {
        let there = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            there == *text,
            "kinds/{name} is not what the table says: {hint}"
        );
    }
    let count = std::fs::read_dir(&folder).expect("the pages").count();
    assert_eq!(
        count,
        pages.len(),
        "pages of kinds that are not there: {hint}"
    );
}
