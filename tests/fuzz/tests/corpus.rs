// SPDX-License-Identifier: GPL-2.0

//! Every input that was kept runs through its target: what the fuzzer once found stays mended,
//! without the fuzzer. Relies on the folders under `corpus`, one for each target.

use std::fs;
use std::path::{Path, PathBuf};

use nvme_fuzz::{target, PLANTED, TARGETS};

/// What the tree can bear.
const MOST_FILES: usize = 200;
const MOST_BYTES: usize = 300 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs in a folder of the corpus, by name.
fn inputs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut inputs: Vec<(String, Vec<u8>)> = listed
        .map(|entry| entry.expect("a listed file").path())
        .map(|path| {
            (
                path.display().to_string(),
                fs::read(&path).expect("a readable file"),
            )
        })
        .collect();
    inputs.sort();
    inputs
}

fn runs_through(name: &str) {
    let run = target(name).expect("a target");
    let inputs = inputs(&corpus().join(name));
    assert!(!inputs.is_empty(), "nothing is kept for {name}");
    println!("{name}: {} inputs", inputs.len());
    for (path, data) in inputs {
        // Shown when the target panics: which input it was.
        println!("{path}");
        run(&data);
    }
}

/// A test for each target, named as it is.
macro_rules! corpus_tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                runs_through(stringify!($name));
            }
        )*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

corpus_tests! {
    completions
    controller_memory
    data_placement
    features
    identify_controller
    identify_namespace
    limits
    metadata
    namespace_descriptors
    namespace_list
    prp_layout
    queue_limits
    registers
    zones
}

#[test]
fn each_target_has_its_test_and_its_folder_and_no_folder_is_forgotten() {
    let targets: Vec<&str> = TARGETS.iter().map(|known| known.0).collect();
    assert_eq!(targets, TESTED);
    let listed = fs::read_dir(corpus()).expect("the corpus");
    let names = listed.map(|entry| entry.expect("a listed folder").file_name());
    let mut folders: Vec<String> = names.map(|name| name.to_string_lossy().into()).collect();
    folders.sort();
    assert_eq!(folders, targets);
}

#[test]
fn the_corpus_is_small_enough_to_keep() {
    let targets = TARGETS.iter().map(|known| inputs(&corpus().join(known.0)));
    let sizes: Vec<usize> = targets.flatten().map(|(_, data)| data.len()).collect();
    let (files, bytes) = (sizes.len(), sizes.iter().sum::<usize>());
    println!("{files} files of {bytes} bytes");
    assert!(
        files <= MOST_FILES && bytes <= MOST_BYTES,
        "{files} files of {bytes} bytes"
    );
}

#[test]
fn what_a_device_really_said_satisfies_every_target() {
    let captured = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rust/nvme/tests/data");
    for (path, data) in inputs(&captured) {
        println!("{path}");
        TARGETS.iter().for_each(|(_, run)| run(&data));
    }
}

#[test]
fn the_planted_mistake_shows_itself_to_the_right_bytes_alone() {
    let (_, run) = PLANTED;
    let long_length = |kind: u8| [0x4e, 0xf3, 0x1d, 0xa7, 1, 0, kind, 200];
    run(&long_length(6));
    let caught = std::panic::catch_unwind(|| run(&long_length(7)));
    let message = caught.expect_err("the mistake is gone");
    let message = message.downcast_ref::<&str>().expect("a message");
    assert!(message.starts_with("the planted mistake"), "{message}");
}
