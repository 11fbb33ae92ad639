"""When an exam goes and when none may begin: tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from firmware_app.model import CommitmentState, DeliveryState
from firmware_app.records.steering import Tally
from firmware_app.services.retention_rules import RetentionRules, Room, Space, amount, blocked_words, why_remove

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
GB = 1_000_000_000
RULES = RetentionRules(keep_days=30, min_free_percent=10.0, reserve_bytes=GB // 2)
ROOMS = [
    (Space(10 * GB, 5 * GB), Room.AMPLE),
    (Space(10 * GB, GB), Room.AMPLE),  # exactly what is to be kept free
    (Space(10 * GB, GB - 1), Room.LOW),
    (Space(10 * GB, GB // 2), Room.LOW),
    (Space(10 * GB, GB // 2 - 1), Room.NEARLY_FULL),
    (Space(10 * GB, 0), Room.NEARLY_FULL),
    (Space(1 * GB, GB // 2 - 1), Room.NEARLY_FULL),  # the reserve counts also where the share does not
    (Space(10 * GB, 5 * GB, free_files=999), Room.NEARLY_FULL),
    (Space(10 * GB, 5 * GB, free_files=1000), Room.AMPLE),
    (Space(0, 0), Room.NEARLY_FULL),
]


@pytest.mark.parametrize(("space", "room"), ROOMS)
def test_how_much_room_there_is(space: Space, room: Room) -> None:
    assert space.room(RULES) is room


AMPLE, LOW = Space(10 * GB, 5 * GB), Space(100 * GB, 9 * GB)
REASONS = [
    (AMPLE, 30, 0, None),
    (AMPLE, 30, 30, None),
    (AMPLE, 30, 31, "older than 30 days"),
    (AMPLE, 0, 9999, None),  # no limit
    (LOW, 30, 1, "to make room: 9.0 GB of 100.0 GB free (9 %)"),
    (LOW, 30, 31, "older than 30 days"),
    (AMPLE, 30, -1, None),  # a clock that was set back
]


@pytest.mark.parametrize(("space", "keep_days", "age_days", "reason"), REASONS)
def test_why_an_exam_goes(space: Space, keep_days: int, age_days: int, reason: str | None) -> None:
    rules = RetentionRules(keep_days, 10.0, GB // 2)
    assert why_remove(NOW - timedelta(days=age_days), space, rules, NOW) == reason


def tally(state: DeliveryState, count: int, commitment: CommitmentState = CommitmentState.NONE) -> Tally:
    return Tally("" if state is DeliveryState.CAPTURED else "storage", state, commitment, False, False, count)


def test_what_waits_for_what_in_words() -> None:
    blocking = [
        tally(DeliveryState.CAPTURED, 1),
        tally(DeliveryState.QUEUED, 12),
        tally(DeliveryState.HELD, 2),
        tally(DeliveryState.FAILED, 3),
        tally(DeliveryState.STORED, 5),
        tally(DeliveryState.STORED, 4, CommitmentState.REQUESTED),
        tally(DeliveryState.STORED, 6, CommitmentState.REFUSED),
    ]
    assert blocked_words(blocking, 2, stored_stays=True).split("; ") == [
        "12 exams queued at storage",
        "6 exams commitment refused at storage",
        "5 exams stored at storage, where nobody commits to them",
        "4 exams commitment requested at storage",
        "3 exams failed at storage (queue retry, queue redirect)",
        "2 exams held for storage (queue release)",
        "1 exam captured and sent nowhere (send EXAM_ID)",
        "2 exams never closed (exam resume)",
    ]
    assert blocked_words([], 0, stored_stays=True) == "no exam waits for anything"


def test_amounts() -> None:
    assert [amount(octets) for octets in (0, 512_000_000, 999_999_999, 57_900_000_000)] == [
        "0 MB",
        "512 MB",
        "1000 MB",
        "57.9 GB",
    ]
