// SPDX-License-Identifier: MIT

//! Reservations (Base 8.1.22): hosts register a key with a namespace, and one of them, or all, may keep
//! the others from it.
//!
//! There is one controller, whose host is who its Host Identifier says. Other hosts come by the control
//! socket (`reserve ...`), or after a reset under another identifier.

use std::collections::BTreeMap;

use nvme_proto::command::NvmOpcode;
use nvme_proto::status::Status;

use crate::admin::events::{kind, Event};
use crate::admin::features::RESERVATION_MASK;
use crate::admin::logs::{lid, put};
use crate::controller::{Answer, Controller, Taken};
use crate::data::number;
use crate::io::opcode;

/// RESCAP: all six types, that a reservation can persist through a loss of power, and that Ignore
/// Existing Key means what it does since revision 1.3.
pub const CAPABILITIES: u8 = 0xff;

/// CDW10: Ignore Existing Key.
const IGNORE_KEY: u32 = 1 << 3;

/// Types from here on have no holder: all who are registered are.
const ALL_REGISTRANTS: u8 = 5;

/// Reservation Notification Log Page Types.
mod notice {
    /// Registration Preempted.
    pub(super) const REGISTRATION_PREEMPTED: u8 = 1;
    /// Reservation Released.
    pub(super) const RELEASED: u8 = 2;
    /// Reservation Preempted.
    pub(super) const PREEMPTED: u8 = 3;
}

/// Who is to be told what.
type Notices = Vec<(u128, u8)>;

/// What is asked of a namespace's reservation.
#[derive(Clone, Copy, Debug)]
enum Request {
    /// Register with a new key; or none, to unregister; or another.
    Register { action: u32, new: u64 },
    /// Acquire, or preempt those with a key.
    Acquire { action: u32, kind: u8, other: u64 },
    /// Release, or clear.
    Release { action: u32, kind: u8 },
}

/// The registrants of a namespace, and who holds it.
#[derive(Debug, Default)]
pub struct Reservation {
    keys: BTreeMap<u128, u64>,
    /// RTYPE; 0 for none.
    kind: u8,
    holder: u128,
    generation: u32,
    /// Whether it persists through a loss of power (PTPL).
    pub persists: bool,
}

impl Reservation {
    fn is_holder(&self, host: u128) -> bool {
        let all = self.kind >= ALL_REGISTRANTS;
        self.kind != 0 && self.keys.contains_key(&host) && (all || self.holder == host)
    }

    /// Whether a command of `host` has to be refused.
    pub fn conflicts(&self, host: u128, writes: bool) -> bool {
        let registered = self.keys.contains_key(&host);
        match self.kind {
            0 => false,
            _ if self.is_holder(host) => false,
            // Write exclusive: for the holder, for registrants.
            1 => writes,
            3 | 5 => writes && !registered,
            2 => true,
            _ => !registered,
        }
    }

    fn ask(
        &mut self,
        host: u128,
        ignore: bool,
        key: u64,
        request: Request,
    ) -> Result<Notices, Status> {
        let known = self.keys.get(&host).copied();
        if let Request::Register { action: 0, new } = request {
            if known.is_some_and(|known| known != new) {
                return Err(Status::RESERVATION_CONFLICT);
            }
            self.keys.insert(host, new);
            self.generation = self.generation.wrapping_add(1);
            return Ok(Notices::new());
        }
        // A host that says what its key shall be, whatever it was, need not have had one.
        let anew = ignore && matches!(request, Request::Register { action: 2, .. });
        if !anew && !known.is_some_and(|known| ignore || known == key) {
            return Err(Status::RESERVATION_CONFLICT);
        }
        match request {
            Request::Register { action: 1, .. } => Ok(self.unregister(host)),
            Request::Register { action: 2, new } => {
                self.keys.insert(host, new);
                self.generation = self.generation.wrapping_add(1);
                Ok(Notices::new())
            }
            Request::Acquire { kind, .. } if !(1..=6).contains(&kind) => Err(Status::INVALID_FIELD),
            Request::Acquire {
                action: 0, kind, ..
            } => self.acquire(host, kind),
            Request::Acquire {
                action: 1 | 2,
                kind,
                other,
            } => self.preempt(host, kind, other),
            Request::Release { action: 0, kind } => self.release(host, kind),
            Request::Release { action: 1, .. } => {
                let notices = self.tell(host, notice::PREEMPTED);
                self.keys.clear();
                self.kind = 0;
                self.generation = self.generation.wrapping_add(1);
                Ok(notices)
            }
            _ => Err(Status::INVALID_FIELD),
        }
    }

    /// A notice to all registrants but `host`.
    fn tell(&self, host: u128, what: u8) -> Notices {
        let others = self.keys.keys().filter(|other| **other != host);
        others.map(|other| (*other, what)).collect()
    }

    fn unregister(&mut self, host: u128) -> Notices {
        let held = self.is_holder(host);
        self.keys.remove(&host);
        self.generation = self.generation.wrapping_add(1);
        let last = self.keys.is_empty();
        if !held || (self.kind >= ALL_REGISTRANTS && !last) {
            return Notices::new();
        }
        // The others of a type for registrants learn that it is free.
        let for_registrants = matches!(self.kind, 3 | 4);
        self.kind = 0;
        if for_registrants {
            self.tell(host, notice::RELEASED)
        } else {
            Notices::new()
        }
    }

    fn acquire(&mut self, host: u128, kind: u8) -> Result<Notices, Status> {
        if self.kind == 0 {
            (self.kind, self.holder) = (kind, host);
            return Ok(Notices::new());
        }
        if self.is_holder(host) && self.kind == kind {
            return Ok(Notices::new());
        }
        Err(Status::RESERVATION_CONFLICT)
    }

    fn preempt(&mut self, host: u128, kind: u8, other: u64) -> Result<Notices, Status> {
        let all = self.kind >= ALL_REGISTRANTS;
        let of_holder = self.kind != 0 && !all && self.keys.get(&self.holder) == Some(&other);
        let everyone = all && other == 0;
        if other == 0 && !everyone {
            return Err(Status::INVALID_FIELD);
        }
        let victims: Vec<u128> = self
            .keys
            .iter()
            .filter(|(_, key)| everyone || **key == other)
            .map(|(victim, _)| *victim)
            .collect();
        if victims.is_empty() {
            return Err(Status::RESERVATION_CONFLICT);
        }
        let mut notices = Notices::new();
        for victim in victims.into_iter().filter(|victim| *victim != host) {
            self.keys.remove(&victim);
            notices.push((victim, notice::REGISTRATION_PREEMPTED));
        }
        if of_holder || everyone {
            if self.kind != kind {
                notices.extend(self.tell(host, notice::PREEMPTED));
            }
            (self.kind, self.holder) = (kind, host);
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(notices)
    }

    fn release(&mut self, host: u128, kind: u8) -> Result<Notices, Status> {
        if !self.is_holder(host) {
            return Ok(Notices::new());
        }
        if kind != self.kind {
            return Err(Status::INVALID_FIELD);
        }
        let notices = if self.kind >= 3 {
            self.tell(host, notice::RELEASED)
        } else {
            Notices::new()
        };
        self.kind = 0;
        Ok(notices)
    }

    /// The Reservation Status data structure, or the extended one.
    fn status(&self, extended: bool, own: u128) -> Vec<u8> {
        let (header, each) = if extended { (64, 64) } else { (24, 24) };
        let mut bytes = vec![0; header + each * self.keys.len()];
        put(&mut bytes, 0, &self.generation.to_le_bytes());
        put(&mut bytes, 4, &[self.kind]);
        put(&mut bytes, 5, &(self.keys.len() as u16).to_le_bytes());
        put(&mut bytes, 9, &[u8::from(self.persists)]);
        for (index, (host, key)) in self.keys.iter().enumerate() {
            let at = header + each * index;
            let controller: u16 = if *host == own { 1 } else { 2 };
            put(&mut bytes, at, &controller.to_le_bytes());
            put(&mut bytes, at + 2, &[u8::from(self.is_holder(*host))]);
            if extended {
                put(&mut bytes, at + 8, &key.to_le_bytes());
                put(&mut bytes, at + 16, &host.to_le_bytes());
            } else {
                put(&mut bytes, at + 8, &host.to_le_bytes()[..8]);
                put(&mut bytes, at + 16, &key.to_le_bytes());
            }
        }
        bytes
    }
}

/// What an opcode does to a namespace, for reservations: reads it, writes it, or neither.
fn access(taken: &Taken) -> Option<bool> {
    const READS: [u8; 3] = [
        NvmOpcode::Read as u8,
        NvmOpcode::Compare as u8,
        NvmOpcode::Verify as u8,
    ];
    if READS.contains(&taken.command.opcode) {
        return Some(false);
    }
    (!opcode::RESERVATIONS.contains(&taken.command.opcode)).then_some(true)
}

impl Controller {
    /// Whether a reservation, or write protection, forbids a command.
    pub(super) fn forbidden(&self, taken: &Taken) -> Option<Status> {
        let writes = access(taken)?;
        let namespace = self.namespaces.get(&taken.command.nsid.get())?;
        let flush = taken.command.opcode == NvmOpcode::Flush as u8;
        if namespace
            .reservation
            .conflicts(self.admin.features.host, writes)
        {
            return Some(Status::RESERVATION_CONFLICT);
        }
        (writes && !flush && namespace.protection != 0).then_some(Status::NAMESPACE_WRITE_PROTECTED)
    }

    /// Reservation Register, Acquire, Release and Report.
    pub(super) fn reservation_command(&mut self, taken: &Taken) -> Answer {
        let cdw10 = taken.command.cdw10.get();
        let (action, kind) = (cdw10 & 7, ((cdw10 >> 8) & 0xff) as u8);
        let command = taken.command.opcode;
        if command == opcode::RESERVATION_REPORT {
            return self.report(taken);
        }
        if cdw10 & IGNORE_KEY != 0 && command != opcode::RESERVATION_REGISTER {
            return Answer::refused(Status::INVALID_FIELD);
        }
        let length = if command == opcode::RESERVATION_RELEASE {
            8
        } else {
            16
        };
        let data = match self.take_data(taken, length) {
            Ok(data) => data,
            Err(answer) => return answer,
        };
        let key = number(&data);
        let second = number(data.get(8..).unwrap_or_default());
        let request = match command {
            opcode::RESERVATION_REGISTER => Request::Register {
                action,
                new: second,
            },
            opcode::RESERVATION_ACQUIRE => Request::Acquire {
                action,
                kind,
                other: second,
            },
            _ => Request::Release { action, kind },
        };
        let (host, nsid) = (self.admin.features.host, taken.command.nsid.get());
        let persist = if command == opcode::RESERVATION_REGISTER {
            cdw10 >> 30
        } else {
            0
        };
        let done = self.reserve(host, nsid, cdw10 & IGNORE_KEY != 0, key, request);
        if let Err(status) = done {
            return Answer::refused(status);
        }
        if let Some(namespace) = self.namespaces.get_mut(&nsid).filter(|_| persist >= 2) {
            namespace.reservation.persists = persist == 3;
        }
        Answer::DONE
    }

    /// Does what `host` asks, and tells those whom it concerns.
    fn reserve(
        &mut self,
        host: u128,
        nsid: u32,
        ignore: bool,
        key: u64,
        request: Request,
    ) -> Result<(), Status> {
        let namespace = self
            .namespaces
            .get_mut(&nsid)
            .ok_or(Status::INVALID_NAMESPACE_OR_FORMAT)?;
        let notices = namespace.reservation.ask(host, ignore, key, request)?;
        let own = self.admin.features.host;
        let mask = self.feature(RESERVATION_MASK, nsid);
        for (_, what) in notices.into_iter().filter(|(host, _)| *host == own) {
            if mask & (1 << what) == 0 {
                self.notify(nsid, what);
            }
        }
        Ok(())
    }

    /// A Reservation Notification log page, and the event that tells of it.
    fn notify(&mut self, nsid: u32, what: u8) {
        self.admin.reservation_logs += 1;
        let mut page = [0; 64];
        put(&mut page, 0, &self.admin.reservation_logs.to_le_bytes());
        put(&mut page, 8, &[what]);
        put(&mut page, 12, &nsid.to_le_bytes());
        self.admin.reservation_log.push_back(page);
        self.reservation_event();
    }

    fn reservation_event(&mut self) {
        self.event(Event {
            kind: kind::COMMAND_SET,
            info: 0,
            log: lid::RESERVATIONS,
        });
    }

    /// The host has read a Reservation Notification: the next one, if there is one, is told of.
    pub(crate) fn reservation_log_was_read(&mut self) {
        self.admin.reservation_log.pop_front();
        if !self.admin.reservation_log.is_empty() {
            self.reservation_event();
        }
    }

    fn report(&mut self, taken: &Taken) -> Answer {
        let bytes = (u64::from(taken.command.cdw10.get()) + 1).saturating_mul(4);
        let longest = self.settings.longest_transfer().unwrap_or(1 << 20);
        if bytes > longest {
            return Answer::refused(Status::INVALID_FIELD);
        }
        let extended = taken.command.cdw11.get() & 1 != 0;
        let own = self.admin.features.host;
        let Some(namespace) = self.namespaces.get(&taken.command.nsid.get()) else {
            return Answer::refused(Status::INVALID_NAMESPACE_OR_FORMAT);
        };
        if !extended && own > u64::MAX.into() {
            return Answer::refused(Status::HOST_ID_INCONSISTENT_FORMAT);
        }
        let mut status = namespace.reservation.status(extended, own);
        status.resize(bytes as usize, 0);
        self.hand_out(taken, &status)
    }
}

/// `reserve NSID HOST register KEY | unregister KEY | acquire KEY TYPE | preempt KEY TYPE OTHER |
/// release KEY TYPE | clear KEY`: what another host does.
pub fn control(controller: &mut Controller, rest: &str) -> Result<String, String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let value = |index: usize| {
        let text = words.get(index).copied().unwrap_or_default();
        text.parse::<u64>()
            .map_err(|_| format!("{text:?}: no number; NSID HOST VERB KEY [TYPE [OTHER]]"))
    };
    let (nsid, host, key) = (value(0)? as u32, value(1)?, value(3)?);
    let kind = |index| value(index).map(|kind| kind.min(255) as u8);
    let request = match words.get(2).copied().unwrap_or_default() {
        "register" => Request::Register {
            action: 0,
            new: key,
        },
        "unregister" => Request::Register { action: 1, new: 0 },
        "acquire" => Request::Acquire {
            action: 0,
            kind: kind(4)?,
            other: 0,
        },
        "preempt" => Request::Acquire {
            action: 1,
            kind: kind(4)?,
            other: value(5)?,
        },
        "release" => Request::Release {
            action: 0,
            kind: kind(4)?,
        },
        "clear" => Request::Release { action: 1, kind: 0 },
        other => return Err(format!("{other:?}: no such verb")),
    };
    controller
        .reserve(host.into(), nsid, false, key, request)
        .map_err(|status| status.to_string())?;
    Ok("done".to_owned())
}
