"""Statuses, rejections and aborts: what they mean for the sender, and in words."""

from __future__ import annotations

import pytest
from pynetdicom.status import GENERAL_STATUS, STORAGE_SERVICE_CLASS_STATUS

from firmware_app.dicom.reasons import (
    describe_abort,
    describe_context_result,
    describe_rejection,
    is_permanent_rejection,
)
from firmware_app.dicom.statuses import WORDS, describe_status, find_category, normalized_category, store_category

CATEGORY = {"Success": {"stored"}, "Warning": {"warning"}, "Failure": {"retry", "permanent"}, "Cancel": {"retry"}}


@pytest.mark.parametrize(
    ("status", "category", "words"),
    [
        (0x0000, "stored", "0000H success"),
        (0xB000, "warning", "B000H coercion of data elements"),
        (0xB006, "warning", "B006H elements discarded"),
        (0xB007, "warning", "B007H data set does not match SOP class"),
        (0xB123, "warning", "B123H warning"),
        (0xA700, "retry", "A700H out of resources"),
        (0xA7FF, "retry", "A7FFH out of resources"),
        (0xA900, "permanent", "A900H data set does not match SOP class"),
        (0xC000, "permanent", "C000H cannot understand or process"),
        (0xCFFF, "permanent", "CFFFH cannot understand or process"),
        (0x0110, "retry", "0110H processing failure"),
        (0x0213, "retry", "0213H resource limitation"),
        (0x0122, "permanent", "0122H SOP class not supported"),
        (0x0124, "permanent", "0124H not authorized"),
        (0x1234, "permanent", "1234H unknown status"),
        (0xFF00, "permanent", "FF00H pending"),
    ],
)
def test_store_statuses(status: int, category: str, words: str) -> None:
    assert store_category(status) == category
    assert describe_status(status) == words


def test_no_store_status_is_taken_for_better_or_worse_than_it_is() -> None:
    for status, (theirs, _) in STORAGE_SERVICE_CLASS_STATUS.items():
        assert store_category(status) in CATEGORY[theirs], f"{status:04X}H"


@pytest.mark.parametrize(("status", "category"), [(0xFF00, "pending"), (0xFF01, "pending"), (0, "success")])
def test_find_statuses(status: int, category: str) -> None:
    assert find_category(status) == category


@pytest.mark.parametrize(
    ("status", "category"),
    [(0x0000, "success"), (0x0116, "warning"), (0xB600, "warning"), (0x0112, "failure"), (0xC001, "failure")],
)
def test_statuses_of_normalized_operations(status: int, category: str) -> None:
    assert normalized_category(status) == category


@pytest.mark.parametrize(
    ("status", "category"), [(0xFE00, "cancelled"), (0xA700, "retry"), (0xA900, "permanent"), (0xC001, "permanent")]
)
def test_find_failures(status: int, category: str) -> None:
    assert find_category(status) == category


def test_every_general_status_has_words() -> None:
    assert set(GENERAL_STATUS) <= set(WORDS)


def test_rejections() -> None:
    assert describe_rejection(1, 1, 3) == "rejected permanently by the application: calling AE title not recognized"
    assert describe_rejection(2, 3, 2) == "rejected for now by its presentation layer: local limit exceeded"
    assert describe_rejection(2, 2, 1) == "rejected for now by its association layer (ACSE): no reason given"
    assert describe_rejection(7, 8, 9) == "rejected with the unknown result 7 by the unknown source 8: unknown reason 9"
    assert [is_permanent_rejection(result) for result in (1, 2, 0)] == [True, False, True]


def test_aborts_and_contexts() -> None:
    assert describe_abort(0, 5) == "aborted by its application"
    assert describe_abort(2, 2) == "aborted by its DICOM layer: unexpected PDU"
    assert describe_abort(2, 99) == "aborted by its DICOM layer: unknown reason 99"
    assert describe_context_result(3) == "abstract syntax not supported"
    assert describe_context_result(200) == "unknown result 200"
