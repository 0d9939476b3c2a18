// SPDX-License-Identifier: MIT

//! Asynchronous events (Base 5.1.2): a queue of what happened, matched with the requests that wait.
//!
//! After an event was reported, others of its type are held back until the host has read the log page
//! that it names, without retaining it. Here are also the happenings themselves, as the control socket
//! asks for them: namespaces that come, go and grow, health, firmware.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nvme_proto::feature::FeatureId;

use crate::admin::logs::lid;
use crate::controller::{Answer, Controller, Taken};
use crate::io::reservations;
use crate::later::Ends;
use crate::namespace::Namespace;
use crate::registers::csts;

/// Types of events.
pub mod kind {
    /// Error status: a doorbell that is not there, or is told nonsense.
    pub const ERROR: u8 = 0;
    /// SMART / Health.
    pub const HEALTH: u8 = 1;
    /// Notice.
    pub const NOTICE: u8 = 2;
    /// Immediate: has no log page, and holds back nothing.
    pub const IMMEDIATE: u8 = 3;
    /// What an I/O command set has events for: reservations.
    pub const COMMAND_SET: u8 = 6;
}

/// Asynchronous Event Configuration: Namespace Attribute Notices.
const NAMESPACE_NOTICES: u32 = 1 << 8;

/// Asynchronous Event Configuration: Firmware Activation Notices.
const FIRMWARE_NOTICES: u32 = 1 << 9;

/// Namespaces in the Changed Attached Namespace List; with more it has one entry of all ones.
const CHANGED_MOST: usize = 1024;

/// An event: the low dword of the completion that reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub kind: u8,
    /// What it is about.
    pub info: u8,
    /// The log page that has more, and which clears it.
    pub log: u8,
}

impl Event {
    fn dword(self) -> u64 {
        u64::from(self.kind & 7) | (u64::from(self.info) << 8) | (u64::from(self.log) << 16)
    }
}

/// What waits for what.
#[derive(Default)]
pub struct Events {
    /// Asynchronous Event Requests that wait for an event, in their order.
    pub requests: VecDeque<Taken>,
    queue: VecDeque<Event>,
    /// Types that were reported, with the log page that has to be read first.
    masked: BTreeMap<u8, u8>,
    changed: BTreeSet<u32>,
}

impl Events {
    /// Takes back the request with this identifier.
    pub fn withdraw(&mut self, cid: u16) -> Option<Taken> {
        let place = self
            .requests
            .iter()
            .position(|taken| taken.command.cid.get() == cid)?;
        self.requests.remove(place)
    }

    /// The next event that may be reported.
    fn next(&mut self) -> Option<Event> {
        let masked = &self.masked;
        let place = self
            .queue
            .iter()
            .position(|event| !masked.contains_key(&event.kind))?;
        self.queue.remove(place)
    }

    /// The Changed Attached Namespace List (Base 5.1.12.1.5).
    pub(super) fn changed_list(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = if self.changed.len() > CHANGED_MOST {
            vec![0xff; 4]
        } else {
            let all = self.changed.iter();
            all.flat_map(|nsid| nsid.to_le_bytes()).collect()
        };
        bytes.resize(4 * CHANGED_MOST, 0);
        bytes
    }
}

impl Controller {
    /// Something has happened that the host wants to know.
    pub fn event(&mut self, event: Event) {
        // Nobody listens before the controller is ready, and the next who does begins anew.
        if self.registers.csts & 1 == 0 {
            return;
        }
        if !self.admin.events.queue.contains(&event) {
            self.admin.events.queue.push_back(event);
        }
        self.send_events();
    }

    /// Reports what may be reported, as long as requests wait.
    pub(super) fn send_events(&mut self) {
        while !self.admin.events.requests.is_empty() {
            let Some(event) = self.admin.events.next() else {
                return;
            };
            let Some(request) = self.admin.events.requests.pop_front() else {
                return;
            };
            if event.kind != kind::IMMEDIATE {
                self.admin.events.masked.insert(event.kind, event.log);
            }
            self.log.line("event", &format!("{event:?}"));
            self.answer(&request, Answer::with(event.dword()));
        }
    }

    /// The host has read a log page and does not retain its event: it is cleared, and others of its
    /// type may come.
    pub(super) fn log_was_read(&mut self, lid: u8) {
        let events = &mut self.admin.events;
        events.masked.retain(|_, log| *log != lid);
        events.queue.retain(|event| event.log != lid);
        if lid == lid::CHANGED_NAMESPACES {
            events.changed.clear();
        }
        self.send_events();
    }

    fn wants(&self, bits: u32) -> bool {
        let configured = self.feature(FeatureId::AsyncEventConfiguration as u8, 0);
        configured & bits != 0
    }

    /// What Identify tells of a namespace is not what it was.
    pub fn namespace_changed(&mut self, nsid: u32) {
        if self.registers.csts & 1 == 0 {
            return;
        }
        self.admin.events.changed.insert(nsid);
        if self.wants(NAMESPACE_NOTICES) {
            self.event(Event {
                kind: kind::NOTICE,
                info: 0,
                log: lid::CHANGED_NAMESPACES,
            });
        }
    }

    /// A doorbell was rung that is not there (`unknown`), or told a value that cannot be.
    pub fn doorbell_error(&mut self, unknown: bool) {
        self.event(Event {
            kind: kind::ERROR,
            info: u8::from(!unknown),
            log: lid::ERRORS,
        });
    }

    /// Tells of the critical warnings that were not there `before`.
    pub fn health_changed(&mut self, before: u8) {
        let new = self.critical_warning() & !before;
        for (bits, info) in [(1 << 1, 1), (1 << 0, 2), (0x3c, 0)] {
            if new & bits != 0 && self.wants(u32::from(new & bits)) {
                self.event(Event {
                    kind: kind::HEALTH,
                    info,
                    log: lid::HEALTH,
                });
            }
        }
    }

    /// Activates firmware that calls itself `revision`: nothing is processed for `time`.
    pub fn activate_firmware(&mut self, revision: &str, time: Duration) {
        self.kept.firmware = revision.chars().take(8).collect();
        self.pause_for_firmware(time, Ends::Never);
    }

    /// Says that the activation of firmware begins, to who wants to know it, and processes nothing for
    /// `time`.
    pub(crate) fn pause_for_firmware(&mut self, time: Duration, ends: Ends) {
        self.registers.csts |= csts::PP;
        if self.wants(FIRMWARE_NOTICES) {
            self.event(Event {
                kind: kind::NOTICE,
                info: 1,
                log: lid::FIRMWARE,
            });
        }
        self.later_ends(time, ends, |this| {
            this.registers.csts &= !csts::PP;
            this.drain_all();
        });
    }
}

/// The control socket's commands of this file: `namespace ...`, `event ...`, `smart ...`,
/// `firmware ...`, `reserve ...`. `None` if the line is another's.
pub fn control(
    controller: &mut Controller,
    word: &str,
    rest: &str,
) -> Option<Result<String, String>> {
    let done = match word {
        "namespace" => namespace(controller, rest),
        "event" => event(controller, rest),
        "smart" => smart(controller, rest),
        "firmware" => firmware(controller, rest),
        "reserve" => reservations::control(controller, rest),
        _ => return None,
    };
    if done.is_ok() {
        controller.log.line("control", &format!("{word} {rest}"));
    }
    controller.tell();
    Some(done)
}

fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number: Result<u64, _> = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number
        .ok()
        .and_then(|number| number.try_into().ok())
        .ok_or_else(|| format!("{text}: not a number that fits"))
}

fn namespace(controller: &mut Controller, rest: &str) -> Result<String, String> {
    let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let nsid = match verb {
        "add" => {
            let free = (1..=controller.settings.most_namespaces)
                .find(|nsid| !controller.namespaces.contains_key(nsid))
                .ok_or("there is no identifier left")?;
            let namespace = Namespace::parse(free, rest, controller.settings.seed)?;
            controller.namespaces.insert(free, namespace);
            free
        }
        "remove" => {
            let nsid = number(rest)?;
            let gone = controller.namespaces.remove(&nsid);
            gone.ok_or_else(|| format!("{nsid}: no such namespace"))?;
            nsid
        }
        "resize" => {
            let (nsid, bytes) = rest.split_once(' ').ok_or("resize NSID BYTES")?;
            let (nsid, bytes): (u32, u64) = (number(nsid)?, number(bytes)?);
            let namespace = controller
                .namespaces
                .get_mut(&nsid)
                .ok_or_else(|| format!("{nsid}: no such namespace"))?;
            let blocks = bytes >> namespace.lbads;
            namespace
                .resize(blocks)
                .map_err(|error| error.to_string())?;
            nsid
        }
        _ => return Err("namespace add|remove|resize ...".to_owned()),
    };
    controller.namespace_changed(nsid);
    Ok(nsid.to_string())
}

fn event(controller: &mut Controller, rest: &str) -> Result<String, String> {
    let parts: Vec<&str> = rest.split_whitespace().collect();
    let [kind, info, log] = parts.as_slice() else {
        return Err("event TYPE INFO LOG".to_owned());
    };
    let (kind, info, log) = (number(kind)?, number(info)?, number(log)?);
    controller.event(Event { kind, info, log });
    Ok("sent".to_owned())
}

fn smart(controller: &mut Controller, rest: &str) -> Result<String, String> {
    let before = controller.critical_warning();
    for pair in rest.split_whitespace() {
        match pair.split_once('=') {
            Some(("warning", value)) => controller.kept.health.warning = number(value)?,
            Some(("temperature", value)) => controller.kept.health.temperature = number(value)?,
            Some(("spare", value)) => controller.kept.health.spare = number(value)?,
            Some(("used", value)) => controller.kept.health.used = number(value)?,
            _ => return Err(format!("{pair}: warning=, temperature=, spare= or used=")),
        }
    }
    controller.health_changed(before);
    Ok(format!("warning {:#04x}", controller.critical_warning()))
}

fn firmware(controller: &mut Controller, rest: &str) -> Result<String, String> {
    let (revision, time) = rest
        .split_once(' ')
        .ok_or("firmware REVISION MILLISECONDS")?;
    controller.activate_firmware(revision, Duration::from_millis(number(time)?));
    Ok(controller.kept.firmware.clone())
}
