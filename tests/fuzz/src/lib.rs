// SPDX-License-Identifier: GPL-2.0

//! Fuzz targets for the protocol crate: one for each parser of what a device made.
//!
//! A target takes any bytes and asserts what the crate promises about them, most of it against a
//! second, plainer reading of the same bytes. Relies on panics to tell of a mistake: libFuzzer
//! keeps the input of one, and so does a run of the corpus by `cargo test`.

#[path = "../../../rust/nvme/tests/protocol/block_layer.rs"]
mod block_layer;
mod completions;
mod controller;
mod descriptors;
mod features;
mod input;
mod limits;
mod lists;
mod metadata;
mod namespace;
mod placement;
mod planted;
mod prp;
mod queue_limits;
mod registers;
mod zones;

/// A target: asserts what must hold for any bytes.
pub type Target = fn(&[u8]);

/// The targets by name. Each has a folder of this name under `corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("completions", completions::completions),
    ("controller_memory", metadata::controller_memory),
    ("data_placement", placement::data_placement),
    ("features", features::features),
    ("identify_controller", controller::identify_controller),
    ("identify_namespace", namespace::identify_namespace),
    ("limits", limits::limits),
    ("metadata", metadata::metadata),
    ("namespace_descriptors", descriptors::namespace_descriptors),
    ("namespace_list", lists::namespace_list),
    ("prp_layout", prp::prp_layout),
    ("queue_limits", queue_limits::queue_limits),
    ("registers", registers::registers),
    ("zones", zones::zones),
];

/// A parser with a mistake, which must be found: if it is not, the fuzzer is blind. It has no
/// corpus, so each run has to find it anew.
pub const PLANTED: (&str, Target) = ("planted_mistake", planted::planted_mistake);

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    let mut known = TARGETS.iter().chain([&PLANTED]);
    known.find(|(own, _)| *own == name).map(|&(_, run)| run)
}
