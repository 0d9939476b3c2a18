// SPDX-License-Identifier: MIT

//! The control socket: a line in, a line out: `ok ...` or `error ...`.
//!
//! - `arm SPEC...`: arms faults, with a space between two; the answer is their numbers.
//! - `disarm [NUMBER...]`: disarms those, or all; when none is left, what they keep back, put off or go on
//!   doing ends.
//! - `kinds`: the names of all kinds of faults.
//! - `status`: armed faults with how often each has happened, and the complaints of the judge, all
//!   and by rule; those that a fault excuses apart.
//! - `tolerate RULE`: the judge excuses a rule from now on.
//! - `namespace add IMAGE,BYTES,BLOCK[,pi=TYPE]`, `namespace remove NSID`, `namespace resize NSID BYTES`:
//!   the answer is the namespace's identifier. The host is told by an event, if it has asked for that.
//! - `event TYPE INFO LOG`: an asynchronous event as it is said.
//! - `smart warning=BITS temperature=KELVIN spare=PERCENT used=PERCENT`, each optional: the health.
//! - `reserve NSID HOST VERB KEY [TYPE [OTHER]]`: another host's `register`, `unregister`, `acquire`,
//!   `preempt` (those with the key OTHER), `release` or `clear`.
//! - `firmware REVISION MILLISECONDS`: another firmware is activated, and nothing processed meanwhile.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::admin::events;
use crate::controller::Controller;
use crate::fault::{kinds, Spec};

/// Answers one line.
pub fn answer(controller: &mut Controller, line: &str) -> Result<String, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "arm" => {
            let specs = rest.split_whitespace().map(str::parse);
            let specs: Vec<Spec> = specs.collect::<Result<_, _>>()?;
            if specs.is_empty() {
                return Err("arm what? KIND[:key=value,...]".to_owned());
            }
            let ids = specs.into_iter().map(|spec| controller.arm(spec));
            Ok(ids.map(|id| id.to_string()).collect::<Vec<_>>().join(" "))
        }
        "disarm" if rest.is_empty() => {
            controller.disarm();
            controller.log.line("disarmed", "all");
            Ok("disarmed".to_owned())
        }
        "disarm" => {
            for text in rest.split_whitespace() {
                let id = text.parse().map_err(|error| format!("{text}: {error}"))?;
                if !controller.disarm_one(id) {
                    return Err(format!("{id}: no such fault is armed"));
                }
                controller.log.line("disarmed", text);
            }
            Ok("disarmed".to_owned())
        }
        "kinds" => Ok(kinds::all()
            .map(|kind| kind.name)
            .collect::<Vec<_>>()
            .join(" ")),
        "tolerate" => {
            controller.judge.tolerate(rest)?;
            Ok(format!("{rest} is tolerated"))
        }
        "status" => Ok(status(controller)),
        other => events::control(controller, other, rest)
            .unwrap_or_else(|| Err(format!("{other}: no such command"))),
    }
}

fn status(controller: &Controller) -> String {
    let faults: Vec<serde_json::Value> = controller
        .faults
        .counts()
        .into_iter()
        .map(|(id, kind, fired)| serde_json::json!({"id": id, "kind": kind, "fired": fired}))
        .collect();
    serde_json::json!({
        "complaints": controller.judge.complaints(),
        "rules": controller.judge.broken(),
        "excused": controller.judge.excused(),
        "csts": controller.registers.csts,
        "faults": faults,
    })
    .to_string()
}

/// Serves the socket at `path`, one person at a time, until the process ends.
pub fn serve(controller: &Arc<Mutex<Controller>>, path: &Path) -> io::Result<()> {
    for stream in UnixListener::bind(path)?.incoming() {
        let mut stream = stream?;
        let lines = BufReader::new(stream.try_clone()?).lines();
        for line in lines.map_while(Result::ok) {
            let mut guard = controller.lock().unwrap_or_else(PoisonError::into_inner);
            let text = match answer(&mut guard, line.trim()) {
                Ok(text) => format!("ok {text}\n"),
                Err(text) => format!("error {text}\n"),
            };
            drop(guard);
            if stream.write_all(text.as_bytes()).is_err() {
                break;
            }
        }
    }
    Ok(())
}
