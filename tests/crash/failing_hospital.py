"""A hospital that fails at random, and writes down all that reached it: `python failing_hospital.py FOLDER SEED PORT`.

Archive (storage and commitment) and information system (MPPS), each behind a relay with misfortunes of its own; beside
those they answer with statuses of table B.2-1 and annex C, and the archive reports on commitment late, twice, never, on
the association of the request, or that it has lost something. PORT is where the instrument listens.

The first line on stdout says where they are. `FOLDER/journal.jsonl` has one line for everything that was done, written
before it is answered; `FOLDER/objects` has every data set that was stored under any UID, whatever came again.
Lines on stdin: `healthy` ends all misfortune, and is answered with what had been met.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from misfortunes import Relay
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from firmware_app.demo.performed_steps import PerformedSteps, StepRefused
from firmware_app.demo.scp import UNCOMPRESSED, WITH_COMPRESSED, Entity, Service, refusal
from firmware_app.demo.storage_scp import SOP_CLASSES

SUCCESS, DUPLICATE, OUT_OF_RESOURCES, CANNOT_UNDERSTAND, COERCED = 0x0000, 0x0111, 0xA700, 0xC000, 0xB000
RESOURCE_LIMITATION, NO_SUCH_INSTANCE, PROCESSING_FAILURE = 0x0213, 0x0112, 0x0110
REPORT_S = 0.03  # behind the answer to the request
REPORT_BOUND_S = 5.0
ATTEMPTS = 3  # of a report, as archives do


class Journal:
    """Lines of JSON, each written whole before whoever asked is answered. From any thread."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **what: object) -> None:
        os.write(self._fd, (json.dumps(what) + "\n").encode())


class Chance:
    """What is drawn is nothing from the moment on that the hospital is healthy."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.healthy = False

    def draw(self, weights: dict[Any, float], otherwise: Any) -> Any:
        if self.healthy:
            return otherwise
        return self._random.choices([*weights, otherwise], [*weights.values(), 1 - sum(weights.values())])[0]


class Archive:
    def __init__(self, folder: Path, journal: Journal, chance: Chance, station_port: int) -> None:
        self._folder = folder
        self._journal = journal
        self._chance = chance
        self._station_port = station_port
        self._held: dict[str, str] = {}
        self._lock = threading.Lock()
        folder.mkdir()

    def services(self) -> list[Service]:
        return [
            Service(dict.fromkeys(SOP_CLASSES, WITH_COMPRESSED), {evt.EVT_C_STORE: self._store}),
            Service({StorageCommitmentPushModel: UNCOMPRESSED}, {evt.EVT_N_ACTION: self._action}),
        ]

    def _store(self, event: Any) -> int:
        data = event.request.DataSet.getvalue()
        named = str(event.request.AffectedSOPInstanceUID)
        status = self._chance.draw({OUT_OF_RESOURCES: 0.08, CANNOT_UNDERSTAND: 0.03, COERCED: 0.05}, SUCCESS)
        if status in (OUT_OF_RESOURCES, CANNOT_UNDERSTAND):
            self._journal.note(refused=named, status=f"{status:04X}")
            return int(status)
        dataset = event.dataset
        uid, sha256 = str(dataset.SOPInstanceUID), hashlib.sha256(data).hexdigest()
        with self._lock:
            known = self._held.get(uid)
            self._held.setdefault(uid, sha256)
            (self._folder / f"{uid}-{sha256[:16]}").write_bytes(data)
        if known is not None:
            status = self._chance.draw({DUPLICATE: 0.3}, SUCCESS)
        self._journal.note(
            stored=uid,
            named=named,
            sha256=sha256,
            again=known is not None,
            status=f"{status:04X}",
            patient_id=str(dataset.PatientID),
            laterality=str(dataset.get("ImageLaterality", "")),
            is_report="BurnedInAnnotation" in dataset and dataset.BurnedInAnnotation == "YES",
            pixels=hashlib.sha256(dataset.PixelData).hexdigest(),
        )
        return int(status)

    def _action(self, event: Any) -> tuple[int | Dataset, None]:
        status = self._chance.draw({RESOURCE_LIMITATION: 0.06}, SUCCESS)
        asked = event.action_information
        uids = [str(item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence]
        self._journal.note(asked=str(asked.TransactionUID), instances=uids, status=f"{status:04X}")
        if status != SUCCESS:
            return refusal(status, "told to refuse"), None
        ways = {"never": 0.07, "late": 0.08, "twice": 0.06, "same": 0.12, "lost": 0.04, "failed": 0.02}
        way = self._chance.draw(ways, "new")
        threading.Thread(target=self._report, args=(asked, event.assoc, way), daemon=True).start()
        return SUCCESS, None

    def _report(self, asked: Dataset, asked_on: Association, way: str) -> None:
        if way == "never":
            return
        time.sleep(1.0 if way == "late" else REPORT_S)
        said = Dataset()
        said.TransactionUID = asked.TransactionUID
        committed, failed = [], []
        for item in asked.ReferencedSOPSequence:
            there = str(item.ReferencedSOPInstanceUID) in self._held
            if there and way not in ("lost", "failed"):
                committed.append(item)
            else:
                item.FailureReason = PROCESSING_FAILURE if way == "failed" else NO_SUCH_INSTANCE
                failed.append(item)
        if committed:
            said.ReferencedSOPSequence = committed
        if failed:
            said.FailedSOPSequence = failed
        uids = [str(item.ReferencedSOPInstanceUID) for item in committed]
        if way == "same":
            self._tell(asked_on, said, uids)
            return
        for _ in range(ATTEMPTS):
            if self._report_there(said, uids, times=2 if way == "twice" else 1):
                return
            time.sleep(0.2)

    def _report_there(self, said: Dataset, uids: list[str], times: int) -> bool:
        entity = AE("ARCHIVE")
        entity.add_requested_context(StorageCommitmentPushModel, list(UNCOMPRESSED))
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = REPORT_BOUND_S
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        with contextlib.suppress(Exception):  # a station that is killed meanwhile shows itself in a dozen ways
            made = entity.associate("127.0.0.1", self._station_port, ae_title="TP_AM_SP1P_001", ext_neg=[role])
            if made.is_established:
                answered = [self._tell(made, said, uids) for _ in range(times)]
                if made.is_established:
                    made.release()
                return answered[0]
        return False

    def _tell(self, association: Association, said: Dataset, uids: list[str]) -> bool:
        """Whether it was answered with success. What was said stands, even if its answer is lost."""
        self._journal.note(committed=uids, transaction=str(said.TransactionUID))
        with contextlib.suppress(Exception):
            answer, _ = association.send_n_event_report(
                said,
                2 if "FailedSOPSequence" in said else 1,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
            answered = f"{answer.Status:04X}" if "Status" in answer else ""
            self._journal.note(answered=answered, transaction=str(said.TransactionUID))
            return answered == "0000"
        return False


class InformationSystem:
    def __init__(self, journal: Journal, chance: Chance) -> None:
        self._journal = journal
        self._chance = chance
        self._steps = PerformedSteps()

    def services(self) -> list[Service]:
        handlers = {evt.EVT_N_CREATE: self._create, evt.EVT_N_SET: self._set}
        return [Service({ModalityPerformedProcedureStep: UNCOMPRESSED}, handlers)]

    def _create(self, event: Any) -> tuple[int | Dataset, None]:
        octets = event.request.AttributeList.getvalue()
        return self._take("N-CREATE", str(event.request.AffectedSOPInstanceUID), event.attribute_list, octets)

    def _set(self, event: Any) -> tuple[int | Dataset, None]:
        octets = event.request.ModificationList.getvalue()
        return self._take("N-SET", str(event.request.RequestedSOPInstanceUID), event.modification_list, octets)

    def _take(self, operation: str, uid: str, attributes: Dataset, octets: bytes) -> tuple[int | Dataset, None]:
        noted = {
            "mpps": operation,
            "uid": uid,
            "step": str(attributes.get("PerformedProcedureStepStatus", "")),
            "patient_id": str(attributes.get("PatientID", "")),
            "sha256": hashlib.sha256(octets).hexdigest(),
        }
        status = self._chance.draw({RESOURCE_LIMITATION: 0.08, 0x0106: 0.02}, SUCCESS)
        if status != SUCCESS:
            self._journal.note(**noted, performed=False, status=f"{status:04X}")
            return refusal(status, "told to refuse"), None
        try:
            (self._steps.create if operation == "N-CREATE" else self._steps.change)(uid, attributes)
        except StepRefused as refused:
            self._journal.note(**noted, performed=False, status=f"{refused.status:04X}")
            return refusal(refused.status, str(refused), refused.error_id), None
        self._journal.note(**noted, performed=True, status="0000")
        return SUCCESS, None


def main(folder: Path, seed: int, station_port: int) -> None:
    def ignore(event: str, **keys: object) -> None:
        """What the demo hospital would print."""

    journal, chance = Journal(folder / "journal.jsonl"), Chance(seed)
    archive = Archive(folder / "objects", journal, chance, station_port)
    served = {"ARCHIVE": archive.services(), "RIS": InformationSystem(journal, chance).services()}
    relays = []
    for number, (title, services) in enumerate(served.items()):
        entity = Entity(title, 0, services, ignore)
        entity.up()
        relays.append(Relay(entity.port, seed + number + 1))
    print(json.dumps({title: relay.port for title, relay in zip(served, relays, strict=True)}), flush=True)
    for line in sys.stdin:
        chance.healthy = line.strip() == "healthy"
        for relay in relays:
            relay.healthy = chance.healthy
        print(json.dumps(dict(relays[0].met + relays[1].met)), flush=True)
    os._exit(0)  # threads of associations that hang need not be waited for


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
