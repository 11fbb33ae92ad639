"""The words for where an instance stands: every state, what belongs to it, and nothing of the peer's in the log's."""

from __future__ import annotations

from itertools import product

import pytest

from firmware_app.model import CommitmentState, Delivery, DeliveryState
from firmware_app.records.queue import WHERE_STANDING
from firmware_app.services.queue_commands import STANDINGS
from firmware_app.services.standing import Standing, moved, ordinal, sentence, shown, standing, standing_of

S, C = DeliveryState, CommitmentState
NEXT = "2026-03-01T09:00:02.500000+00:00"
COMMENT = "archive (A at 1.2.3.4:104): A700H out of resources ('no room for Yamada')"


def delivery(state: DeliveryState, **changes: object) -> Delivery:
    node = "" if state is S.CAPTURED else "archive"
    return Delivery("1.2.3", "1.2", "exam-1", node, state, **changes)  # type: ignore[arg-type]


CASES: list[tuple[Delivery, str]] = [
    (delivery(S.CAPTURED), "captured: not queued for any node"),
    (delivery(S.QUEUED, next_attempt_at=NEXT), "queued"),
    (
        delivery(S.QUEUED, attempts=3, reason="cannot connect: refused", next_attempt_at=NEXT),
        "queued after 3 attempts, next attempt 2026-03-01 09:00:02Z: cannot connect: refused",
    ),
    (
        delivery(S.QUEUED, attempts=1, status=0xA700, reason=COMMENT, next_attempt_at=NEXT),
        "queued after 1 attempt, next attempt 2026-03-01 09:00:02Z: A700H out of resources",
    ),
    (
        delivery(S.QUEUED, status=0, attempts=1, next_attempt_at=NEXT, commitment_reason="0112H no such; stored again"),
        "queued after 1 attempt, next attempt 2026-03-01 09:00:02Z; 0112H no such; stored again",
    ),
    (delivery(S.QUEUED, node_held=True, next_attempt_at=NEXT), "held (node archive is held)"),
    (delivery(S.HELD, attempts=1, reason="refused"), "held (by hand) after 1 attempt: refused"),
    (delivery(S.SENDING, attempts=2, reason="refused"), "sending, 2nd attempt"),
    (delivery(S.STORED, attempts=1, status=0), "stored"),
    (delivery(S.STORED, attempts=1, status=0xB000), "stored with a warning: B000H coercion of data elements"),
    (delivery(S.STORED, attempts=1, status=0xB006), "stored with a warning: B006H elements discarded"),
    (delivery(S.STORED, attempts=1, status=0xB007), "stored with a warning: B007H data set does not match SOP class"),
    (delivery(S.STORED, status=0, commitment=C.REQUESTED), "commitment requested"),
    (
        delivery(S.STORED, status=0xB006, commitment=C.REQUESTED, commitment_reason="no report; asked again"),
        "commitment requested: no report; asked again; stored with a warning: B006H elements discarded",
    ),
    (delivery(S.STORED, status=0, commitment=C.COMMITTED), "committed"),
    (
        delivery(S.STORED, status=0, commitment=C.REFUSED, commitment_reason="0119H class and instance conflict"),
        "commitment refused: 0119H class and instance conflict",
    ),
    (
        delivery(S.FAILED, attempts=1, status=0xC000, reason=COMMENT),
        "failed after 1 attempt, not tried again until somebody decides: C000H cannot understand or process",
    ),
    (
        delivery(S.FAILED, reason="1.dcm: the checksum differs"),
        "failed, not tried again until somebody decides: 1.dcm: the checksum differs",
    ),
    (
        delivery(S.STORED, status=0, commitment=C.COMMITTED, removed_at=NEXT),
        "removed from this instrument 2026-03-01 09:00:02Z",
    ),
]


@pytest.mark.parametrize(("one", "words"), CASES, ids=[words[:30] for _, words in CASES])
def test_every_standing_in_words(one: Delivery, words: str) -> None:
    assert sentence(one) == words
    assert words.startswith(standing_of(one))
    event = moved("delivery.moved", one)
    assert event.data["standing"] == standing_of(one)
    assert words in event.text
    assert "Yamada" not in event.text


def test_the_cases_are_all_there_are() -> None:
    assert {standing_of(one) for one, _ in CASES} == set(Standing) == set(WHERE_STANDING)
    assert {word.replace("-", " ") for word in STANDINGS} == set(Standing)


def test_only_what_a_person_sees_has_the_peers_comment() -> None:
    refused = delivery(S.FAILED, attempts=1, status=0xA700, reason=COMMENT)
    assert "no room for Yamada" in shown(refused)
    assert "no room for Yamada" not in sentence(refused)


def test_every_combination_has_a_word() -> None:
    for state, commitment, held, removed in product(S, C, (False, True), (False, True)):
        word = standing(state, commitment, node_held=held, removed=removed)
        assert removed == (word is Standing.REMOVED)


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21, 112, 123)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "112th", "123rd",
    ]  # fmt: skip
