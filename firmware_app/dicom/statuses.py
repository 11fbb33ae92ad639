"""DIMSE statuses in words, and what to do about them (PS3.7 annex C; PS3.4 tables B.2-1, C.4-1 and K.4-1)."""

from __future__ import annotations

from typing import Literal

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_WARNING = 0xFF01  # a match all the same: optional keys were not supported
CANCELLED = 0xFE00
PROCESSING_FAILURE = 0x0110
NO_SUCH_SOP_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT_VALUE = 0x0115
NO_SUCH_SOP_CLASS = 0x0118
RESOURCE_LIMITATION = 0x0213
SOP_CLASS_NOT_SUPPORTED = 0x0122
UNRECOGNIZED_OPERATION = 0x0211

StoreCategory = Literal["stored", "warning", "retry", "permanent"]
FindCategory = Literal["pending", "success", "cancelled", "retry", "permanent"]
NormalizedCategory = Literal["success", "warning", "failure"]

GENERAL_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})
# The peer is overloaded, shutting the operation down, or failed inside: the same message may succeed later.
GENERAL_TRANSIENT = frozenset({PROCESSING_FAILURE, RESOURCE_LIMITATION, CANCELLED})

WORDS = {
    0x0000: "success",
    0x0001: "requested optional attributes are not supported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0113: "no such event type",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0123: "no such action type",
    0x0124: "not authorized",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xA700: "out of resources",
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending, optional keys are not supported",
}


def describe_status(status: int) -> str:
    """For example `A700H out of resources`."""
    words = WORDS.get(status)
    if words is None:
        if status & 0xFF00 == 0xA700:
            words = "out of resources"
        elif status & 0xFF00 == 0xA900:
            words = "data set does not match SOP class"
        elif status & 0xF000 == 0xC000:
            words = "cannot understand or process"
        elif status & 0xF000 == 0xB000:
            words = "warning"
        else:
            words = "unknown status"
    return f"{status:04X}H {words}"


def store_category(status: int) -> StoreCategory:
    """`stored` and `warning` are safe at the peer; `retry` may succeed later; `permanent` needs a person."""
    if status == SUCCESS:
        return "stored"
    if status & 0xF000 == 0xB000 or status in GENERAL_WARNINGS:
        return "warning"
    if status & 0xFF00 == 0xA700 or status in GENERAL_TRANSIENT:
        return "retry"
    return "permanent"


def find_category(status: int) -> FindCategory:
    if status in (PENDING, PENDING_WARNING):
        return "pending"
    if status == SUCCESS:
        return "success"
    if status == CANCELLED:
        return "cancelled"
    if status & 0xFF00 == 0xA700 or status in GENERAL_TRANSIENT:
        return "retry"
    return "permanent"


def normalized_category(status: int) -> NormalizedCategory:
    """Of an N- service: after `success` and `warning` the operation has been done."""
    if status == SUCCESS:
        return "success"
    return "warning" if status & 0xF000 == 0xB000 or status in GENERAL_WARNINGS else "failure"
