"""The instrument at a glance: what each part does or waits for, and since when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import trio

from firmware_app import __version__
from firmware_app.records.store import Records
from firmware_app.services.capture import CaptureService
from firmware_app.services.exam import ExamService
from firmware_app.services.hardware import DeviceStatus
from firmware_app.services.health import LoopLag
from firmware_app.services.health_report import Health, HealthService
from firmware_app.services.listening import ListenerService
from firmware_app.services.worklist import WorklistService


@dataclass(frozen=True, slots=True)
class InstrumentStatus:
    version: str
    profile: str
    address: str
    up_s: float
    devices: tuple[DeviceStatus, ...]
    listener: str
    busy: str
    exam_id: str
    interrupted_exams: tuple[str, ...]
    worklist_items: int
    worklist_refreshed_at: str
    worklist_error: str
    services: dict[str, str]  # what each of the others does or waits for
    deliveries: dict[str, int]  # state -> instances
    loop_lag_ms: float
    recent_loop_lag_ms: float
    health: Health


class StatusService:
    def __init__(
        self,
        profile: str,
        address: str,
        devices: Callable[[], tuple[DeviceStatus, ...]],
        listener: ListenerService,
        capture: CaptureService,
        exams: ExamService,
        worklist: WorklistService,
        records: Records,
        lag: LoopLag,
        services: Mapping[str, Callable[[], str]],
        health: HealthService,
    ) -> None:
        self._profile = profile
        self._address = address
        self._devices = devices
        self._listener = listener
        self._capture = capture
        self._exams = exams
        self._worklist = worklist
        self._records = records
        self._lag = lag
        self._services = services
        self._health = health
        self._started_s = trio.current_time()

    async def read(self) -> InstrumentStatus:
        listed = self._worklist.status
        exam = self._exams.exam
        return InstrumentStatus(
            version=__version__,
            profile=self._profile,
            address=self._address,
            up_s=round(trio.current_time() - self._started_s, 3),
            devices=self._devices(),
            listener=self._listener.detail,
            busy=self._capture.busy,
            exam_id=exam.exam_id if exam else "",
            interrupted_exams=await self._exams.interrupted(),
            worklist_items=len(listed.items),
            worklist_refreshed_at=listed.refreshed_at,
            worklist_error=listed.error,
            services={name: detail() for name, detail in self._services.items()},
            deliveries={str(state): count for state, count in (await self._records.counts()).items()},
            loop_lag_ms=round(self._lag.worst_s * 1e3, 2),
            recent_loop_lag_ms=round(self._lag.recent_worst_s() * 1e3, 2),
            health=await self._health.read(),
        )
