// SPDX-License-Identifier: GPL-2.0

//! Runs one target: in an instrumented build by libFuzzer, else on the files that are named.
//!
//! The second needs nothing but Cargo, and shows where an input of the first panics:
//! `cargo run -p nvme_fuzz -- TARGET FILE...`. libFuzzer takes the target's name from the
//! environment (`RNVME_FUZZ_TARGET`), since its command line is its own.

#![cfg_attr(fuzzing, no_main)]

use nvme_fuzz::{target, Target, PLANTED, TARGETS};

/// The target, or an end with the names that there are.
fn chosen(name: &str) -> Target {
    let Some(run) = target(name) else {
        let names: Vec<&str> = TARGETS
            .iter()
            .chain([&PLANTED])
            .map(|known| known.0)
            .collect();
        eprintln!("{name:?} is no target: give one of {}", names.join(", "));
        std::process::exit(2);
    };
    run
}

#[cfg(fuzzing)]
mod by_libfuzzer {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<nvme_fuzz::Target> = OnceLock::new();

    libfuzzer_sys::fuzz_target!(|data: &[u8]| {
        let run = CHOSEN
            .get_or_init(|| super::chosen(&std::env::var("RNVME_FUZZ_TARGET").unwrap_or_default()));
        run(data);
    });
}

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let run = chosen(&arguments.next().unwrap_or_default());
    for file in arguments {
        let data = std::fs::read(&file)?;
        println!("{file}: {} bytes", data.len());
        run(&data);
    }
    Ok(())
}
