"""The self-test: a table of checks of this machine, its devices and its peers. No check moves anything.

Every check has a bound, and none can take the others down: what it did not expect is its own failure. What the running
service holds is not touched: the service is asked instead.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import trio

from firmware_app.config import Config, NodeConfig
from firmware_app.config.schema import SERVICE_OF_TABLE, service_of
from firmware_app.config.tls_files import expiry_findings, tls_findings
from firmware_app.console.protocol import Failure
from firmware_app.net.errors import NetworkError, NoUsableContext
from firmware_app.net.interface import InterfaceError, ipv4_address
from firmware_app.net.node import ANY_ADDRESS, Node, Timeouts
from firmware_app.net.transport import connect
from firmware_app.net.verification import echo
from firmware_app.profiles import Profile
from firmware_app.records.errors import StorageFault
from firmware_app.records.rebuild_report import unacknowledged
from firmware_app.services.calibration import Calibrations
from firmware_app.services.causes import in_one_line
from firmware_app.services.devices import open_camera, open_stage
from firmware_app.services.kernel_clock import is_synchronised
from firmware_app.services.peers import contexts_of, local_entity, node_of
from firmware_app.services.records_keeping import NOT_ACKNOWLEDGED
from firmware_app.services.running_service import NoService, ask_service
from firmware_app.services.scale import scale_of
from hw.abc import Identity
from hw.errors import DeviceError
from hw.usb_identity import PREFIX

Verdict = Literal["pass", "fail", "skip"]

# An exam has about 10 MB: room for a hundred until somebody looks.
FREE_MIN_BYTES = 1 << 30
# The year of the first release, and one in which 32-bit seconds are over: a clock without a battery is outside.
FIRST_YEAR, LAST_YEAR = 2025, 2105
CERTIFICATE_NOTICE = timedelta(days=30)
NODE_WAIT_S = 5.0  # each wait on a peer; a node's own bounds are for a busy archive, not for somebody who watches
CHECK_S = 20.0  # a check that waits on several things one after the other
SAMPLES = {"Japanese": "山田やまだﾔﾏﾀﾞ", "Chinese": "王小东", "Korean": "홍길동"}


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the self-test."""

    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the checks look at beside the configuration: the real world, unless a test has another."""

    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    is_synchronised: Callable[[], bool] = is_synchronised
    address_of: Callable[[str], str] = ipv4_address
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


@dataclass(slots=True)
class Bench:
    """What a check may draw on. `service` is what the running service said of itself, None where none runs."""

    config: Config
    profile: Profile
    surroundings: Surroundings = field(default_factory=Surroundings)
    service: dict[str, Any] | None = None

    @property
    def source_address(self) -> str:
        try:
            return self.surroundings.address_of(self.config.network.interface)
        except InterfaceError:
            return ANY_ADDRESS


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    run: Callable[[Bench], Awaitable[Outcome]]
    limit_s: float = CHECK_S


def passed(reason: str) -> Outcome:
    return Outcome("pass", reason)


def failed(reason: str) -> Outcome:
    return Outcome("fail", reason)


def skipped(reason: str) -> Outcome:
    return Outcome("skip", reason)


async def run_checks(checks: tuple[Check, ...], bench: Bench) -> AsyncGenerator[Result, None]:
    """One result a check, in their order, as they come; raises nothing but for cancellation."""
    for check in checks:
        outcome = failed(f"no answer within {check.limit_s:g} s")
        try:
            with trio.move_on_after(check.limit_s):
                outcome = await check.run(bench)
        except Exception as error:  # noqa: BLE001 - a broken check is a failed one, and must not hide the others
            outcome = failed(f"the check itself broke: {type(error).__name__}: {in_one_line(error)}")
        yield Result(check.name, outcome.verdict, " ".join(outcome.reason.split()))


def checks_of(config: Config, profile: Profile) -> tuple[Check, ...]:
    """The table: the service first, because later checks ask it."""
    return (
        Check("service", check_service),
        Check("health", check_health),
        Check("profile", check_profile),
        Check("clock", check_clock),
        Check("disk", check_disk),
        Check("records", check_records),
        Check("interface", check_interface),
        Check("port", check_port),
        Check("tls", check_tls),
        Check("fonts", check_fonts),
        Check("stage", partial(check_device, "stage", config.stage, open_stage)),
        Check("camera", partial(check_device, "camera", config.camera, open_camera)),
        Check("calibration", check_calibration),
        *(
            Check(f"node.{name}", partial(check_node, name, table))
            for name, table in config.node_tables().items()
            if service_of(name) in profile.application_entity and (table.host or name not in SERVICE_OF_TABLE)
        ),
    )


# ------------------------------------------------------------------------------------------------ service, profile


async def check_service(bench: Bench) -> Outcome:
    """Whether one runs decides how the devices and our port are checked; none is no failure."""
    try:
        answer = await ask_service(bench.config.paths.console_socket, "status")
    except NoService as error:
        return skipped(f"{error}: devices and port are tried directly")
    if isinstance(answer, Failure):
        return failed(f"the service does not tell its status: {answer.error}")
    bench.service = answer.data or {}
    said, ours = bench.service.get("profile"), bench.config.profile
    if said != ours:
        return failed(f"the running service has the profile {said}, this configuration {ours}")
    return passed(f"specular {bench.service.get('version')} runs on {bench.service.get('address')}")


async def check_health(bench: Bench) -> Outcome:
    """What the running service says of its own parts."""
    if bench.service is None:
        return skipped("no service runs")
    health = bench.service.get("health") or {}
    if not health.get("well"):
        return failed(str(health.get("watchdog_withheld") or "the service does not tell its health"))
    lag_ms = health.get("recent_loop_lag_ms", 0.0)
    return passed(f"all {len(health.get('parts', ()))} parts get on; worst loop lag lately {lag_ms:.1f} ms")


async def check_profile(bench: Bench) -> Outcome:
    services = ", ".join(name.replace("_", " ") for name in bench.profile.application_entity)
    return passed(f"{bench.profile.name}: {services}")


# ------------------------------------------------------------------------------------------------ machine


async def check_clock(bench: Bench) -> Outcome:
    now = bench.surroundings.now()
    if not FIRST_YEAR <= now.year <= LAST_YEAR:
        return failed(f"the year {now.year} cannot be")
    try:
        synchronised = bench.surroundings.is_synchronised()
    except OSError as error:
        return skipped(f"the kernel does not tell whether it is synchronised: {error.strerror}")
    if not synchronised:
        return failed("nobody synchronises it: exam times drift (is a time server configured?)")
    return passed(f"synchronised, {now.isoformat(timespec='seconds')}")


async def check_disk(bench: Bench) -> Outcome:
    folder = Path(bench.config.paths.state)
    try:
        free = await trio.to_thread.run_sync(_write_and_measure, folder, bench.surroundings, abandon_on_cancel=True)
    except OSError as error:
        return failed(f"{folder} cannot be written: {error.strerror or error}")
    words = f"{folder} is writable, {free / (1 << 30):.1f} GiB free"
    if free < FREE_MIN_BYTES:
        return failed(f"{words}: less than {FREE_MIN_BYTES / (1 << 30):g} GiB")
    return passed(words)


def _write_and_measure(folder: Path, surroundings: Surroundings) -> int:
    """One file to the disk and away again, as the records write theirs. Returns the free bytes."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".selftest-") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    return surroundings.free_bytes(folder)


async def check_records(bench: Bench) -> Outcome:
    """Whether the database had to be rebuilt and nobody has said that he knows; read beside a running service."""
    folder = Path(bench.config.paths.state)
    try:
        reports = await trio.to_thread.run_sync(unacknowledged, folder, abandon_on_cancel=True)
    except StorageFault as error:
        return failed(str(error))
    if reports:
        return failed("; ".join(f"{report.short}; {NOT_ACKNOWLEDGED}" for report in reports))
    return passed("no rebuild of the database is waiting to be acknowledged")


async def check_interface(bench: Bench) -> Outcome:
    name = bench.config.network.interface
    try:
        address = bench.surroundings.address_of(name)
    except InterfaceError as error:
        return failed(str(error))
    wanted = bench.config.instrument.ip_address
    if wanted and wanted != address:
        return failed(f"instrument.ip_address is {wanted}, but network.interface {name!r} has {address}")
    return passed(f"{name} has {address}")


async def check_port(bench: Bench) -> Outcome:
    port = bench.config.instrument.port
    if "listener" not in bench.profile.application_entity:
        return skipped(f"the profile {bench.profile.name} accepts no association")
    if not port:
        return skipped("not listening: instrument.port is 0")
    if bench.service is not None:
        said = str(bench.service.get("listener", ""))
        return passed(f"held by the service: {said}") if f":{port} " in said and "cannot" not in said else failed(said)
    address = bench.source_address
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return failed(f"{address}:{port} cannot be listened on: {PORT_REASONS.get(error.errno, error.strerror)}")
    return passed(f"{address}:{port} is free")


PORT_REASONS: dict[int | None, str] = {
    errno.EADDRINUSE: "another program has it",
    errno.EACCES: "a port below 1024 needs CAP_NET_BIND_SERVICE",
}


async def check_tls(bench: Bench) -> Outcome:
    config = bench.config
    tables = [name for name, node in config.nodes().items() if node.tls] + ["instrument"] * bool(config.instrument.tls)
    if not tables:
        return skipped("not configured")
    now = bench.surroundings.now()
    wrong = [*tls_findings(config), *expiry_findings(config, now)]
    if wrong:
        return failed("; ".join(f"{finding.key}: {finding.text}" for finding in wrong))
    soon = [f"{finding.key}: {finding.text}" for finding in expiry_findings(config, now, CERTIFICATE_NOTICE)]
    return passed("; ".join(soon) or f"the files of {', '.join(tables)} are good")


async def check_fonts(bench: Bench) -> Outcome:
    missing = await trio.to_thread.run_sync(_undrawable, abandon_on_cancel=True)
    if missing:
        return failed(f"no font for {', '.join(missing)}: such names cannot be drawn into reports")
    return passed(f"{', '.join(SAMPLES)} can be drawn")


def _undrawable() -> list[str]:
    from firmware_app.report.typeface import can_draw

    return [language for language, sample in SAMPLES.items() if not can_draw(sample)]


# ------------------------------------------------------------------------------------------------ devices


class Identified(Protocol):
    @property
    def identity(self) -> Identity: ...


async def check_device(
    name: str,
    config: Any,
    open_device: Callable[[Any], AbstractAsyncContextManager[Identified]],
    bench: Bench,
) -> Outcome:
    """The port, then who answers on it. A device that the service holds is left alone."""
    if config is None:
        return skipped("not fitted: the configuration has no such table")
    is_searched = config.port.startswith(PREFIX) or config.kind == "folder"  # what there is no node of is opened
    trouble = "" if is_searched else _port_trouble(config.port)
    if trouble:
        return failed(trouble)
    if bench.service is not None:
        return _as_the_service_says(name, bench.service)
    try:
        async with open_device(config) as device:
            return passed(f"{device.identity.label} ({device.identity.firmware})")
    except* DeviceError as group:
        reason = in_one_line(group)
    return failed(reason)


def _port_trouble(port: str) -> str:
    try:
        mode = Path(port).stat().st_mode
    except OSError as error:
        return f"{port}: {error.strerror}"
    return "" if stat.S_ISCHR(mode) else f"{port} is no device"


def _as_the_service_says(name: str, service: dict[str, Any]) -> Outcome:
    for device in service.get("devices", ()):
        if device.get("name") == name:
            words = f"the service says {device.get('state')}: {device.get('detail')}"
            return passed(words) if device.get("state") == "ready" else failed(words)
    return failed("the running service has none")


async def check_calibration(bench: Bench) -> Outcome:
    """What is on record, whether or not a service runs. A scale that is only stated is no failure, and says so."""
    if bench.config.camera is None:
        return skipped("no camera is fitted")
    book = await trio.to_thread.run_sync(Calibrations, bench.config, bench.surroundings.now, abandon_on_cancel=True)
    scale = scale_of(book.latest_camera(), book.nominal_um_per_px)
    if warnings := book.warnings():
        return failed(f"{scale.words}; {'; '.join(warnings)}")
    return failed(scale.words) if scale.um_per_px is None else passed(scale.words)


# ------------------------------------------------------------------------------------------------ nodes


async def check_node(name: str, table: NodeConfig, bench: Bench) -> Outcome:
    """C-ECHO where the profile has verification, otherwise no more than a connection."""
    if not table.host:
        return skipped("not configured")
    node = _impatient(node_of(name, table))
    try:
        if "verification" not in bench.profile.application_entity:
            return await _connection(node, bench)
        return await _echo(node, bench)
    except NetworkError as error:
        return failed(str(error))


def _impatient(node: Node) -> Node:
    waits = node.timeouts
    bounds = {name: min(getattr(waits, name), NODE_WAIT_S) for name in Timeouts.__slots__}
    return replace(node, timeouts=Timeouts(**bounds))


async def _connection(node: Node, bench: Bench) -> Outcome:
    transport = await connect(node, bench.source_address)
    transport.close()
    why = f"the profile {bench.profile.name} declares no verification"
    return passed(f"{node.label}: a TCP connection stands; no C-ECHO, because {why}")


async def _echo(node: Node, bench: Bench) -> Outcome:
    local = local_entity(bench.config, bench.profile, bench.source_address, "verification")
    try:
        result = await echo(node, local, contexts=contexts_of(bench.profile, "verification"))
    except NoUsableContext:
        return passed(f"{node.label}: takes our association; offers no verification")
    over = f" over {result.security}" if result.security else ""
    return passed(f"{node.label}: C-ECHO in {1000 * result.seconds:.0f} ms{over}")
