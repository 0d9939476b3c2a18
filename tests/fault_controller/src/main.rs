// SPDX-License-Identifier: MIT

//! The command line of the fault controller; see README.md.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use clap::Parser;
use nvme_fault_controller::admin::identify::PCI_ID;
use nvme_fault_controller::control;
use nvme_fault_controller::controller::Controller;
use nvme_fault_controller::fault::{pages, Spec};
use nvme_fault_controller::judge::rules::RULES;
use nvme_fault_controller::log::Log;
use nvme_fault_controller::namespace::Namespace;
use nvme_fault_controller::server::{abort_on_panic, serve, EventFiles, Shared};
use nvme_fault_controller::settings::Settings;

/// An NVMe controller in userspace that misbehaves on command, and judges its driver.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The vfio-user socket that QEMU connects to (-device vfio-user-pci)
    #[arg(long, required_unless_present_any = ["kinds", "pages", "rules"])]
    socket: Option<PathBuf>,
    /// Prints the table of all kinds of faults, as JSON
    #[arg(long)]
    kinds: bool,
    /// Writes a page about each kind of fault, and an index, into a folder
    #[arg(long, value_name = "FOLDER")]
    pages: Option<PathBuf>,
    /// A socket on which faults are armed and disarmed while the controller runs
    #[arg(long)]
    control: Option<PathBuf>,
    /// Where the log goes (standard output unless told)
    #[arg(long)]
    log: Option<PathBuf>,
    /// A namespace, if it is said with protection information of type 1 to 3; repeat for more
    #[arg(long = "namespace", value_name = "IMAGE,BYTES,BLOCK[,pi=TYPE]")]
    namespaces: Vec<String>,
    /// Prints the rules of the judge
    #[arg(long)]
    rules: bool,
    /// A fault: KIND[:key=value,...]; repeat for more, or put a space between two
    #[arg(long = "fault", value_name = "SPEC", value_delimiter = ' ')]
    faults: Vec<Spec>,
    /// I/O queue pairs
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..64))]
    queues: u16,
    /// The most entries of a queue
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u16).range(2..))]
    entries: u16,
    /// MDTS: log2 of the longest transfer in pages of 4096 bytes, 0 for no limit
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(0..=12))]
    mdts: u8,
    /// How long becoming ready, stopping and shutting down take, in milliseconds
    #[arg(long, default_value_t = 0)]
    ready_ms: u64,
    /// Leave Doorbell Buffer Config (shadow doorbells) out
    #[arg(long)]
    no_dbcs: bool,
    /// Leave scatter gather lists out
    #[arg(long)]
    no_sgl: bool,
    /// Leave the volatile write cache out
    #[arg(long)]
    no_vwc: bool,
    /// How long the registers say that this may take, in half seconds (CAP.TO, CRTO)
    #[arg(long, default_value_t = 60)]
    ready_units: u8,
    /// What identifiers and all that is random follow from
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn print_rules() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for rule in RULES {
        writeln!(
            out,
            "{:<22} {:<18} A good driver {}.",
            rule.name, rule.section, rule.says
        )?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.rules {
        print_rules()?;
    }
    if let Some(folder) = &arguments.pages {
        pages::write(folder)?;
    }
    if arguments.kinds {
        println!("{}", pages::json());
    }
    let Some(socket) = &arguments.socket else {
        return Ok(());
    };
    abort_on_panic();
    let settings = Settings {
        entries: arguments.entries,
        queues: arguments.queues,
        mdts: arguments.mdts,
        ready_time: Duration::from_millis(arguments.ready_ms),
        ready_units: arguments.ready_units,
        seed: arguments.seed,
        shadow: !arguments.no_dbcs,
        sgl: !arguments.no_sgl,
        cache: !arguments.no_vwc,
        ..Settings::default()
    };
    let sink: Box<dyn Write + Send> = match &arguments.log {
        Some(path) => Box::new(File::create(path)?),
        None => Box::new(std::io::stdout()),
    };
    let events = EventFiles::default();
    let mut controller = Controller::new(settings, Box::new(events.clone()), Log::new(sink));
    for (nsid, text) in (1..).zip(&arguments.namespaces) {
        let namespace = Namespace::parse(nsid, text, arguments.seed)?;
        controller.namespaces.insert(nsid, namespace);
    }
    for spec in arguments.faults {
        controller.arm(spec);
    }
    let shared = Arc::new(Shared {
        controller: Arc::new(Mutex::new(controller)),
        changed: Condvar::new(),
    });
    let clock = shared.clone();
    thread::spawn(move || clock.keep_time());
    if let Some(path) = arguments.control {
        let controller = shared.controller.clone();
        thread::spawn(move || control::serve(&controller, &path));
    }
    serve(socket, shared, events, PCI_ID)?;
    Ok(())
}
