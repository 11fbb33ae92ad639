"""What an answer to N-CREATE or N-SET of a performed procedure step means, also after one was lost."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_app.net.mpps import failure_words, judge_failure

# Operation, status, Error ID, what it means when asked for the first time, and after an answer was lost.
JUDGEMENTS = [
    ("N-CREATE", 0x0111, None, "permanent", "warning"),  # duplicate SOP instance
    ("N-CREATE", 0x0110, None, "retry", "retry"),
    ("N-CREATE", 0x0110, 0xA710, "retry", "retry"),
    ("N-CREATE", 0x0213, None, "retry", "retry"),
    ("N-CREATE", 0xA700, None, "retry", "retry"),
    ("N-CREATE", 0x0106, None, "permanent", "permanent"),
    ("N-CREATE", 0x0120, None, "permanent", "permanent"),
    ("N-CREATE", 0x0121, None, "permanent", "permanent"),
    ("N-CREATE", 0x0122, None, "permanent", "permanent"),
    ("N-CREATE", 0x0124, None, "permanent", "permanent"),
    ("N-CREATE", 0xC000, None, "permanent", "permanent"),
    ("N-SET", 0x0110, None, "permanent", "warning"),  # may no longer be updated
    ("N-SET", 0x0110, 0xA710, "permanent", "warning"),
    ("N-SET", 0xA710, None, "permanent", "warning"),
    ("N-SET", 0x0110, 0xA700, "retry", "retry"),
    ("N-SET", 0x0213, None, "retry", "retry"),
    ("N-SET", 0xA701, None, "retry", "retry"),
    ("N-SET", 0x0112, None, "permanent", "permanent"),
    ("N-SET", 0x0111, None, "permanent", "permanent"),
    ("N-SET", 0x0106, None, "permanent", "permanent"),
]
WORDS: list[tuple[Any, int, bool, str]] = [
    ("N-CREATE", 0x0111, False, "another step has this UID"),
    ("N-CREATE", 0x0111, True, "whose answer was lost"),
    ("N-SET", 0x0110, False, "may no longer be updated"),
    ("N-SET", 0xA710, False, "may no longer be updated"),
    ("N-SET", 0x0110, True, "whose answer was lost"),
    ("N-SET", 0x0112, False, "not known there"),
    ("N-SET", 0x0106, False, ""),
]


@pytest.mark.parametrize(("operation", "status", "error_id", "first", "again"), JUDGEMENTS)
def test_what_a_failure_means(operation: Any, status: int, error_id: int | None, first: str, again: str) -> None:
    assert judge_failure(operation, status, error_id, in_doubt=False) == first
    assert judge_failure(operation, status, error_id, in_doubt=True) == again


@pytest.mark.parametrize(("operation", "status", "in_doubt", "words"), WORDS)
def test_a_failure_is_told_in_words(operation: Any, status: int, in_doubt: bool, words: str) -> None:
    said = failure_words(operation, status, None, in_doubt=in_doubt)
    assert words in said
    assert bool(said) == bool(words)
