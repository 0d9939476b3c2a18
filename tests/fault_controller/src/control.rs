// SPDX-License-Identifier: MIT

//! The control socket: a line in, a line out: `ok ...` or `error ...`.
//!
//! - `arm SPEC`: arms a fault; the answer is its number.
//! - `disarm`: disarms all.
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
use crate::fault::Spec;

/// Answers one line.
pub fn answer(controller: &mut Controller, line: &str) -> Result<String, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "arm" => {
            let spec: Spec = rest.parse()?;
            let now = controller.now();
            let id = controller.faults.arm(spec, now);
            controller.log.line("armed", &format!("{id} {rest}"));
            Ok(id.to_string())
        }
        "disarm" => {
            controller.faults.disarm();
            Ok("disarmed".to_owned())
        }
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
