"""Whether anything was lost, doubled, changed or out of order: what was told against what arrived. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from operator_script import Told, ToldExam

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class KeptCapture:
    capture_id: str
    eye: str
    pixels: str  # SHA-256, or why there are none


@dataclass(frozen=True)
class KeptExam:
    """As the records have it when all is over."""

    patient_id: str
    is_finished: bool
    captures: Sequence[KeptCapture]  # in the order in which they were taken
    objects: Mapping[str, str]  # SOP Instance UID -> SHA-256 of its data set
    mpps_uid: str


@dataclass(frozen=True)
class Kept:
    exams: Mapping[str, KeptExam]
    half_written: Sequence[str] = ()
    not_delivered: Sequence[str] = ()


@dataclass
class Arrived:
    """The hospital's journal, read back."""

    stored: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # UID -> SHA-256 of the data sets
    about: dict[str, Entry] = field(default_factory=dict)  # UID -> what the data set says
    sent_again: int = 0
    committed: set[str] = field(default_factory=set)
    messages: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))  # step -> as they came
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, journal: Sequence[Entry]) -> Arrived:
        arrived = cls()
        for entry in journal:
            if "stored" in entry:
                uid = entry["stored"]
                arrived.stored[uid].add(entry["sha256"])
                arrived.about.setdefault(uid, entry)
                arrived.sent_again += bool(entry["again"])
                if entry["named"] != uid:
                    arrived.problems.append(f"instance {uid} was sent under the name {entry['named']}")
            elif "committed" in entry:
                arrived.committed.update(entry["committed"])
            elif "mpps" in entry:
                arrived.messages[entry["uid"]].append(entry)
        return arrived


def violations(told: Told, kept: Kept, arrived: Arrived) -> list[str]:
    """Every broken promise in words; none is what is wanted."""
    found = [*told.problems, *arrived.problems]
    found += [f"half written: {name}" for name in kept.half_written]
    found += [f"not delivered: {what}" for what in kept.not_delivered]
    images: dict[str, list[Entry]] = defaultdict(list)
    for entry in arrived.about.values():
        images[entry["patient_id"]].append(entry)
    for exam_id, exam in told.exams.items():
        known = kept.exams.get(exam_id)
        if known is None:
            found.append(f"LOST: exam {exam_id} is not in the records")
            continue
        found += _captures(exam_id, exam, known)
        if exam.end == "finished":
            found += _delivered(exam_id, exam, known, images[exam.patient_id])
        found += _step(exam_id, exam, known, arrived.messages.get(known.mpps_uid, []))
    found += _objects(kept, arrived)
    found += [f"a step of no exam: {uid}" for uid in arrived.messages if uid not in _steps(kept)]
    return found


def _captures(exam_id: str, exam: ToldExam, known: KeptExam) -> Iterator[str]:
    kept = {capture.capture_id: capture for capture in known.captures}
    for capture_id, capture in exam.captures.items():
        if capture_id not in kept:
            yield f"LOST: capture {capture_id} of exam {exam_id} was reported and is not in the records"
        elif kept[capture_id].pixels != capture.pixels:
            yield f"CHANGED: capture {capture_id} was reported with other pixels: {kept[capture_id].pixels}"


def _delivered(exam_id: str, exam: ToldExam, known: KeptExam, arrived: list[Entry]) -> Iterator[str]:
    """For each eye the capture that was taken last, once, with these pixels; and one report."""
    accepted = {capture.eye: capture for capture in known.captures}
    for eye, capture in accepted.items():
        found = [each for each in arrived if each["laterality"] == eye and not each["is_report"]]
        if not found:
            yield f"LOST: capture {capture.capture_id} of exam {exam_id} never arrived"
        if len(found) > 1:
            uids = ", ".join(each["stored"] for each in found)
            yield f"DOUBLED: capture {capture.capture_id} of exam {exam_id} arrived {len(found)} times: {uids}"
        for each in found:
            if each["pixels"] != capture.pixels:
                yield f"CHANGED: instance {each['stored']} does not show capture {capture.capture_id}"
    for eye in {capture.eye for capture in exam.captures.values()} - set(accepted):
        yield f"LOST: the {eye} eye of exam {exam_id}"
    reports = [each for each in arrived if each["is_report"]]
    if len(reports) != 1:
        yield f"{'DOUBLED' if reports else 'LOST'}: exam {exam_id} has {len(reports)} reports in the archive"
    if exam.instances and exam.instances != set(known.objects):
        yield f"exam {exam_id} was told to have other instances than it has"


def _objects(kept: Kept, arrived: Arrived) -> Iterator[str]:
    ours: dict[str, str] = {}
    for exam in kept.exams.values():
        ours.update(exam.objects)
    for uid, sha256 in ours.items():
        there = arrived.stored.get(uid, set())
        if not there:
            yield f"LOST: instance {uid} is not in the archive"
        elif there != {sha256}:
            yield f"CHANGED: instance {uid} came with {len(there)} contents, or not with ours"
        if uid not in arrived.committed:
            yield f"instance {uid} was never committed to"
    for uid in set(arrived.stored) - set(ours):
        yield f"DOUBLED: the archive has an instance that is none of ours: {uid}"


def _step(exam_id: str, exam: ToldExam, known: KeptExam, came: Sequence[Entry]) -> Iterator[str]:
    """IN PROGRESS first and once, its end after it and once; what came again was the same, and came in its turn."""
    if not known.is_finished:
        yield f"exam {exam_id} is not closed"
    end = {"finished": "COMPLETED", "abandoned": "DISCONTINUED", "": "its end"}[exam.end]
    performed = [(each["mpps"], each["step"]) for each in came if each["performed"]]
    if performed != [("N-CREATE", "IN PROGRESS"), ("N-SET", end)]:
        yield f"MPPS: step of exam {exam_id} was performed as {performed}"
    asked = [(each["mpps"], each["step"], each["sha256"]) for each in came]
    in_turn = [each for number, each in enumerate(asked) if number == 0 or each != asked[number - 1]]
    if len(in_turn) > 2 or [each[0] for each in in_turn] != ["N-CREATE", "N-SET"][: len(in_turn)]:
        yield f"MPPS: step of exam {exam_id} was asked for as {[each[:2] for each in in_turn]}"


def _steps(kept: Kept) -> set[str]:
    return {exam.mpps_uid for exam in kept.exams.values()}


def out_of_order(journal: Sequence[Entry]) -> list[str]:
    """Steps that were begun at the node in another order than theirs, among those that nobody refused for good."""
    refused = {entry["uid"] for entry in journal if entry.get("mpps") and entry["status"] not in PASSING}
    performed = [entry["uid"] for entry in journal if entry.get("mpps") and entry["uid"] not in refused]
    in_turn = [uid for number, uid in enumerate(performed) if number == 0 or uid != performed[number - 1]]
    return [f"MPPS: step {uid} was left and taken up again" for uid, n in Counter(in_turn).items() if n > 1]


# Success, come back later, and the two that mean "already" (PS3.4 F.7.2, PS3.7 annex C).
PASSING = ("0000", "0213", "0111", "0110")
