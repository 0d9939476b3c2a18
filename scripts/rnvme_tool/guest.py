# SPDX-License-Identifier: GPL-2.0
"""A guest that is running: started, spoken to, and always killed in the end.

QMP and the guest agent are both spoken through the QEMU project's own qemu.qmp.
QEMU connects to sockets that listen before it starts, so nothing is polled until
it is up. This runs inside the build root, whose death takes QEMU with it.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import pathlib
import re
import subprocess
import tempfile
import threading
import time
from types import TracebackType
from typing import Any, Callable, Coroutine, Deque, Dict, List, Mapping, Optional, Sequence, Type, TypeVar, Union

from qemu.qmp import EventListener, ExecuteError, Message, QMPClient, QMPError

from .failure import Failure
from .kernel import Kernel
from .log_net import read_reports
from .machine import (
    SPARE_PORTS,
    Controller,
    Machine,
    common_arguments,
    controller_arguments,
    controller_device,
    namespace_backend,
    namespace_device,
    root_port,
    root_port_arguments,
)

BOOT_SECONDS = 90.0
LAST_LINES = 40
AGENT_PORT = "org.qemu.guest_agent.0"
MODULE = "/lib/rnvme/rnvme.ko"
# Name, namespace id and device of each disk: the stock driver tells the id, ours ends the name with it. No program
# is started: that takes longer than all the rest.
DESCRIBE_DISKS = """for d in /sys/block/*n*; do cd -P $d 2>/dev/null || continue
id=${d##*n}; [ ! -e nsid ] || read -r id <nsid; echo ${d##*/} $id $PWD; done"""
# Ends with the names when there are enough of them, or when the time is over.
AWAIT_DISKS = """shopt -s nullglob
while names=(/sys/block/%s*n*); [ ${#names[@]} -lt %d ] && [ $SECONDS -lt %g ]; do sleep 0.05; done
echo ${names[@]##*/}"""
T = TypeVar("T")


class GuestFailure(Failure):
    """The guest died, hung, or a command in it failed."""


@dataclasses.dataclass(frozen=True)
class Result:
    """How a command in the guest ended."""

    command: str
    status: int
    out: str
    err: str

    def check(self) -> Result:
        """Itself, when the command succeeded."""
        if self.status != 0:
            raise GuestFailure(f"in the guest, `{self.command}` ended with status {self.status}: "
                               f"{(self.err or self.out).strip()[-2000:]}")
        return self


class Guest:
    """One guest; a context manager. `driver` is the one under test: "rnvme", or "nvme" (the stock one).

    With a `snapshot` it is restored from that file and its controllers are plugged in before it goes on;
    without one it boots, and finds its controllers then.
    """

    def __init__(self, folder: pathlib.Path, kernel: Kernel, initrd: pathlib.Path, machine: Optional[Machine] = None,
                 controllers: Sequence[Controller] = (), driver: str = "rnvme",
                 snapshot: Optional[pathlib.Path] = None) -> None:
        self.folder = folder
        self.kernel = kernel
        self.machine = machine or Machine()
        self.controllers = list(controllers)
        self.driver = driver
        self.boot_seconds = 0.0
        self._initrd = initrd
        self._snapshot = snapshot
        self._cleanup = contextlib.ExitStack()
        self._loop = asyncio.new_event_loop()
        self._qmp = QMPClient("qmp")
        self._agent = QMPClient("agent")
        self._agent.await_greeting = self._agent.negotiate = False
        self._events: Deque[Message] = collections.deque(maxlen=1000)
        self._arrived: Optional[asyncio.Condition] = None
        self._process: Optional[subprocess.Popen[bytes]] = None

    # --- life ---------------------------------------------------------------

    def __enter__(self) -> Guest:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def start(self) -> None:
        """Starts QEMU and waits until the guest agent answers and every controller is on its bus."""
        began = time.monotonic()
        self._begin()
        try:
            if self._snapshot is None:
                self._launch([arg for index, one in enumerate(self.controllers)
                              for arg in controller_arguments(index, one)])
                self._await_agent()
            else:
                self._launch([*_spare_ports(), "-incoming", "defer"])
                self._restore(self._snapshot)
        except BaseException:
            self.close()
            raise
        self.boot_seconds = time.monotonic() - began

    def save(self, path: pathlib.Path) -> None:
        """Boots with root ports and nothing behind them, and writes the snapshot that guests are restored from."""
        self._begin()
        try:
            self._launch(_spare_ports())
            self._await_agent()
            # The kernel's hot-plug driver has a lock order that lockdep reports whenever a device comes or goes, and
            # after a report lockdep is off: a restored guest finds its controllers by a scan, without that driver.
            self.run("for s in /sys/bus/pci_express/devices/*:pcie004; do "
                     "echo ${s##*/} >/sys/bus/pci_express/drivers/pciehp/unbind || exit; done")
            self.qmp("stop")
            self._prepare_migration()
            self.qmp("migrate", uri=f"file:{path}")
            self._await_migration()
        finally:
            self.close()

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._cleanup.callback(self._end_loop, thread)

    def _await_agent(self) -> None:
        self.wait_event("VSERPORT_CHANGE", BOOT_SECONDS, lambda data: bool(data.get("open")))
        self.agent("guest-ping", timeout=30)

    def _prepare_migration(self) -> None:
        self.qmp("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True} for name in ("events", "mapped-ram")])

    def _await_migration(self) -> None:
        ended = self.wait_event("MIGRATION", 60, lambda data: data.get("status") in ("completed", "failed"))
        if ended["status"] == "failed":
            raise GuestFailure(f"the snapshot failed: {self.qmp('query-migrate').get('error-desc', 'no reason given')}")

    def _restore(self, snapshot: pathlib.Path) -> None:
        self._prepare_migration()
        self.qmp("migrate-incoming", uri=f"file:{snapshot}")
        self._await_migration()
        for index, controller in enumerate(self.controllers):
            driver, options = controller_device(index, controller)
            self.device_add(driver, **options)
            for nsid, namespace in enumerate(controller.namespaces, start=1):
                self.blockdev_add(namespace_backend(index, nsid, namespace))
                driver, options = namespace_device(index, nsid, namespace)
                self.device_add(driver, **options)
        self.qmp("cont")
        self.agent("guest-ping", timeout=30)
        if self.controllers:
            self.run("echo 1 >/sys/bus/pci/rescan", 30)

    def close(self) -> None:
        """Kills QEMU, whatever it does: a hung one ignores anything milder."""
        self._cleanup.close()

    def kill(self) -> None:
        """Kills QEMU and waits for its end; what is written then is in the images."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def running(self) -> bool:
        """Whether QEMU runs."""
        return self._process is not None and self._process.poll() is None

    def ended(self, wait: float = 0.0) -> bool:
        """Whether QEMU ends within that time, or has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.wait(wait)
        return not self.running

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        if self._process is None:
            raise GuestFailure("the guest is not running")
        return self._process.pid

    # --- QMP ----------------------------------------------------------------

    def qmp(self, command: str, timeout: float = 30, **arguments: Any) -> Any:
        """Runs a QMP command; '_' in argument names stands for '-'."""
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        return self._call(self._qmp.execute(command, named or None), timeout, f"QMP {command}")

    def blockdev_add(self, node: Mapping[str, object]) -> None:
        """QMP blockdev-add."""
        self._call(self._qmp.execute("blockdev-add", dict(node)), 30, "QMP blockdev-add")

    def device_add(self, driver: str, **options: Any) -> None:
        """QMP device_add; property names are taken as they are, and "on" and "off" as on a command line."""
        typed = {key: {"on": True, "off": False}.get(str(value), value) for key, value in options.items()}
        self._call(self._qmp.execute("device_add", {"driver": driver, **typed}), 30, "QMP device_add")

    def wait_event(self, name: str, timeout: float,
                   matches: Callable[[Dict[str, Any]], bool] = lambda data: True) -> Dict[str, Any]:
        """Waits for a QMP event, one that has arrived and was not taken yet included."""
        return self._call(self._take_event(name, matches), timeout, f"the event {name}")

    # --- commands in the guest ----------------------------------------------

    def agent(self, command: str, timeout: float = 30, **arguments: Any) -> Any:
        """Runs a command of the guest agent."""
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        return self._call(self._agent.execute(command, named or None), timeout, f"the agent's {command}")

    def spawn(self, command: Union[str, List[str]], stdin: Optional[bytes] = None) -> Job:
        """Starts a command (a text goes to bash) and leaves it running."""
        line = ["bash", "-c", command] if isinstance(command, str) else command
        arguments: Dict[str, Any] = {"path": line[0], "arg": line[1:], "capture_output": True,
                                     "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]}
        if stdin is not None:
            arguments["input_data"] = base64.b64encode(stdin).decode()
        started = self.agent("guest-exec", **arguments)
        return Job(self, command if isinstance(command, str) else " ".join(command), started["pid"])

    def run(self, command: Union[str, List[str]], timeout: float = 30, check: bool = True,
            stdin: Optional[bytes] = None) -> Result:
        """Runs a command to its end. With `check`, a status other than 0 is an error."""
        result = self.spawn(command, stdin).wait(timeout)
        return result.check() if check else result

    def out(self, command: Union[str, List[str]], timeout: float = 30) -> str:
        """What a command that must succeed prints, without the last line's end."""
        return self.run(command, timeout).out.rstrip("\n")

    def write_file(self, path: str, data: Union[str, bytes]) -> None:
        """Writes a file in the guest."""
        self.run(["dd", f"of={path}", "status=none"], stdin=data.encode() if isinstance(data, str) else data)

    # --- the driver and the log ----------------------------------------------

    def load(self, parameters: str = "") -> None:
        """Loads the driver under test; its stock counterpart comes by modprobe."""
        line = ["insmod", MODULE] if self.driver == "rnvme" else ["modprobe", self.driver]
        self.run(line + parameters.split(), timeout=60)

    def unload(self) -> None:
        """Removes the driver under test."""
        self.run(["rmmod", self.driver], timeout=60)

    def disks(self) -> List[str]:
        """The names of the disks of the driver under test, without /dev/."""
        return self._ours(self.out(["ls", "/sys/block"]))

    def _ours(self, names: str) -> List[str]:
        return [name for name in names.split() if re.fullmatch(self.driver + r"\d+n\d+", name)]

    def pci_address(self, controller: int = 0) -> str:
        """The controller's PCI address, such as 0000:01:00.0."""
        port = root_port(controller)
        names = self.out(["ls", f"/sys/bus/pci/devices/{port}"]).split()
        found = [name for name in names if re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", name)]
        if len(found) != 1:
            raise GuestFailure(f"behind root port {port} one device was expected, there are {found}")
        return found[0]

    def disk(self, controller: int = 0, nsid: int = 1) -> str:
        """The name of one namespace's disk, without /dev/. Controllers may be numbered in any order."""
        for line in self.out(DESCRIBE_DISKS).splitlines():
            name, found, device = line.split()
            if self._ours(name) and found == str(nsid) and f"/{root_port(controller)}/" in device:
                return name
        raise GuestFailure(f"controller {controller} has no disk for namespace {nsid}; there are: {self.disks()}")

    def await_disks(self, count: int, timeout: float = 30) -> List[str]:
        """Waits until the driver has made `count` disks."""
        names = self._ours(self.out(AWAIT_DISKS % (self.driver, count, timeout), timeout + 10))
        if len(names) < count:
            raise GuestFailure(f"{count} disks were expected within {timeout:g} s, there are {names}")
        return names

    def dmesg(self) -> str:
        """The kernel's log, which is kept in the guest's folder as well."""
        log = self.out(["dmesg"])
        (self.folder / "dmesg.log").write_text(log)
        return log

    def serial(self) -> str:
        """What came over the serial console so far."""
        path = self.folder / "serial.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def describe_hang(self) -> str:
        """The blocked tasks' stacks, as far as the guest can still tell."""
        with contextlib.suppress(Exception):
            self._call(self._agent.execute("guest-exec", {"path": "bash", "arg": [
                "-c", "echo 8 >/proc/sys/kernel/printk; echo w >/proc/sysrq-trigger"]}), 5, "sysrq")
            time.sleep(1.0)
        return "\n".join(self.serial().splitlines()[-60:])

    # --- within --------------------------------------------------------------

    def _launch(self, devices: List[str]) -> None:
        sockets = pathlib.Path(self._cleanup.enter_context(tempfile.TemporaryDirectory()))
        connections = [
            "-serial", f"file:{self.folder / 'serial.log'}",
            "-chardev", f"socket,id=qmp,path={sockets / 'qmp'}", "-object", "monitor-qmp,id=monitor,chardev=qmp",
            "-chardev", f"socket,id=agent,path={sockets / 'agent'}", "-device", "virtio-serial-pci",
            "-device", f"virtserialport,id=agent-port,chardev=agent,name={AGENT_PORT}"]
        command = common_arguments(self.machine, self.kernel, self._initrd) + connections + devices
        (self.folder / "qemu.args").write_text("\n".join(command) + "\n")
        self._call(self._listen(sockets), 10, "listening")
        errors = self._cleanup.enter_context(open(self.folder / "qemu.log", "wb"))
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self._cleanup.callback(self.kill)
        self._call(self._accept(), 30, "QEMU's connections")

    async def _listen(self, sockets: pathlib.Path) -> None:
        self._arrived = asyncio.Condition()
        await self._qmp.start_server(str(sockets / "qmp"))
        await self._agent.start_server(str(sockets / "agent"))

    async def _accept(self) -> None:
        listener = EventListener()
        self._qmp.register_listener(listener)
        self._keeper = asyncio.ensure_future(self._keep_events(listener))
        await self._agent.accept()
        await self._qmp.accept()

    async def _keep_events(self, listener: EventListener) -> None:
        assert self._arrived is not None
        async for event in listener:
            async with self._arrived:
                self._events.append(event)
                self._arrived.notify_all()

    async def _take_event(self, name: str, matches: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
        assert self._arrived is not None
        async with self._arrived:
            while True:
                for event in self._events:
                    data = event.get("data", {})
                    if event["event"] == name and isinstance(data, dict) and matches(data):
                        self._events.remove(event)
                        return data
                await self._arrived.wait()

    def _call(self, work: Coroutine[Any, Any, T], timeout: float, what: str) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        deadline = time.monotonic() + timeout
        while True:
            # In short rounds, so that QEMU's death is noticed at once and not at the deadline.
            try:
                return future.result(max(0.0, min(0.5, deadline - time.monotonic())))
            except TimeoutError as late:
                if self._process is not None and self._process.poll() is not None:
                    future.cancel()
                    raise GuestFailure(self._epitaph(what)) from late
                if time.monotonic() >= deadline:
                    future.cancel()
                    raise GuestFailure(f"{what}: no answer from the guest within {timeout:g} s "
                                       f"(serial log: {self.folder / 'serial.log'})") from late
            except ExecuteError as refused:
                raise GuestFailure(f"{what} was refused: {refused}") from refused
            except (QMPError, EOFError, ConnectionError, concurrent.futures.CancelledError) as gone:
                # The connection goes before the process does; its last words come between.
                self.ended(5)
                raise GuestFailure(self._epitaph(what)) from gone

    def _epitaph(self, what: str) -> str:
        log = self.folder / "qemu.log"
        said = log.read_text(errors="replace").splitlines() if log.exists() else []
        console = self.serial().splitlines()
        # A crash is told from its first line on; what follows is mostly registers.
        reports = read_reports(self.serial())
        said += reports[0].text.splitlines()[:LAST_LINES] if reports else console[-LAST_LINES:]
        return "\n".join([f"QEMU ended while waiting for {what}; its last words:", *said])

    async def _close_clients(self) -> None:
        for client in (self._agent, self._qmp):
            with contextlib.suppress(Exception):
                await client.disconnect()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _end_loop(self, thread: threading.Thread) -> None:
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._close_clients(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join(5)
        if not thread.is_alive():
            self._loop.close()


def _spare_ports() -> List[str]:
    # An empty port with a power controller would be switched off, and what is plugged in later not be seen.
    without_power_controller = ["-global", "pcie-root-port.power_controller_present=off"]
    return without_power_controller + [arg for index in range(SPARE_PORTS) for arg in root_port_arguments(index)]


class Job:
    """A command that runs in the guest."""

    def __init__(self, guest: Guest, command: str, pid: int) -> None:
        self.guest = guest
        self.command = command
        self.pid = pid

    def poll(self) -> Optional[Result]:
        """Its result, or None while it runs. The result can be fetched once."""
        state = self.guest.agent("guest-exec-status", pid=self.pid)
        if not state["exited"]:
            return None
        texts = [base64.b64decode(state.get(key, "")).decode(errors="replace") for key in ("out-data", "err-data")]
        return Result(self.command, state.get("exitcode", 128 + state.get("signal", 0)), *texts)

    def wait(self, timeout: float = 30) -> Result:
        """Waits for the end; a command still running then is an error that shows the blocked tasks."""
        deadline = time.monotonic() + timeout
        # The agent tells nobody when a command ends: it must be asked, soon at first and then less often.
        for pause in itertools.chain((0.01, 0.02, 0.04), itertools.repeat(0.08, 10), itertools.repeat(0.2)):
            result = self.poll()
            if result is not None:
                return result
            if time.monotonic() > deadline:
                break
            time.sleep(pause)
        raise GuestFailure(f"in the guest, `{self.command}` did not end within {timeout:g} s\n"
                           + self.guest.describe_hang())

