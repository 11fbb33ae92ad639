"""The service: opens the one nursery, makes the channels, starts the services, ends them in order.

READY is said as soon as records and console stand: a missing device, archive or information system stops nobody.
pydicom and Pillow are imported by the tasks that need them, after READY (0.4 s of imports on an SBC).
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from firmware_app import __version__
from firmware_app.config import CameraConfig, Config
from firmware_app.console.commands import CommandTable
from firmware_app.console.server import serve_console
from firmware_app.model import Event, Exam, Eye
from firmware_app.net.interface import InterfaceError, ipv4_address
from firmware_app.profiles import Profile, load_profile
from firmware_app.records.store import Records, open_records
from firmware_app.services.analysis import Analysed, run_analysis
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.capture import Captured, CaptureService
from firmware_app.services.certificates import watch_certificates
from firmware_app.services.commands import EXPECTED, Commands
from firmware_app.services.decompression import decompress
from firmware_app.services.delivery import run_delivery, send_in_order
from firmware_app.services.events import EventBus
from firmware_app.services.exam import ExamService, run_recorder, wake
from firmware_app.services.hardware import DeviceSlot, DeviceStatus
from firmware_app.services.health import LoopLag, run_watchdog
from firmware_app.services.listening import ListenerService
from firmware_app.services.log import configure_log, run_log
from firmware_app.services.notify import sd_notify
from firmware_app.services.patients import PatientQueryService
from firmware_app.services.patients_commands import PatientCommands
from firmware_app.services.peers import Entities, listener_rules, listener_tls, node_of
from firmware_app.services.status import StatusService
from firmware_app.services.worklist import WorklistService
from hw.abc import Camera, Stage
from hw.grbl.stage import GrblSettings, open_grbl
from hw.serial_camera.camera import open_serial_camera

if TYPE_CHECKING:
    from firmware_app.services.deliverables import Deliverable, Drawn

# SIGTERM to exit takes at most 5 s: what is being measured may finish, what is being sent is tried again after restart.
ANALYSIS_GRACE_S = 2.0
DELIVERY_GRACE_S = 1.0


class CannotStart(Exception):
    """The configuration does not fit this machine; the text names the key and what the machine has."""


def run_service(config: Config) -> int:
    """Run until SIGTERM or SIGINT. Raises `CannotStart`, `records.RecordsError` or `console.ConsoleUnavailable`."""
    configure_log(config.log.level)
    trio.run(serve, config)
    return 0


def now() -> datetime:
    """Local time with its offset: exam times are the clinic's, and never ambiguous."""
    return datetime.now().astimezone()


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


class Service:
    """Everything that lives as long as the nursery, wired together by channels."""

    def __init__(self, config: Config, profile: Profile, address: str, records: Records) -> None:
        self.config = config
        self.records = records
        self.entities = Entities(config, profile, address)
        self.bus = EventBus()
        self.lag = LoopLag()
        self.stage: DeviceSlot[Stage] = DeviceSlot("stage", now)
        self.camera: DeviceSlot[Camera] = DeviceSlot("camera", now)
        self.captures_in, self.captures_out = trio.open_memory_channel[Captured](2)
        self.analysed_in, self.analysed_out = trio.open_memory_channel[Analysed](0)
        self.wake_delivery, self.delivery_wake = trio.open_memory_channel[None](1)
        self.storage = node_of("storage", config.storage) if config.storage.host else None
        self.storage_ae = self.entities["storage"]
        self.storage_contexts = self.entities.contexts("storage")
        self.capture = CaptureService(config, self.stage, self.camera, records, self.captures_in, self.bus.publish)
        self.exams = ExamService(
            Path(config.paths.state),
            records,
            self.capture,
            partial(write_deliverables, config, profile),
            self.storage.name if self.storage else "",
            self.wake_delivery,
            now,
            self.bus.publish,
        )
        self.worklist = WorklistService(
            node_of("worklist", config.worklist) if config.worklist.host else None,
            self.entities["worklist"],
            self.entities.contexts("worklist"),
            profile.worklist_keys,
            config.worklist.scheduled_station_ae_title,
            config.worklist.modality,
            config.worklist.refresh_interval_s,
            now,
            self.bus.publish,
            profile.character_sets,
        )
        self.patients = PatientQueryService.configured(config, self.entities, now, self.bus.publish)
        is_listening = "listener" in self.entities
        self.listener = ListenerService(
            self.entities["listener" if is_listening else "storage"],
            config.instrument.port if is_listening else 0,
            listener_rules(config),
            self.bus.publish,
            tls=listener_tls(config.instrument.tls),
        )
        self.status = StatusService(
            config.profile,
            address,
            self._devices,
            self.listener,
            self.capture,
            self.exams,
            self.worklist,
            records,
            self.lag,
        )

    def commands(self) -> CommandTable:
        handlers = Commands(
            self.status,
            self.worklist,
            self.capture,
            self.exams,
            self.records,
            partial(wake, self.wake_delivery),
            self.config.instrument.operator,
        )
        patients = PatientCommands(self.patients, self.exams, self.config.instrument.operator)
        return CommandTable((*handlers.table(), *patients.table()))

    def _devices(self) -> tuple[DeviceStatus, ...]:
        return tuple(
            slot.status
            for slot, fitted in ((self.stage, self.config.stage), (self.camera, self.config.camera))
            if fitted is not None
        )


async def serve(config: Config) -> None:
    """The instrument, from opening the records to closing them. Raises as `run_service`."""
    address = own_address(config)
    profile = load_profile(config.profile)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_records(Path(config.paths.state), clock=now) as records, trio.open_nursery() as nursery:
            service = Service(config, profile, address, records)
            with service.bus.subscribe() as events:
                watching, hardware, delivery, analysis, front = (ServiceGroup(nursery) for _ in range(5))
                watching.start_soon(run_log, events)
                watching.start_soon(service.lag.run)
                watching.start_soon(watch_certificates, config, now, service.bus.publish)
                start_hardware(hardware, service)
                analysis.start_soon(run_analysis, service.captures_out, service.analysed_in, service.bus.publish)
                analysis.start_soon(run_recorder, service.analysed_out, records, service.exams, service.bus.publish)
                delivery.start_soon(deliver, service)
                front.start_soon(service.worklist.run)
                front.start_soon(service.listener.run)
                await front.start(open_console, service)
                watching.start_soon(run_watchdog)
                service.bus.publish(Event("service.ready", f"specular {__version__} ready on {address}"))
                sd_notify(f"READY=1\nSTATUS=specular {__version__} on {address}")
                await signals.__anext__()
                sd_notify("STOPPING=1")
                service.bus.publish(Event("service.stopping", "ending: console, analysis, delivery, hardware, records"))
                await front.end()
                await service.captures_in.aclose()
                await analysis.end(ANALYSIS_GRACE_S)
                await delivery.end(DELIVERY_GRACE_S)
                await hardware.end()
                await watching.end()


async def open_console(service: Service, *, task_status: trio.TaskStatus[Path]) -> None:
    path = Path(service.config.paths.runtime) / "console.sock"
    await serve_console(path, service.commands(), service.bus.subscribe, expected=EXPECTED, task_status=task_status)


def start_hardware(group: ServiceGroup, service: Service) -> None:
    """One supervising task per device that is fitted; the others' slots say that they are not configured."""
    stage, camera = service.config.stage, service.config.camera
    if stage is not None:
        settings = GrblSettings(
            baud=stage.baud,
            steps_per_mm=stage.steps_per_mm,
            max_rate_mm_per_min=stage.max_rate_mm_per_min,
            acceleration_mm_per_s2=stage.acceleration_mm_per_s2,
            travel_mm=stage.travel_mm,
            tolerance_um=stage.tolerance_um,
            settle_s=stage.settle_s,
        )
        open_stage = partial(open_grbl, stage.port, settings, simulated=stage.simulated)
        group.start_soon(service.stage.supervise, open_stage, service.bus.publish)
    if camera is not None:
        group.start_soon(service.camera.supervise, partial(open_camera, camera), service.bus.publish)


@asynccontextmanager
async def open_camera(config: CameraConfig) -> AsyncIterator[Camera]:
    """Open and apply the configured profile: also after every loss, because a replugged camera has forgotten it."""
    async with open_serial_camera(config.port, simulated=config.simulated) as camera:
        await camera.configure(bits_stored=config.bits_stored, exposure_us=config.exposure_us)
        yield camera


async def deliver(service: Service) -> None:
    storage = service.config.storage
    if service.storage is None:
        return
    await run_delivery(
        service.records,
        service.storage,
        service.storage_ae,
        service.delivery_wake,
        service.bus.publish,
        BackoffPolicy(first_s=storage.retry_first_s, max_s=storage.retry_max_s),
        store=partial(send_in_order, contexts=service.storage_contexts, decompress=decompress),
    )


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


def write_deliverables(
    config: Config, profile: Profile, exam: Exam, results: dict[Eye, Analysed], created_at: datetime
) -> tuple[tuple[Deliverable, ...], Drawn]:
    from firmware_app.services.deliverables import build_deliverables  # pydicom and Pillow: 0.4 s, not before READY

    return build_deliverables(config, profile, exam, results, created_at)
