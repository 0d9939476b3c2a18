// SPDX-License-Identifier: MIT

//! Faults of registers and doorbells.

use nvme_proto::register::offset;

use super::{Expects, Fault, Kind, Only, Place};
use crate::fault::Hook;

const GONE: &str = "all registers read as ones";
const READY: &str = "CSTS.RDY never set, or never cleared";
const FATAL: &str = "fatal status (CSTS.CFS)";
const SHUTDOWN: &str = "shutdown never finishes";
const ABSURD: &str = "values of registers that make no sense";
const BUFFER: &str = "CMBSZ and CMBLOC outside of the BAR or over the registers";

/// A field of a register reads as the argument.
const fn field(name: &'static str, at: usize, shift: u32, bits: u32) -> Kind {
    let fault = Fault::Field { at, shift, bits };
    let only = Only::Register {
        at: at + (shift / 8) as usize,
        bytes: ((shift % 8 + bits).div_ceil(8)) as usize,
    };
    Kind::new(name, Hook::RegisterRead, fault)
        .only(only)
        .always()
        .at_start()
}

/// Bits of a register read as set.
const fn bits(name: &'static str, at: usize, bits: u64) -> Kind {
    Kind::new(name, Hook::RegisterRead, Fault::Bits { at, bits })
        .only(Only::Register { at, bytes: 4 })
        .always()
}

pub(super) const PLACE: Place = Place {
    title: "Registers",
    about: "What registers say, and what follows or does not follow from writing them.",
    kinds: &[
        Kind::new("registers-ones", Hook::RegisterRead, Fault::Ones)
            .always()
            .expects(Expects::Errors)
            .says(
                "answers register reads with all ones, as the bus does for a device that is gone",
                "takes the device for gone: ends all requests with an error and touches no register again",
                GONE,
            )
            .example("registers-ones command-ignored:queue=io,nth=20"),
        Kind::new("registers-ones-once", Hook::RegisterRead, Fault::Ones)
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "answers one register read with all ones",
                "takes the device for gone, or reads again; in no case uses the value",
                GONE,
            )
            .example("registers-ones-once:nth=2"),
        Kind::new("registers-ones-at-start", Hook::RegisterRead, Fault::Ones)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "answers each register read with all ones, from the first on",
                "gives the controller up at once",
                GONE,
            ),
        Kind::new("registers-zeros", Hook::RegisterRead, Fault::Zeros)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "answers register reads with zeros",
                "refuses a controller without queues, command sets and version",
                ABSURD,
            ),
        Kind::new("register-value", Hook::RegisterRead, Fault::Value)
            .argument("what is read, little-endian", 0)
            .says(
                "answers a register read with a number; give offset= for which",
                "checks what it reads before it uses it",
                ABSURD,
            )
            .example("register-value:offset=0x1c,nth=2"),
        Kind::new("register-slow", Hook::RegisterRead, Fault::SlowRead)
            .argument("milliseconds, 2000 at most", 500)
            .always()
            .at_start()
            .says(
                "answers register reads slowly; over vfio-user the whole virtual machine stands still \
                 as long, so it is not the driver alone that waits",
                "holds no lock that others need to get on, and counts time by the clock",
                "a slow controller",
            )
            .example("register-slow:times=10"),
        field("cap-mqes", offset::CAP, 0, 16)
            .argument("MQES", 0)
            .expects(Expects::Refuses)
            .says(
                "says that a queue has one entry only",
                "refuses the controller: a queue has at least two",
                "MQES = 0",
            ),
        field("cap-mqes-one", offset::CAP, 0, 16)
            .argument("MQES", 1)
            .says(
                "says that a queue has two entries at most",
                "makes do with queues of two entries",
                "MQES = 0",
            ),
        field("cap-dstrd", offset::CAP, 32, 4)
            .argument("DSTRD", 15)
            .expects(Expects::Refuses)
            .says(
                "says a doorbell stride by which all but the first doorbells lie outside of the BAR",
                "uses only the queues whose doorbells lie in the BAR; with none refuses the controller",
                "DSTRD",
            ),
        field("cap-mpsmin", offset::CAP, 48, 8)
            .argument("MPSMIN, and MPSMAX << 4", 0xff)
            .expects(Expects::Refuses)
            .says(
                "says that its smallest page is 128 MiB",
                "refuses the controller with one message",
                "MPSMIN above the host's page",
            ),
        field("cap-mpsmax", offset::CAP, 48, 8)
            .argument("MPSMIN, and MPSMAX << 4", 0x0f)
            .expects(Expects::Refuses)
            .says(
                "says that its largest page is smaller than its smallest",
                "refuses the controller with one message",
                "MPSMIN above the host's page",
            ),
        field("cap-css", offset::CAP, 37, 8)
            .argument("CSS", 0)
            .expects(Expects::Refuses)
            .says(
                "says that it has no command set",
                "refuses the controller with one message, or takes the NVM Command Set for granted",
                "CSS without NVM",
            ),
        field("cap-to-zero", offset::CAP, 24, 8)
            .argument("TO", 0)
            .says(
                "says that it becomes ready in no time",
                "waits for a time of its own at least",
                READY,
            ),
        field("cap-to-longest", offset::CAP, 24, 8)
            .argument("TO", 255)
            .expects(Expects::Refuses)
            .says(
                "says that becoming ready takes 127.5 seconds at most; it is of matter where that takes for ever",
                "gives up within a bound of its own, and lets go of the controller",
                READY,
            )
            .example("cap-to-longest never-ready"),
        field("cap-cqr", offset::CAP, 16, 1)
            .argument("CQR", 0)
            .says(
                "says that queues need not be contiguous",
                "makes contiguous queues all the same",
                ABSURD,
            ),
        field("cap-crms", offset::CAP, 59, 2)
            .argument("CRMS", 0)
            .says(
                "says that it has no ready modes, at version 2.1, where one is a must",
                "goes by CAP.TO",
                READY,
            ),
        Kind::new("cap-changing", Hook::RegisterRead, Fault::CapChanging)
            .only(Only::Register { at: offset::CAP, bytes: 4 })
            .always()
            .at_start()
            .says(
                "says another MQES at each read: 1 at each second one",
                "reads it once for each time that it enables the controller, and decides by that copy",
                "a value that changes between two reads",
            ),
        field("vs-zero", offset::VS, 0, 32)
            .argument("VS", 0)
            .expects(Expects::Refuses)
            .says(
                "says version 0.0.0",
                "takes it for the oldest, or refuses it with a message",
                ABSURD,
            ),
        field("vs-ones", offset::VS, 0, 32)
            .argument("VS", 0xffff_ffff)
            .says(
                "says version 65535.255.255",
                "takes it for the newest that it knows; all ones in one register alone is a value",
                ABSURD,
            ),
        field("crto-longest", offset::CRTO, 0, 32)
            .argument("CRTO", 0xffff_ffff)
            .expects(Expects::Refuses)
            .says(
                "says that becoming ready takes nine hours at most; it is of matter where that takes for ever",
                "gives up within a bound of its own, and lets go of the controller",
                "CRTO of up to 9 hours",
            )
            .example("crto-longest never-ready"),
        field("crto-zero", offset::CRTO, 0, 32)
            .argument("CRTO", 0)
            .says(
                "says that becoming ready takes no time, against CAP.TO",
                "waits for a time of its own at least",
                READY,
            ),
        Kind::new("cmb-outside", Hook::RegisterRead, Fault::MemoryBuffer { over_registers: false })
            .only(Only::MemoryBuffer)
            .always()
            .at_start()
            .says(
                "says that it has a controller memory buffer of an absurd size, outside of its BAR",
                "leaves the buffer alone, with one message",
                BUFFER,
            ),
        Kind::new("cmb-over-registers", Hook::RegisterRead, Fault::MemoryBuffer { over_registers: true })
            .only(Only::MemoryBuffer)
            .always()
            .at_start()
            .says(
                "says that its memory buffer lies where its registers are",
                "leaves the buffer alone, with one message",
                BUFFER,
            ),
        bits("csts-reserved", offset::CSTS, 0xffff_ff80)
            .at_start()
            .says(
                "sets all reserved bits of CSTS",
                "looks only at the bits that it knows; this is not all ones",
                ABSURD,
            ),
        bits("csts-shst", offset::CSTS, 3 << 2)
            .at_unbind()
            .says(
                "says the reserved shutdown status 3",
                "takes it for no shutdown that is complete, and waits no longer than its bound",
                SHUTDOWN,
            ),
        bits("csts-nssro", offset::CSTS, 1 << 4)
            .at_start()
            .says(
                "says that the NVM subsystem was reset",
                "goes on, or resets the controller a bounded number of times",
                ABSURD,
            ),
        bits("csts-paused", offset::CSTS, 1 << 5)
            .says(
                "says that processing is paused (PP), for good",
                "gives up the wait for a command in bounded time all the same",
                "a completion that never comes",
            )
            .example("csts-paused command-ignored:queue=io,nth=20"),
        bits("csts-fatal-read", offset::CSTS, 1 << 1)
            .expects(Expects::Errors)
            .says(
                "reads as fatal (CFS) and works on",
                "resets a bounded number of times, then takes the controller for dead",
                FATAL,
            )
            .example("csts-fatal-read command-ignored:queue=io,nth=20"),
        Kind::new("never-ready", Hook::Enable, Fault::Never)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "never sets CSTS.RDY after CC.EN",
                "gives up after the time that CAP.TO or CRTO names, within its own bound",
                READY,
            ),
        Kind::new("ready-slowly", Hook::Enable, Fault::Slowly)
            .argument("milliseconds", 1500)
            .at_start()
            .says(
                "sets CSTS.RDY late; a time above that of CAP.TO is as never-ready",
                "waits as long as CAP.TO or CRTO says, without a busy loop",
                READY,
            ),
        Kind::new("ready-fatal", Hook::Enable, Fault::Fatal)
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "sets CSTS.CFS instead of CSTS.RDY after CC.EN",
                "gives up at once, or after its bound, with a message",
                FATAL,
            ),
        Kind::new("ready-never-clears", Hook::Disable, Fault::Never)
            .always()
            .expects(Expects::Errors)
            .says(
                "never clears CSTS.RDY after CC.EN was cleared",
                "gives up after its bound: bus mastering off, a function-level reset, and only then are \
                 requests ended",
                READY,
            ),
        Kind::new("ready-clears-slowly", Hook::Disable, Fault::Slowly)
            .argument("milliseconds", 1500)
            .says(
                "clears CSTS.RDY late after CC.EN was cleared; a time above that of CAP.TO is as \
                 ready-never-clears",
                "waits as long as CAP.TO says, and enables nothing before",
                READY,
            ),
        Kind::new("shutdown-never-finishes", Hook::Shutdown, Fault::Never)
            .at_unbind()
            .always()
            .says(
                "says for ever that the shutdown occurs",
                "waits as long as RTD3E says, 5 to 60 seconds, then goes on",
                SHUTDOWN,
            ),
        Kind::new("shutdown-slowly", Hook::Shutdown, Fault::Slowly)
            .at_unbind()
            .argument("milliseconds", 3000)
            .says(
                "finishes the shutdown late",
                "waits for it",
                SHUTDOWN,
            ),
        Kind::new("shutdown-unseen", Hook::Shutdown, Fault::ShutdownUnseen)
            .at_unbind()
            .always()
            .says(
                "takes no notice of CC.SHN",
                "waits within its bound, then goes on",
                SHUTDOWN,
            ),
        Kind::new("cc-ignored", Hook::RegisterWrite, Fault::WriteIgnored)
            .only(Only::Register { at: offset::CC, bytes: 4 })
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "takes no notice of writes to CC",
                "gives up after its bound",
                READY,
            ),
        Kind::new("asq-ignored", Hook::RegisterWrite, Fault::WriteIgnored)
            .only(Only::Register { at: offset::ASQ, bytes: 8 })
            .always()
            .at_start()
            .expects(Expects::Refuses)
            .says(
                "takes no notice of writes to ASQ: admin commands are fetched from address 0",
                "finds no answer to its first command, and gives up in bounded time",
                "a register that does not keep what is written",
            ),
        Kind::new("doorbell-lost", Hook::Doorbell, Fault::DoorbellLost)
            .only(Only::Submission)
            .says(
                "does not see a submission queue's doorbell",
                "recovers by the timeout, if no later doorbell says the same",
                "a completion that never comes",
            )
            .example("doorbell-lost:queue=io,nth=20"),
        Kind::new("doorbell-late", Hook::Doorbell, Fault::DoorbellLate)
            .only(Only::Submission)
            .argument("milliseconds", 200)
            .says(
                "acts on a submission queue's doorbell late; not at all if a later one was acted on meanwhile, \
                 since a tail does not go backwards",
                "waits",
                "a slow controller",
            )
            .example("doorbell-late:queue=io,nth=20,times=10"),
        Kind::new("doorbell-head-lost", Hook::Doorbell, Fault::DoorbellLost)
            .only(Only::Completion)
            .says(
                "does not see a completion queue's doorbell; with shadow doorbells it asks for each of them",
                "tells a later head with the next one",
                "a completion that never comes",
            )
            .example("doorbell-head-lost:queue=io,nth=20,times=5"),
    ],
};
