// SPDX-License-Identifier: MIT

//! What people and runners read of the tables: a page for each kind, an index by place, and JSON.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::kinds::{self, Arms, Expects, Kind, Only, PLACES};
use super::Hook;

/// What stands at the head of each file that is made here.
const MADE: &str = "<!-- SPDX-License-Identifier: MIT -->\n\
    <!-- Made from the tables in src/fault/kinds by `nvme_fault_controller --pages`. -->\n";

/// All kinds, as JSON: a list of objects.
pub fn json() -> String {
    let rows: Vec<serde_json::Value> = PLACES
        .iter()
        .flat_map(|place| place.kinds.iter().map(move |kind| (place, kind)))
        .map(|(place, kind)| {
            let mut row = serde_json::json!(kind);
            row["place"] = place.title.into();
            row
        })
        .collect();
    serde_json::to_string_pretty(&rows).unwrap_or_default()
}

/// In words: where a kind happens.
fn place(kind: &Kind) -> &'static str {
    match kind.hook {
        Hook::RegisterRead => "when a register is read",
        Hook::RegisterWrite => "when a register is written",
        Hook::Enable => "when CSTS.RDY would be set after CC.EN was set",
        Hook::Reset => "when CC.EN is cleared",
        Hook::Disable => "when CSTS.RDY would be cleared after CC.EN was cleared",
        Hook::Shutdown => "when CC.SHN was written",
        Hook::Doorbell => "when a doorbell is rung",
        Hook::Consumed => "when the host has consumed completions",
        Hook::Command => "when a command was taken from its queue",
        Hook::Completion => "when a completion would be posted",
        Hook::Interrupt => "when an interrupt would be sent",
        Hook::Structure => "when a structure is handed out",
        Hook::Grant => "when the number of queues is granted",
        Hook::QueueDeleted => "when a queue was deleted",
        Hook::EventIndex => "when an event index of a shadow doorbell is written",
        Hook::Data => "when data is moved",
        Hook::Time => "as time goes by",
        Hook::Anywhere => "when a command was taken, or where `on=` says",
    }
}

/// In words: which occasions of its place a kind is for.
fn only(only: Only) -> String {
    match only {
        Only::Any => "any".to_owned(),
        Only::Io => "I/O queues".to_owned(),
        Only::Moves => "reads and writes".to_owned(),
        Only::Nvm(opcode) => format!("I/O commands with opcode {opcode:02x}h"),
        Only::Admin(opcode) => format!("admin commands with opcode {opcode:02x}h"),
        Only::Creation => "Create I/O Submission Queue and Create I/O Completion Queue".to_owned(),
        Only::Features => "Set Features and Get Features".to_owned(),
        Only::Identify(cns) => format!("Identify with CNS {cns:02x}h"),
        Only::Structure => "structures".to_owned(),
        Only::Names => "Identify with CNS 00h and 03h".to_owned(),
        Only::Logs => "log pages".to_owned(),
        Only::Log(lid) => format!("the log page {lid:02x}h"),
        Only::Register { at, bytes } => {
            format!(
                "accesses that touch the bytes {at:#x} to {:#x}",
                at + bytes - 1
            )
        }
        Only::MemoryBuffer => "CAP, CMBLOC and CMBSZ".to_owned(),
        Only::Submission => "submission queues".to_owned(),
        Only::Completion => "completion queues".to_owned(),
    }
}

/// In words: what a driver is judged by.
fn expects(kind: &Kind) -> &'static str {
    match kind.expects {
        Expects::Survives => "survives: all data is right and no request fails",
        Expects::Refuses => {
            "refuses: the controller, the namespace or the feature is left alone with a message, and \
             the module unloads"
        }
        Expects::Errors => "errors: requests may fail in bounded time; what was acknowledged is there",
        Expects::Undetectable => "undetectable: the data is wrong, and only its checksum shows it",
        Expects::Overwrites => {
            "overwrites: memory that was not the controller's is written, and whoever has it may fail in \
             any way"
        }
    }
}

/// The page of a kind.
fn page(place_title: &str, kind: &Kind) -> String {
    let mut text = format!("{MADE}\n# {}\n\n", kind.name);
    let times = match kind.times {
        u64::MAX => "on all of them".to_owned(),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    let armed = match kind.arms {
        Arms::Start => "before a driver binds",
        Arms::Running => "while the disk is in use",
        Arms::Unbind => "before a driver binds; met when it is unbound",
    };
    let argument = kind.argument.map_or_else(
        || "none".to_owned(),
        |argument| format!("{} ({} unless told)", argument.means, argument.default),
    );
    let example: Vec<String> = kind
        .example
        .split(' ')
        .map(|line| format!("--fault {line}"))
        .collect();
    let _ = write!(
        text,
        "The controller {}.\n\n\
         A good driver {}.\n\n\
         | | |\n|---|---|\n\
         | Place | {place_title} |\n\
         | Happens | {}, {times} unless told |\n\
         | Of these | {} |\n\
         | Argument | {argument} |\n\
         | Hazard | {} |\n\
         | Expected | {} |\n\
         | Armed | {armed} |\n\n\
         ```sh\n{}\n```\n\n\
         [All kinds](README.md)\n",
        kind.does,
        kind.answer,
        place(kind),
        only(kind.only),
        kind.hazard,
        expects(kind),
        example.join(" "),
    );
    text
}

/// The index by place.
fn index() -> String {
    let count = kinds::all().count();
    let mut text = format!(
        "{MADE}\n# {count} kinds of faults\n\n\
         How a line of the grammar is written: [src/fault/spec.rs](../src/fault/spec.rs). Each page \
         says what the controller does, what a good driver does, and an example.\n"
    );
    for place in PLACES {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n| Kind | The controller |\n|---|---|\n",
            place.title, place.about
        );
        for kind in place.kinds {
            let _ = writeln!(text, "| [{0}]({0}.md) | {1} |", kind.name, kind.does);
        }
    }
    text
}

/// All pages: the files' names and what they say.
pub fn pages() -> Vec<(String, String)> {
    let mut pages = vec![("README.md".to_owned(), index())];
    for place in PLACES {
        for kind in place.kinds {
            pages.push((format!("{}.md", kind.name), page(place.title, kind)));
        }
    }
    pages
}

/// Writes all pages into a folder, and removes those of kinds that are not there any more.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let pages = pages();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let known = name.is_some_and(|name| pages.iter().any(|(page, _)| page == name));
        if !known && path.extension().is_some_and(|extension| extension == "md") {
            fs::remove_file(path)?;
        }
    }
    for (name, text) in pages {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
