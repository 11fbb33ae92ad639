"""The service: opens the one nursery, starts the services that `instrument` is made of, ends them in order.

READY is said as soon as records and console stand: a missing device, archive or information system stops nobody.
pydicom and Pillow are imported by the tasks that need them, after READY (0.4 s of imports on an SBC).
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog
import trio

from firmware_app import __version__
from firmware_app.config import Config
from firmware_app.console.server import serve_console
from firmware_app.instrument import Instrument, now
from firmware_app.model import Event
from firmware_app.net.interface import InterfaceError, ipv4_address
from firmware_app.profiles import Profile, load_profile
from firmware_app.progress import ProgressTable, idle
from firmware_app.records.errors import DatabaseDamaged
from firmware_app.records.store import open_records
from firmware_app.services.allocator import settle_allocator
from firmware_app.services.audit import EVENTS_MAX as AUDIT_EVENTS_MAX
from firmware_app.services.causes import causes
from firmware_app.services.certificates import watch_certificates
from firmware_app.services.commands import EXPECTED
from firmware_app.services.contacts import EVENTS_MAX as CONTACT_EVENTS_MAX
from firmware_app.services.devices import open_camera, open_stage
from firmware_app.services.handed_over import HandedOver, take_over
from firmware_app.services.log import configure_log, last_words, run_log
from firmware_app.services.notify import sd_notify
from firmware_app.services.opening_progress import OpeningProgress
from firmware_app.services.peers import node_of

# SIGTERM to exit takes at most 5 s: what is being measured may finish, what is being sent is tried again after restart.
ANALYSIS_GRACE_S = 2.0
DELIVERY_GRACE_S = 1.0
# A disk that damages what was just rebuilt is not helped by rebuilding it for ever.
REBUILDS_MAX = 3


class CannotStart(Exception):
    """The configuration does not fit this machine; the text names the key and what the machine has."""


def run_service(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Raises `CannotStart`, `records.RecordsError` or `console.ConsoleUnavailable`.

    A database that is found damaged meanwhile ends everything in order and begins anew, with a rebuild.
    """
    settle_allocator()
    configure_log(config.log.level, config.log.patient_data)
    last_words()
    handed_over = take_over()
    for rebuilds in itertools.count(1):
        try:
            trio.run(serve, config, handed_over)
            break
        except BaseException as error:
            damage = next((cause for cause in causes(error) if isinstance(cause, DatabaseDamaged)), None)
            if damage is None:
                raise
            if rebuilds == REBUILDS_MAX:
                raise damage from error
            structlog.get_logger().critical("service.beginning_anew", text=str(damage))
    return 0


class ServiceGroup:
    """Services that end together; ending one group after another is what makes the shutdown orderly.

    Each is a part of `table`, by its name: whether it gets on, and whether it has ended by itself, is seen there.
    """

    def __init__(self, nursery: trio.Nursery, table: ProgressTable) -> None:
        self._nursery = nursery
        self._table = table
        self._running: set[trio.CancelScope] = set()
        self._ended = trio.Event()

    def start_soon(self, name: str, service: Callable[..., Awaitable[object]], *args: object) -> None:
        self._nursery.start_soon(partial(self._run, name, self._new_scope(), service, args), name=name)

    async def start(self, name: str, service: Callable[..., Awaitable[object]], *args: object) -> None:
        """Return when the service says that it has started."""
        await self._nursery.start(partial(self._run, name, self._new_scope(), service, args), name=name)

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
        name: str,
        scope: trio.CancelScope,
        service: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        **task_status: object,
    ) -> None:
        try:
            with scope, self._table.part(name):
                await service(*args, **task_status)
        finally:
            self._running.remove(scope)
            self._ended.set()
            self._ended = trio.Event()


async def serve(config: Config, handed_over: HandedOver) -> None:
    """The instrument, from opening the records to closing them. Raises as `run_service`."""
    address = own_address(config)
    profile = load_profile(config.profile)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        progress = OpeningProgress()
        opening = open_records(
            Path(config.paths.state), clock=now, default_node=default_node(config, profile), progress=progress
        )
        async with opening as records, trio.open_nursery() as nursery:
            progress.over()
            instrument = Instrument(config, profile, address, records, handed_over)
            with (
                instrument.bus.subscribe(patient_data=True) as events,
                instrument.bus.subscribe(CONTACT_EVENTS_MAX) as contacts,
                instrument.bus.subscribe(AUDIT_EVENTS_MAX, patient_data=True) as audited,
            ):
                watching, hardware, delivery, analysis, front = (
                    ServiceGroup(nursery, instrument.progress) for _ in range(5)
                )
                watching.start_soon("log", run_log, events)
                watching.start_soon("node contacts", instrument.contacts.run, contacts)
                watching.start_soon("log tail", instrument.log_tail.run)
                watching.start_soon("memory", instrument.memory.run)
                watching.start_soon("audit trail", instrument.audit.run, audited)
                watching.start_soon("audit sending", instrument.audit_sending.run)
                watching.start_soon("sessions", instrument.sessions.run)
                watching.start_soon("event loop", instrument.lag.run)
                watching.start_soon("records keeping", instrument.keeping.run)
                watching.start_soon("certificates", watch_certificates, config, now, instrument.bus.publish)
                start_hardware(hardware, instrument)
                analysis.start_soon("analysis", instrument.analyse)
                analysis.start_soon("measurement keeping", instrument.keep_measurements)
                watching.start_soon("late imports", instrument.late_imports.run)
                start_delivery(delivery, instrument)
                front.start_soon("worklist", instrument.late_imports.then, instrument.worklist.run)
                front.start_soon("own port", instrument.listener.run)
                await front.start("console", open_console, instrument)
                watching.start_soon("watchdog", instrument.watchdog.run)
                watching.start_soon("working order", instrument.order.run)
                instrument.bus.publish(Event("service.ready", f"specular {__version__} ready on {address}"))
                sd_notify(f"READY=1\nSTATUS=specular {__version__} on {address}")
                await told_to_end(signals, instrument)
                await front.end()
                await instrument.captures_in.aclose()
                await analysis.end(ANALYSIS_GRACE_S)
                await delivery.end(DELIVERY_GRACE_S)
                await hardware.end()
                await watching.end()
                if records.damage is not None:
                    raise records.damage


async def told_to_end(signals: AsyncIterator[int], instrument: Instrument) -> None:
    """Wait for a signal, or for damage to the database, and say what ends now."""
    async with trio.open_nursery() as waiting:
        waiting.start_soon(_cancel_when, instrument.records.is_damaged, waiting.cancel_scope)
        await anext(signals)
        waiting.cancel_scope.cancel()
    if instrument.records.damage is not None:
        text = f"{instrument.records.damage}; the service begins anew and rebuilds it, what was captured is safe"
        instrument.bus.publish(Event("records.damaged", text, level="alert"))
    else:
        sd_notify("STOPPING=1")
    instrument.progress.is_ending = True
    order = "console, analysis, delivery, hardware, records"
    instrument.bus.publish(Event("service.stopping", f"ending: {order}"))


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def default_node(config: Config, profile: Profile) -> str:
    """Where instances go by themselves; empty for nowhere."""
    is_sent = config.storage.host and config.storage.automatic and "storage" in profile.application_entity
    return node_of("storage", config.storage).name if is_sent else ""


def start_delivery(group: ServiceGroup, instrument: Instrument) -> None:
    """What speaks to the nodes by itself, as soon as its imports are there."""
    for name, service in (
        *instrument.deliveries(),
        ("performed procedure steps", instrument.mpps.run),
        *instrument.askers(),
        ("print", instrument.printing.run),
    ):
        group.start_soon(name, instrument.late_imports.then, service)
    group.start_soon("retention", instrument.retention.run)


async def open_console(instrument: Instrument, *, task_status: trio.TaskStatus[Path]) -> None:
    path = instrument.config.paths.console_socket
    commands, subscribe = instrument.commands(), instrument.bus.subscribe
    with idle("clients"):
        await serve_console(
            path,
            commands,
            subscribe,
            expected=EXPECTED,
            observe=instrument.console_used,
            handed_over=instrument.handed_over.console(path),
            task_status=task_status,
        )


def start_hardware(group: ServiceGroup, instrument: Instrument) -> None:
    """One supervising task per device that is fitted; the others' slots say that they are not configured."""
    stage, camera = instrument.config.stage, instrument.config.camera
    if stage is not None:
        lights = instrument.lights
        open_it = partial(open_stage, stage, lights.restore, lights.put_out)
        group.start_soon("stage", instrument.stage.supervise, open_it, instrument.bus.publish)
        group.start_soon("lights", lights.run)
    if camera is not None:
        group.start_soon("camera", instrument.camera.supervise, partial(open_camera, camera), instrument.bus.publish)
    if stage is not None or camera is not None:
        group.start_soon("new devices", instrument.hotplug.run)


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
