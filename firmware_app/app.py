"""The service: opens the one nursery, starts the services that `instrument` is made of, ends them in order.

READY is said as soon as records and console stand: a missing device, archive or information system stops nobody.
pydicom and Pillow are imported by the tasks that need them, after READY (0.4 s of imports on an SBC).
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from firmware_app import __version__
from firmware_app.config import Config
from firmware_app.console.server import serve_console
from firmware_app.instrument import Instrument, now
from firmware_app.model import Event
from firmware_app.net.interface import InterfaceError, ipv4_address
from firmware_app.profiles import load_profile
from firmware_app.records.store import open_records
from firmware_app.services.allocator import settle_allocator
from firmware_app.services.certificates import watch_certificates
from firmware_app.services.commands import EXPECTED
from firmware_app.services.devices import open_camera, open_stage
from firmware_app.services.health import run_watchdog
from firmware_app.services.log import configure_log, run_log
from firmware_app.services.notify import sd_notify

# SIGTERM to exit takes at most 5 s: what is being measured may finish, what is being sent is tried again after restart.
ANALYSIS_GRACE_S = 2.0
DELIVERY_GRACE_S = 1.0


class CannotStart(Exception):
    """The configuration does not fit this machine; the text names the key and what the machine has."""


def run_service(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Raises `CannotStart`, `records.RecordsError` or `console.ConsoleUnavailable`."""
    settle_allocator()
    configure_log(config.log.level)
    trio.run(serve, config)
    return 0


class ServiceGroup:
    """Services that end together; ending one group after another is what makes the shutdown orderly."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._running: set[trio.CancelScope] = set()
        self._ended = trio.Event()

    def start_soon(self, service: Callable[..., Awaitable[object]], *args: object) -> None:
        self._nursery.start_soon(partial(self._run, self._new_scope(), service, args), name=_name(service))

    async def start(self, service: Callable[..., Awaitable[object]], *args: object) -> None:
        """Return when the service says that it has started."""
        await self._nursery.start(partial(self._run, self._new_scope(), service, args), name=_name(service))

    async def end(self, grace_s: float = 0.0) -> None:
        """Wait for the services to end by themselves, cancel them after the grace, and return when they have."""
        for scope in self._running:
            scope.deadline = trio.current_time() + grace_s
        while self._running:
            await self._ended.wait()

    def _new_scope(self) -> trio.CancelScope:
        scope = trio.CancelScope()
        self._running.add(scope)
        return scope

    async def _run(
        self,
        scope: trio.CancelScope,
        service: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        **task_status: object,
    ) -> None:
        try:
            with scope:
                await service(*args, **task_status)
        finally:
            self._running.remove(scope)
            self._ended.set()
            self._ended = trio.Event()


def _name(service: Callable[..., Awaitable[object]]) -> str:
    return getattr(service, "__qualname__", repr(service))


async def serve(config: Config) -> None:
    """The instrument, from opening the records to closing them. Raises as `run_service`."""
    address = own_address(config)
    profile = load_profile(config.profile)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_records(Path(config.paths.state), clock=now) as records, trio.open_nursery() as nursery:
            instrument = Instrument(config, profile, address, records)
            with instrument.bus.subscribe() as events:
                watching, hardware, delivery, analysis, front = (ServiceGroup(nursery) for _ in range(5))
                watching.start_soon(run_log, events)
                watching.start_soon(instrument.lag.run)
                watching.start_soon(watch_certificates, config, now, instrument.bus.publish)
                start_hardware(hardware, instrument)
                analysis.start_soon(instrument.analyse)
                analysis.start_soon(instrument.keep_measurements)
                watching.start_soon(instrument.late_imports.run)
                for service in (instrument.deliver, instrument.mpps.run, instrument.commitment.run):
                    delivery.start_soon(instrument.late_imports.then, service)
                delivery.start_soon(instrument.late_imports.then, instrument.printing.run)
                front.start_soon(instrument.late_imports.then, instrument.worklist.run)
                front.start_soon(instrument.listener.run)
                await front.start(open_console, instrument)
                watching.start_soon(run_watchdog)
                instrument.bus.publish(Event("service.ready", f"specular {__version__} ready on {address}"))
                sd_notify(f"READY=1\nSTATUS=specular {__version__} on {address}")
                await signals.__anext__()
                sd_notify("STOPPING=1")
                order = "console, analysis, delivery, hardware, records"
                instrument.bus.publish(Event("service.stopping", f"ending: {order}"))
                await front.end()
                await instrument.captures_in.aclose()
                await analysis.end(ANALYSIS_GRACE_S)
                await delivery.end(DELIVERY_GRACE_S)
                await hardware.end()
                await watching.end()


async def open_console(instrument: Instrument, *, task_status: trio.TaskStatus[Path]) -> None:
    path = Path(instrument.config.paths.runtime) / "console.sock"
    commands, subscribe = instrument.commands(), instrument.bus.subscribe
    await serve_console(path, commands, subscribe, expected=EXPECTED, task_status=task_status)


def start_hardware(group: ServiceGroup, instrument: Instrument) -> None:
    """One supervising task per device that is fitted; the others' slots say that they are not configured."""
    stage, camera = instrument.config.stage, instrument.config.camera
    if stage is not None:
        group.start_soon(
            instrument.stage.supervise, partial(open_stage, stage, instrument.lights.restore), instrument.bus.publish
        )
        group.start_soon(instrument.lights.run)
    if camera is not None:
        group.start_soon(instrument.camera.supervise, partial(open_camera, camera), instrument.bus.publish)
    if stage is not None or camera is not None:
        group.start_soon(instrument.hotplug.run)


def own_address(config: Config) -> str:
    """The address of the one interface; `instrument.ip_address`, where given, must be that one."""
    try:
        address = ipv4_address(config.network.interface)
    except InterfaceError as error:
        raise CannotStart(str(error)) from error
    wanted = config.instrument.ip_address
    if wanted and wanted != address:
        raise CannotStart(
            f"instrument.ip_address is {wanted}, but network.interface {config.network.interface!r} has {address}"
        )
    return address
