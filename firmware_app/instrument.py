"""What the instrument consists of: every service, made from configuration and profile and joined by channels.

A service that the profile does not declare, or that has no node, is there all the same and says why it does nothing:
screens, commands and what was queued earlier need no case of their own for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from firmware_app.config import Config, NodeConfig
from firmware_app.console.commands import Command, CommandContext, CommandTable
from firmware_app.console.protocol import Reply
from firmware_app.model import Event, Exam, Eye
from firmware_app.net.node import Node
from firmware_app.net.performer import EventReport
from firmware_app.objects.film_settings import FilmSettings
from firmware_app.profiles import Profile
from firmware_app.profiles.profile import EntityName
from firmware_app.records.errors import StorageFault
from firmware_app.records.store import Records
from firmware_app.services.alignment_commands import AlignmentCommands
from firmware_app.services.analysis import Analysed, run_analysis
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.calibration import Calibrations, CalibrationService
from firmware_app.services.calibration_commands import CalibrationCommands
from firmware_app.services.capture import Captured, CaptureService
from firmware_app.services.commands import Commands
from firmware_app.services.commitment import CommitmentPolicy, CommitmentService
from firmware_app.services.commitment_commands import CommitmentCommands
from firmware_app.services.decompression import decompress
from firmware_app.services.delivery import run_delivery, send_in_order
from firmware_app.services.editing_commands import EditingCommands
from firmware_app.services.equipment import equipment_of
from firmware_app.services.events import EventBus
from firmware_app.services.exam import ExamService, run_recorder
from firmware_app.services.hardware import DeviceSlot, DeviceStatus
from firmware_app.services.health import LoopLag
from firmware_app.services.hotplug import HotplugService
from firmware_app.services.late_imports import LateImports
from firmware_app.services.light_commands import LightCommands
from firmware_app.services.lights import LightService
from firmware_app.services.listening import ListenerService, offers_of
from firmware_app.services.mpps import MppsService
from firmware_app.services.mpps_commands import MppsCommands
from firmware_app.services.panorama_commands import PanoramaCommands
from firmware_app.services.patients import PatientQueryService
from firmware_app.services.patients_commands import PatientCommands
from firmware_app.services.peers import Entities, NotDeclared, listener_rules, listener_tls, node_of
from firmware_app.services.printing import Printer, PrintService
from firmware_app.services.printing_commands import PrintCommands
from firmware_app.services.queue_task import wake
from firmware_app.services.status import StatusService
from firmware_app.services.step_reports import StepReports, step_composer
from firmware_app.services.verification_commands import VerificationCommands
from firmware_app.services.worklist import WorklistService
from hw.abc import Camera, Stage

if TYPE_CHECKING:
    from firmware_app.services.deliverables import Deliverable, Drawn


def now() -> datetime:
    """Local time with its offset: exam times are the clinic's, and never ambiguous."""
    return datetime.now().astimezone()


class Instrument:
    """Everything that lives as long as the nursery."""

    def __init__(self, config: Config, profile: Profile, address: str, records: Records) -> None:
        self.config = config
        self.profile = profile
        self.records = records
        self.entities = Entities(config, profile, address)
        self.bus = EventBus()
        records.disk.tell = self._disk_told
        self.lag = LoopLag()
        self.late_imports = LateImports()
        self.stage: DeviceSlot[Stage] = DeviceSlot("stage", now)
        self.camera: DeviceSlot[Camera] = DeviceSlot("camera", now)
        self.hotplug = HotplugService((self.stage, self.camera), self.bus.publish)
        self.captures_in, self.captures_out = trio.open_memory_channel[Captured](2)
        self.analysed_in, self.analysed_out = trio.open_memory_channel[Analysed](0)
        self.wake_delivery, self.delivery_wake = trio.open_memory_channel[None](1)
        self.storage = self._node("storage", config.storage)
        self.mpps = self._mpps()
        self.printing = self._printing()
        self.lights = LightService(config.light, self.stage, self.bus.publish)
        self.calibrations = Calibrations(config, now)
        self.capture = CaptureService(
            config,
            self.stage,
            self.camera,
            records,
            self.captures_in,
            self.bus.publish,
            lights=self.lights,
            scale_of_frame=self.calibrations.scale,
            um_per_px=self.calibrations.um_per_px,
            show_target=self.lights.aim,
        )
        self.calibration = CalibrationService(
            self.calibrations, self.capture, self.stage, self.camera, now, self.bus.publish
        )
        self.exams = self._exams()
        self.commitment = self._commitment()
        self.worklist = self._worklist()
        self.patients = PatientQueryService.configured(config, self.entities, now, self.bus.publish)
        self.listener = self._listener()
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
            {
                "patient query": lambda: self.patients.detail,
                "performed procedure steps": lambda: self.mpps.detail,
                "storage commitment": lambda: self.commitment.detail,
                "printer": lambda: self.printing.detail,
                "calibration": lambda: self.calibrations.detail,
                "lights": lambda: self.lights.detail,
                "new devices": lambda: self.hotplug.detail,
                "disk": lambda: records.disk.detail,
            },
        )

    def commands(self) -> CommandTable:
        """Those that may need a late import wait for it; to stop the stage never waits for anything."""
        operator = self.config.instrument.operator
        by_hand = Commands(
            self.status, self.worklist, self.capture, self.exams, self.records, self._deliver_now, operator
        )
        waiting = (
            *by_hand.table(),
            *PatientCommands(self.patients, self.exams, operator).table(),
            *EditingCommands(self.exams, operator, lambda: now().isoformat(timespec="seconds")).table(),
            *MppsCommands(self.mpps, self.records.mpps).table(),
            *CommitmentCommands(self.commitment, self.records).table(),
            *PrintCommands(self.printing, self.records.print_jobs).table(),
            *PanoramaCommands(self.exams, self.records).table(),
        )
        lights = LightCommands(self.lights).table()
        calibration = CalibrationCommands(self.calibration, operator).table()
        by_itself = AlignmentCommands(self.capture, self.exams).table()
        at_once = (
            *by_hand.instrument_commands(),
            *lights,
            *calibration,
            *by_itself,
            *VerificationCommands(self.config, self.entities).table(),
        )
        return CommandTable([*at_once, *(self._after_imports(command) for command in waiting)])

    async def analyse(self) -> None:
        """Measure what is captured until the captures end."""
        await run_analysis(self.captures_out, self.analysed_in, self.bus.publish)

    async def keep_measurements(self) -> None:
        """Record what was measured until the analysis ends."""
        await run_recorder(self.analysed_out, self.records, self.exams, self.bus.publish)

    async def deliver(self) -> None:
        """Send what is queued for the archive until cancelled; nothing without one."""
        storage = self.config.storage
        if self.storage is None:
            return
        await run_delivery(
            self.records,
            self.storage,
            self.entities["storage"],
            self.delivery_wake,
            self.bus.publish,
            backoff_of(storage.retry_first_s, storage.retry_max_s),
            store=partial(send_in_order, contexts=self.entities.contexts("storage"), decompress=decompress),
            on_settled=self.commitment.wake,
        )

    def _after_imports(self, command: Command) -> Command:
        async def handle(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
            await self.late_imports.wait()
            return await command.handler(context, arguments)

        return replace(command, handler=handle)

    async def _take_report(self, report: EventReport) -> int:
        await self.late_imports.wait()
        return await self.commitment.take_report(report)

    # ------------------------------------------------------------------------------------------- the services

    def _node(self, service: EntityName, table: NodeConfig) -> Node | None:
        """The configured peer of a service that the profile declares."""
        return node_of(service, table) if table.host and service in self.entities else None

    def _why_not(self, service: EntityName) -> str:
        words = service.replace("_", " ")
        return (
            f"no {words} node is configured: {service}.ip_address, {service}.port and {service}.ae_title"
            if service in self.entities
            else f"the profile {self.profile.name} declares no {words}"
        )

    def _disk_told(self, fault: StorageFault | None) -> None:
        if fault is None:
            self.bus.publish(Event("storage.recovered", "the disk takes what is recorded again"))
        else:
            text = f"the disk refuses, nothing that it refuses is told to be kept: {fault}"
            self.bus.publish(Event("storage.refused", text, {"path": str(fault.path)}, "alert"))

    def _deliver_now(self) -> None:
        wake(self.wake_delivery)

    def _mpps(self) -> MppsService:
        table, node = self.config.mpps, self._node("mpps", self.config.mpps)
        return MppsService(
            self.records,
            node,
            self.entities["mpps"] if node else None,
            self.bus.publish,
            backoff_of(table.retry_first_s, table.retry_max_s),
            contexts=self.entities.contexts("mpps") if node else (),
            why_not=self._why_not("mpps"),
        )

    def _exams(self) -> ExamService:
        is_reported = self._node("mpps", self.config.mpps) is not None
        composer = partial(step_composer, self.config, self.profile) if is_reported else None
        return ExamService(
            Path(self.config.paths.state),
            self.records,
            self.capture,
            partial(write_deliverables, self.config, self.profile),
            self.storage.name if self.storage else "",
            self.wake_delivery,
            now,
            self.bus.publish,
            steps=StepReports(composer, self.mpps.wake, self.bus.publish),
            send_automatically=self.config.storage.automatic,
            print_accepted=self.printing.exam_finished,
            closed=self._exam_closed,
            opened=self.lights.exam_opened,
        )

    def _exam_closed(self) -> None:
        self.commitment.wake()
        self.lights.exam_closed()

    def _commitment(self) -> CommitmentService:
        table, node = self.config.commitment, self._node("commitment", self.config.commitment)
        return CommitmentService(
            self.records,
            node,
            self.entities["commitment"] if node else None,
            self.entities.contexts("commitment") if node else (),
            "storage",
            CommitmentPolicy(
                backoff=backoff_of(table.retry_first_s, table.retry_max_s),
                report_timeout_s=table.report_timeout_s,
                same_association_wait_s=table.same_association_wait_s,
            ),
            self.bus.publish,
            self._deliver_now,
            self._why_not("commitment"),
        )

    def _printing(self) -> PrintService:
        table, node = self.config.print, self._node("print", self.config.print)
        printer = None
        if node is not None and self.profile.print is not None:
            printer = Printer(
                node,
                self.entities["print"],
                self.entities.contexts("print"),
                self.profile.print,
                FilmSettings.configured(table),
                table.automatic,
                backoff_of(table.retry_first_s, table.retry_max_s),
                equipment_of(self.config, self.profile) if table.caption else None,
            )
        state_dir, why_not = Path(self.config.paths.state), self._why_not("print")
        return PrintService(self.records, state_dir, printer, self.bus.publish, why_not=why_not)

    def _worklist(self) -> WorklistService:
        table = self.config.worklist
        return WorklistService(
            self._node("worklist", table),
            self.entities["worklist"],
            self.entities.contexts("worklist"),
            self.profile.worklist_keys,
            table.scheduled_station_ae_title,
            table.modality,
            table.refresh_interval_s,
            now,
            self.bus.publish,
            self.profile.character_sets,
        )

    def _listener(self) -> ListenerService:
        rules, tls = listener_rules(self.config), listener_tls(self.config.instrument.tls)
        port, on_event = self.config.instrument.port, self._take_report
        try:
            local, offers = self.entities["listener"], offers_of(self.profile)
        except NotDeclared as error:
            return ListenerService(None, port, rules, self.bus.publish, on_event, tls, offers=(), why_not=str(error))
        return ListenerService(local, port, rules, self.bus.publish, on_event, tls, offers=offers)

    def _devices(self) -> tuple[DeviceStatus, ...]:
        return tuple(
            slot.status
            for slot, fitted in ((self.stage, self.config.stage), (self.camera, self.config.camera))
            if fitted is not None
        )


def backoff_of(first_s: float, max_s: float) -> BackoffPolicy:
    return BackoffPolicy(first_s=first_s, max_s=max_s)


def write_deliverables(
    config: Config, profile: Profile, exam: Exam, results: dict[Eye, Analysed], created_at: datetime
) -> tuple[tuple[Deliverable, ...], Drawn]:
    from firmware_app.services.deliverables import build_deliverables  # pydicom and Pillow: 0.4 s, not before READY

    return build_deliverables(config, profile, exam, results, created_at)
