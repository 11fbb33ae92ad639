"""What the instrument consists of: every service, made from configuration and profile and joined by channels.

A service that the profile does not declare, or that has no node, is there all the same and says why it does nothing:
screens, commands and what was queued earlier need no case of their own for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from firmware_app import __version__
from firmware_app.config import Config, NodeConfig
from firmware_app.config.schema import CommitmentConfig
from firmware_app.console.commands import Command, CommandContext, CommandTable
from firmware_app.console.protocol import Reply
from firmware_app.console.server import ConsoleUser
from firmware_app.model import Event, Exam, Eye
from firmware_app.net.node import Node
from firmware_app.net.performer import EventReport
from firmware_app.objects.film_settings import FilmSettings
from firmware_app.profiles import Profile
from firmware_app.profiles.profile import EntityName
from firmware_app.progress import ProgressTable, finished
from firmware_app.records.errors import StorageFault
from firmware_app.records.removals import SafeWhen
from firmware_app.records.store import Records
from firmware_app.services.alignment_commands import AlignmentCommands
from firmware_app.services.analysis import Analysed, run_analysis
from firmware_app.services.audit_commands import AuditCommands
from firmware_app.services.audit_setup import audit_of
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.calibration import Calibrations, CalibrationService
from firmware_app.services.calibration_commands import CalibrationCommands
from firmware_app.services.capture import Captured, CaptureService
from firmware_app.services.commands import Commands
from firmware_app.services.commitment import CommitmentPolicy, CommitmentService
from firmware_app.services.commitment_commands import CommitmentCommands
from firmware_app.services.contacts import NodeContacts
from firmware_app.services.decompression import decompress
from firmware_app.services.delivery import run_delivery, send_in_order
from firmware_app.services.editing_commands import EditingCommands
from firmware_app.services.equipment import equipment_of
from firmware_app.services.events import EventBus
from firmware_app.services.exam import ExamService
from firmware_app.services.handed_over import HandedOver
from firmware_app.services.hardware import DeviceSlot, DeviceStatus
from firmware_app.services.health import LoopLag, Watchdog
from firmware_app.services.health_commands import HealthCommands
from firmware_app.services.health_report import HealthService
from firmware_app.services.hotplug import HotplugService
from firmware_app.services.late_imports import LateImports
from firmware_app.services.light_commands import LightCommands
from firmware_app.services.lights import LightService
from firmware_app.services.listening import ListenerService, offers_of
from firmware_app.services.log_commands import LogCommands
from firmware_app.services.log_tail import LogTailKeeper
from firmware_app.services.memory import MemoryService
from firmware_app.services.mpps import MppsService
from firmware_app.services.mpps_commands import MppsCommands
from firmware_app.services.panorama_commands import PanoramaCommands
from firmware_app.services.patients import PatientQueryService
from firmware_app.services.patients_commands import PatientCommands
from firmware_app.services.peers import Entities, NotDeclared, listener_rules, listener_tls, node_of
from firmware_app.services.printing import Printer, PrintService
from firmware_app.services.printing_commands import PrintCommands
from firmware_app.services.queue_commands import QueueCommands
from firmware_app.services.queue_task import wake
from firmware_app.services.recorder import run_recorder
from firmware_app.services.records_commands import RecordsCommands
from firmware_app.services.records_keeping import RecordsKeeping
from firmware_app.services.retention import RetentionService, space_of
from firmware_app.services.retention_rules import RetentionRules
from firmware_app.services.session_notes import SessionNotes
from firmware_app.services.status import StatusService
from firmware_app.services.step_reports import StepReports, step_composer
from firmware_app.services.storage_nodes import COMMITMENT_OF, FIRST, Destination, commitment_tables, destinations
from firmware_app.services.verification_commands import VerificationCommands
from firmware_app.services.working_order import FILE_NAME as ORDER_FILE
from firmware_app.services.working_order import WorkingOrder
from firmware_app.services.worklist import WorklistService
from hw.abc import Camera, Stage

if TYPE_CHECKING:
    from firmware_app.services.deliverables import Deliverable, Drawn
    from firmware_app.services.service_bundle import ServiceBundle


def now() -> datetime:
    """Local time with its offset: exam times are the clinic's, and never ambiguous."""
    return datetime.now().astimezone()


class Instrument:
    """Everything that lives as long as the nursery."""

    def __init__(
        self, config: Config, profile: Profile, address: str, records: Records, handed_over: HandedOver | None = None
    ) -> None:
        self.config = config
        self.handed_over = handed_over or HandedOver()
        self.profile = profile
        self.records = records
        self.entities = Entities(config, profile, address)
        self.bus = EventBus()
        records.disk.tell = self._disk_told
        self.lag = LoopLag()
        self.progress = ProgressTable(trio.current_time)
        self.watchdog = Watchdog(self.progress, self.bus.publish)
        self.late_imports = LateImports()
        self.keeping = RecordsKeeping(records, self.bus.publish, now)
        self.stage: DeviceSlot[Stage] = DeviceSlot("stage", now)
        self.camera: DeviceSlot[Camera] = DeviceSlot("camera", now)
        self.hotplug = HotplugService(
            (self.stage, self.camera), self.bus.publish, self.handed_over.duplicate("uevents")
        )
        self.captures_in, self.captures_out = trio.open_memory_channel[Captured](2)
        self.analysed_in, self.analysed_out = trio.open_memory_channel[Analysed](0)
        self.storage = self._node("storage", config.storage)
        self.destinations = destinations(config, self.entities)
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
        self.retention = self._retention()
        self.exams = self._exams()
        self.commitments = self._commitments()
        self.commitment = self.commitments[FIRST]
        self.worklist = self._worklist()
        self.patients = PatientQueryService.configured(config, self.entities, now, self.bus.publish)
        self.listener = self._listener()
        self.contacts = NodeContacts(records.contacts, now)
        self.memory = MemoryService()
        self.log_tail = LogTailKeeper(Path(config.paths.state), config.log.keep_mib << 20)
        self.audit, self.audit_sending = audit_of(config, records, address, self.bus.publish, now)
        self.sessions = SessionNotes(Path(config.paths.state) / "sessions", self.audit, self.bus.publish)
        self.health = HealthService(
            self.progress,
            self.watchdog,
            self.lag,
            records,
            self.contacts,
            Path(config.paths.state),
            {name: node_of(name, table).label for name, table in config.nodes().items()},
            self._devices,
            lambda: self.worklist.status,
            now,
        )
        self.order = WorkingOrder(
            self.progress,
            records.disk,
            self.late_imports,
            self.listener,
            Path(config.paths.runtime) / ORDER_FILE,
            __version__,
            self.bus.publish,
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
            {
                "patient query": lambda: self.patients.detail,
                "performed procedure steps": lambda: self.mpps.detail,
                "storage commitment": lambda: "; ".join(each.detail for each in self.commitments.values()),
                "printer": lambda: self.printing.detail,
                "calibration": lambda: self.calibrations.detail,
                "lights": lambda: self.lights.detail,
                "new devices": lambda: self.hotplug.detail,
                "disk": lambda: f"{self.retention.detail}; {records.disk.detail}",
                "audit": lambda: self.audit_sending.detail,
                "records": lambda: self.keeping.detail,
            },
            self.health,
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
            *QueueCommands(self.records, tuple(self.destinations), self._deliver_now, self.bus.publish).table(),
            *MppsCommands(self.mpps, self.records.mpps).table(),
            *CommitmentCommands(tuple(self.commitments.values()), self.records).table(),
            *PrintCommands(self.printing, self.records.print_jobs).table(),
            *PanoramaCommands(self.exams, self.records).table(),
            *LogCommands(self._bundle).table(),
        )
        lights = LightCommands(self.lights).table()
        calibration = CalibrationCommands(self.calibration, operator).table()
        by_itself = AlignmentCommands(self.capture, self.exams).table()
        at_once = (
            *by_hand.instrument_commands(),
            *lights,
            *calibration,
            *by_itself,
            *RecordsCommands(self.keeping, self.records, operator).table(),
            *VerificationCommands(self.config, self.entities).table(),
            *HealthCommands(self.health).table(),
            *AuditCommands(self.audit, self.audit_sending, operator).table(),
        )
        return CommandTable([*at_once, *(self._after_imports(command) for command in waiting)])

    async def analyse(self) -> None:
        """Measure what is captured until the captures end."""
        await run_analysis(self.captures_out, self.analysed_in, self.bus.publish)

    async def keep_measurements(self) -> None:
        """Record what was measured until the analysis ends."""
        await run_recorder(self.analysed_out, self.records, self.exams, self.bus.publish)

    def deliveries(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """A service for each archive, by name: it sends what is queued there until cancelled."""
        if not self.destinations:
            yield "delivery", self._nothing_to_deliver
        for name, destination in self.destinations.items():
            yield _of_archive("delivery", name), partial(self._deliver_to, destination)

    def askers(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """A service for each archive, by name: it asks whether what is stored there is committed to."""
        for name, commitment in self.commitments.items():
            yield _of_archive("storage commitment", name), commitment.run

    async def _nothing_to_deliver(self) -> None:
        finished(self._why_not("storage"))

    async def _deliver_to(self, destination: Destination) -> None:
        name = destination.node.name
        await run_delivery(
            self.records,
            destination.node,
            self.entities["storage"],
            destination.woken,
            self.bus.publish,
            destination.policy,
            store=partial(send_in_order, contexts=self.entities.contexts("storage"), decompress=decompress),
            on_settled=self.commitments[name].wake,
        )

    def console_used(self, comes: bool, user: ConsoleUser) -> None:
        """Somebody opened a console, or left it."""
        who = user.name or f"user {user.user_id}"
        data: dict[str, object] = {"user_id": user.user_id, "user": user.name, "process_id": user.process_id}
        kind, word = ("connected", "opened") if comes else ("disconnected", "left")
        self.bus.publish(Event(f"console.{kind}", f"{who} {word} a console", data, "debug"))

    def _after_imports(self, command: Command) -> Command:
        async def handle(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
            await self.late_imports.wait()
            return await command.handler(context, arguments)

        return replace(command, handler=handle)

    async def _take_report(self, report: EventReport) -> int:
        await self.late_imports.wait()
        return await self.commitment.take_report(report)

    # ------------------------------------------------------------------------------------------- the services

    def _node(self, service: EntityName, table: NodeConfig, name: str = "") -> Node | None:
        """The configured peer of a service that the profile declares; `name`: of its table, if it is another's."""
        return node_of(name or service, table) if table.host and service in self.entities else None

    def _why_not(self, service: EntityName, table: str = "") -> str:
        words, table = service.replace("_", " "), table or service
        return (
            f"no {words} node is configured: {table}.ip_address, {table}.port and {table}.ae_title"
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
        for destination in self.destinations.values():
            wake(destination.wake)

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
            self._deliver_now,
            now,
            self.bus.publish,
            steps=StepReports(composer, self.mpps.wake, self.bus.publish),
            send_automatically=self.config.storage.automatic,
            other_nodes={name: each.automatic for name, each in self.destinations.items() if name != FIRST},
            print_accepted=self.printing.exam_finished,
            closed=self._exam_closed,
            opened=self.lights.exam_opened,
            require_room=self.retention.require_room,
        )

    def _exam_closed(self) -> None:
        for commitment in self.commitments.values():
            commitment.wake()
        self.retention.wake()
        self.memory.wake()
        self.lights.exam_closed()

    def _commitments(self) -> dict[str, CommitmentService]:
        """By the storage node for whose instances they ask."""
        made: dict[str, CommitmentService] = {}
        for stored_at, table in commitment_tables(self.config).items():
            if stored_at == FIRST or stored_at in self.destinations:
                made[stored_at] = self._commitment(stored_at, table, made.get)
        return made

    def _commitment(
        self, stored_at: str, table: CommitmentConfig, elsewhere: Callable[[str], CommitmentService | None]
    ) -> CommitmentService:
        name = COMMITMENT_OF[stored_at]
        node = self._node("commitment", table, name)
        return CommitmentService(
            self.records,
            node,
            self.entities["commitment"] if node else None,
            self.entities.contexts("commitment") if node else (),
            stored_at,
            CommitmentPolicy(
                backoff=backoff_of(table.retry_first_s, table.retry_max_s),
                report_timeout_s=table.report_timeout_s,
                same_association_wait_s=table.same_association_wait_s,
            ),
            self.bus.publish,
            self._deliver_now,
            self._why_not("commitment", name),
            committed=self.retention.wake,
            elsewhere=elsewhere,
        )

    def _retention(self) -> RetentionService:
        rules = self.config.retention
        tables = commitment_tables(self.config)
        uncommitted = tuple(name for name, table in tables.items() if self._node("commitment", table) is None)
        return RetentionService(
            self.records,
            RetentionRules(rules.keep_days, rules.min_free_percent, rules.reserve_mb * 1_000_000),
            SafeWhen(
                uncommitted if rules.without_commitment == "remove-when-stored" else (),
                rules.unsent_captures == "remove",
            ),
            partial(space_of, Path(self.config.paths.state)),
            self.bus.publish,
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
        return ListenerService(
            local,
            port,
            rules,
            self.bus.publish,
            on_event,
            tls,
            offers=offers,
            handed_over=self.handed_over.dicom_port,
        )

    def _bundle(self) -> ServiceBundle:
        from firmware_app.services.service_bundle import ServiceBundle  # 30 ms of imports, not before READY

        return ServiceBundle(
            self.config, self.profile, self.records, self.health, self._devices, self.log_tail.paths, now
        )

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


def _of_archive(service: str, name: str) -> str:
    """The first archive has no name for whoever has only one."""
    return service if name == FIRST else f"{service} ({name.replace('_', ' ')})"
