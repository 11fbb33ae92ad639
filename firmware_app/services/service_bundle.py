"""The bundle for the maker's service: what one wants to know of an instrument from afar, and no patient.

One tar.gz in the export folder of the state folder: JSON files, the last lines of the log, and a manifest with the
SHA-256 of each. What cannot be had is left out and said in the manifest; a bundle is asked for when something is wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from firmware_app import __version__
from firmware_app.config import Config
from firmware_app.model import DeliveryState
from firmware_app.profiles import Profile
from firmware_app.records import files
from firmware_app.records.calibrations import JOURNAL_NAME as CALIBRATIONS
from firmware_app.records.errors import RecordsError
from firmware_app.records.store import Records
from firmware_app.services import depersonal, machine_facts
from firmware_app.services.causes import in_one_line
from firmware_app.services.depersonal import Remover
from firmware_app.services.hardware import DeviceStatus
from firmware_app.services.health_report import HealthService
from firmware_app.services.selftest import Bench, checks_of, run_checks

EXPORT_FOLDER = "export"
BUNDLES_MAX = 5  # the oldest goes: they are made to be taken away
PART_S = 60.0
SELFTEST_S = 180.0
LOG_MAX_BYTES = 16 << 20

Progress = Callable[[str], None]


class ServiceBundle:
    """One bundle, made by `export`."""

    def __init__(
        self,
        config: Config,
        profile: Profile,
        records: Records,
        health: HealthService,
        devices: Callable[[], tuple[DeviceStatus, ...]],
        log_paths: tuple[Path, Path],
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._profile = profile
        self._records = records
        self._health = health
        self._devices = devices
        self._log_paths = log_paths
        self._now = now
        self._missing: dict[str, str] = {}

    async def export(self, progress: Progress) -> tuple[Path, dict[str, str]]:
        """Where it is, and what is missing from it and why. Raises `StorageFault`."""
        parts = await self._gather(progress)
        names = await self._part("patients to leave out", self._records.statistics.identifying, progress)
        if names is None:
            # Without the words to search for, only what never had any leaves.
            parts = {name: part for name, part in parts.items() if name in IMPERSONAL}
        progress("packing")
        path = self._folder / f"specular-service-{self._now():%Y%m%d-%H%M%S}.tar.gz"
        pack = partial(write_bundle, path, parts, Remover(names or ()), self._missing, self._now().isoformat())
        await trio.to_thread.run_sync(pack)
        return path, dict(self._missing)

    @property
    def _folder(self) -> Path:
        return Path(self._config.paths.state) / EXPORT_FOLDER

    async def _gather(self, progress: Progress) -> dict[str, Any]:
        in_thread = trio.to_thread.run_sync
        work: dict[str, Callable[[], Awaitable[Any]]] = {
            "versions.json": partial(in_thread, machine_facts.versions, abandon_on_cancel=True),
            "machine.json": partial(in_thread, machine_facts.machine, abandon_on_cancel=True),
            "usb.json": partial(in_thread, machine_facts.usb_devices, abandon_on_cancel=True),
            "configuration.json": self._configuration,
            "health.json": self._read_health,
            "devices.json": self._read_devices,
            "records.json": self._read_records,
            "deliveries.json": self._read_deliveries,
            "calibrations.jsonl": partial(in_thread, self._calibrations, abandon_on_cancel=True),
            "journal.jsonl": partial(in_thread, self._journal, abandon_on_cancel=True),
            "service.jsonl": partial(in_thread, self._own_log, abandon_on_cancel=True),
            "selftest.json": self._selftest,
        }
        found = {name: await self._part(name, read, progress) for name, read in work.items()}
        return {name: part for name, part in found.items() if part is not None}

    async def _part(self, name: str, read: Callable[[], Awaitable[Any]], progress: Progress) -> Any:
        progress(name)
        limit_s = SELFTEST_S if name == "selftest.json" else PART_S
        try:
            with trio.move_on_after(limit_s):
                return await read()
        except (RecordsError, OSError, ValueError) as error:
            self._missing[name] = in_one_line(error)
            return None
        self._missing[name] = f"no answer within {limit_s:g} s"
        return None

    async def _configuration(self) -> Any:
        return depersonal.configuration(msgspec.to_builtins(self._config))

    async def _read_health(self) -> Any:
        return asdict(await self._health.read())

    async def _read_devices(self) -> Any:
        return [asdict(device) for device in self._devices()]

    async def _read_records(self) -> Any:
        return asdict(await self._records.statistics.counts())

    async def _read_deliveries(self) -> Any:
        """What failed or waits, without the peer's own words: those may name a patient."""
        failed = await self._records.deliveries(state=DeliveryState.FAILED, limit=1000)
        queued = await self._records.deliveries(state=DeliveryState.QUEUED, limit=1000)
        return [
            {
                "sop_instance_uid": each.sop_instance_uid,
                "kind": each.kind,
                "node": each.node,
                "state": str(each.state),
                "attempts": each.attempts,
                "status": each.status,
                "next_attempt_at": each.next_attempt_at,
            }
            for each in (*failed, *queued)
        ]

    def _calibrations(self) -> list[str]:
        path = Path(self._config.paths.state) / CALIBRATIONS
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def _journal(self) -> list[str]:
        lines, why = machine_facts.journal()
        if why:
            self._missing["journal.jsonl"] = why
        return lines

    def _own_log(self) -> list[str]:
        octets = b"".join(path.read_bytes() for path in self._log_paths if path.exists())
        return octets[-LOG_MAX_BYTES:].decode("utf-8", "replace").splitlines()

    async def _selftest(self) -> Any:
        bench = Bench(self._config, self._profile)
        async with aclosing(run_checks(checks_of(self._config, self._profile), bench)) as running:
            return [asdict(result) async for result in running]


# What holds nothing that came from outside.
IMPERSONAL = frozenset({"versions.json", "machine.json", "usb.json", "records.json"})
LOGS = frozenset({"journal.jsonl", "service.jsonl"})


def write_bundle(path: Path, parts: dict[str, Any], remover: Remover, missing: dict[str, str], at: str) -> None:
    """Raises `StorageFault`."""
    files.make_folder(path.parent)
    contents = {name: encoded(name, part, remover) for name, part in parts.items()}
    manifest = {
        "specular": __version__,
        "created_at": at,
        "files": [
            {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
        ],
        "missing": remover.value(missing),
    }
    contents["manifest.json"] = encoded("manifest.json", manifest, Remover(()))
    files.write_files(path.parent, {path.name: packed(contents, path.name.removesuffix(".tar.gz"))})
    files.remove_files(sorted(path.parent.glob("specular-service-*.tar.gz"))[:-BUNDLES_MAX])


def encoded(name: str, part: Any, remover: Remover) -> bytes:
    if name in LOGS:
        return "".join(f"{depersonal.log_line(line, remover)}\n" for line in part).encode()
    if name.endswith(".jsonl"):
        return "".join(f"{line}\n" for line in _json_lines(part, remover)).encode()
    return (json.dumps(remover.value(part), ensure_ascii=False, indent=1) + "\n").encode()


def _json_lines(lines: list[str], remover: Remover) -> Iterator[str]:
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        yield json.dumps(remover.value(depersonal.configuration(said)), ensure_ascii=False)


def packed(contents: dict[str, bytes], folder: str) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode = len(data), files.FILE_MODE
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
