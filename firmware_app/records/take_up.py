"""Into a database what sidecars say and it does not know: after damage all of it, after a crash or a lost log a little.

Nobody knows what became of it meanwhile. So every instance is queued to its nodes again, which under the same SOP
Instance UID is harmless, and every MPPS message is sent as one that may have arrived before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial

from firmware_app.records import captures, exams, instances, mpps, queue, removals, sidecars
from firmware_app.records.documents import MeasurementSidecar, ObjectSidecar
from firmware_app.records.folders import END_FILE, EXAM_FILE
from firmware_app.records.mpps import MppsMessage
from firmware_app.records.sidecars import ExamFolder

_KNOWN_EXAM = "SELECT finished_at FROM exams WHERE exam_id = :exam"
_KNOWN_CAPTURES = "SELECT capture_id FROM captures WHERE exam_id = :exam"
_KNOWN_MEASUREMENTS = """
SELECT m.capture_id, m.revision FROM captures c JOIN measurements m ON m.capture_id = c.capture_id
WHERE c.exam_id = :exam
"""
# Of one that nobody has queued the sidecar may say more.
_KNOWN_OBJECTS = """
SELECT o.sop_instance_uid FROM objects o WHERE o.exam_id = :exam AND EXISTS (
  SELECT 1 FROM deliveries d WHERE d.sop_instance_uid = o.sop_instance_uid AND d.node <> '')
"""


@dataclass(slots=True)
class TakenUp:
    """How much of what."""

    exams: int = 0
    captures: int = 0
    measurements: int = 0
    objects: int = 0
    deliveries: int = 0
    mpps_messages: int = 0
    exam_ends: int = 0
    removals: int = 0

    def __iadd__(self, other: TakenUp) -> TakenUp:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self

    def words(self) -> str:
        """The counts that are not 0; empty where all are."""
        counts = ((each.name.replace("_", " "), getattr(self, each.name)) for each in fields(self))
        return ", ".join(f"{count} {name}" for name, count in counts if count)


def known_names(connection: sqlite3.Connection, exam_id: str) -> set[str]:
    """The sidecars of an exam that can say nothing new."""
    values = {"exam": exam_id}
    exam = connection.execute(_KNOWN_EXAM, values).fetchone()
    if exam is None:
        return set()
    known = {EXAM_FILE, END_FILE} if exam[0] else {EXAM_FILE}
    known |= {f"{capture_id}.json" for (capture_id,) in connection.execute(_KNOWN_CAPTURES, values)}
    known |= {sidecars.name_of_measurement(*key) for key in connection.execute(_KNOWN_MEASUREMENTS, values)}
    return known | {f"{uid}.json" for (uid,) in connection.execute(_KNOWN_OBJECTS, values)}


def is_removed(connection: sqlite3.Connection, exam_id: str) -> bool:
    """The database knows that the exam's files are gone, or are to go."""
    return connection.execute("SELECT 1 FROM removals WHERE exam_id = :exam", {"exam": exam_id}).fetchone() is not None


def take_up(connection: sqlite3.Connection, found: ExamFolder, now: datetime, default_node: str) -> TakenUp:
    """In the caller's transaction. What cannot be taken up is added to the folder's problems.

    `default_node` is where instances go whose sidecars are too old to say it; empty for none.
    """
    return _TakingUp(connection, found, now, default_node).run()


class _TakingUp:
    def __init__(self, connection: sqlite3.Connection, found: ExamFolder, now: datetime, default_node: str) -> None:
        self._connection = connection
        self._found = found
        self._now = now
        self._default_node = default_node
        self._taken = TakenUp()

    def run(self) -> TakenUp:
        found = self._found
        is_new = not self._is_there("exams", exam_id=found.exam_id)
        if is_new and not self._begin():
            return self._taken
        if found.removal is not None:
            self._end(is_new)
            add = partial(removals.insert, self._connection, found.removal)
            self._take("removals", {"exam_id": found.exam_id}, add)
            return self._taken
        for each in found.captures:
            add = partial(captures.insert, self._connection, each.capture, each.frame, each.image)
            self._take("captures", {"capture_id": each.capture.capture_id}, add)
        for measurement in found.measurements:
            self._measurement(measurement)
        for instance in found.objects:
            self._object(instance)
        self._end(is_new)
        return self._taken

    def _begin(self) -> bool:
        exam, beginning = self._found.exam, self._found.beginning
        if exam is None:
            if self._found.end or self._found.measurements:
                self._problem(EXAM_FILE, "no file says which exam this is")
            return False
        if not self._take("exams", {"exam_id": exam.exam_id}, partial(exams.insert, self._connection, exam)):
            return False
        self._message(beginning.message if beginning else None)
        return True

    def _measurement(self, sidecar: MeasurementSidecar) -> None:
        name = sidecars.name_of_measurement(sidecar.capture_id, sidecar.revision)
        if not self._is_there("captures", capture_id=sidecar.capture_id):
            self._problem(name, "its capture is missing")
            return
        key = {"capture_id": sidecar.capture_id, "revision": sidecar.revision}
        self._take("measurements", key, partial(captures.insert_measurement, self._connection, sidecar))

    def _object(self, sidecar: ObjectSidecar) -> None:
        record = sidecar.object
        if record.capture_id is not None and not self._is_there("captures", capture_id=record.capture_id):
            self._problem(f"{record.sop_instance_uid}.json", "its capture is missing; kept without it")
            record = replace(record, capture_id=None)
        uid = record.sop_instance_uid
        is_new = self._take("objects", {"sop_instance_uid": uid}, partial(instances.insert, self._connection, record))
        if not is_new and not self._is_there("objects", sop_instance_uid=uid, exam_id=record.exam_id):
            return
        nodes = sidecar.nodes
        if nodes is None:
            nodes = (self._default_node,) if self._default_node and is_new else ()
        for node in nodes:
            if not self._is_there("deliveries", sop_instance_uid=uid, node=node):
                queue.insert(self._connection, uid, node, self._now)
                self._taken.deliveries += 1
        if is_new and not nodes:
            queue.insert(self._connection, uid, None, self._now)

    def _end(self, is_new: bool) -> None:
        found = self._found
        if found.end is not None:
            if exams.note_end(self._connection, found.exam_id, found.end.finished_at):
                self._taken.exam_ends += 1
            self._message(found.end.message)
        elif is_new and found.objects and not (found.beginning and found.beginning.end_is_noted):
            # The first releases noted no end. They made instances only when an exam was finished.
            exams.note_end(self._connection, found.exam_id, found.objects[-1].object.saved_at)

    def _message(self, message: MppsMessage | None) -> None:
        if message is None:
            return
        key = {
            "mpps_sop_instance_uid": message.mpps_sop_instance_uid,
            "node": message.node,
            "operation": message.operation,
        }
        its_own = replace(message, exam_id=self._found.exam_id)
        add = partial(mpps.insert, self._connection, its_own, self._now, in_doubt=True)
        self._take("mpps_messages", key, add)

    def _take(self, table: str, key: Mapping[str, object], insert: Callable[[], None]) -> bool:
        """True where it is new."""
        if self._is_there(table, **key):
            return False
        try:
            insert()
        except (sqlite3.IntegrityError, ValueError) as error:
            self._problem(str(next(iter(key.values()))), f"the database does not take it: {error}")
            return False
        setattr(self._taken, table, getattr(self._taken, table) + 1)
        return True

    def _is_there(self, table: str, **key: object) -> bool:
        where = " AND ".join(f"{column} = :{column}" for column in key)
        return self._connection.execute(f"SELECT 1 FROM {table} WHERE {where}", key).fetchone() is not None

    def _problem(self, name: str, text: str) -> None:
        self._found.problems.append(f"exams/{self._found.exam_id}/{name}: {text}")
