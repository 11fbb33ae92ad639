"""Rejections, aborts and context results in words (PS3.8 tables 9-18, 9-21 and 9-26)."""

from __future__ import annotations

REJECTED_PERMANENT = 1
REJECTED_TRANSIENT = 2

SOURCE_USER = 1
SOURCE_ACSE = 2
SOURCE_PRESENTATION = 3

REJECTION_RESULTS = {REJECTED_PERMANENT: "permanently", REJECTED_TRANSIENT: "for now"}
REJECTION_SOURCES = {
    SOURCE_USER: "the application",
    SOURCE_ACSE: "its association layer (ACSE)",
    SOURCE_PRESENTATION: "its presentation layer",
}
REJECTION_REASONS = {
    (SOURCE_USER, 1): "no reason given",
    (SOURCE_USER, 2): "application context name not supported",
    (SOURCE_USER, 3): "calling AE title not recognized",
    (SOURCE_USER, 7): "called AE title not recognized",
    (SOURCE_ACSE, 1): "no reason given",
    (SOURCE_ACSE, 2): "protocol version not supported",
    (SOURCE_PRESENTATION, 1): "temporary congestion",
    (SOURCE_PRESENTATION, 2): "local limit exceeded",
}
ABORT_SOURCE_USER = 0
ABORT_SOURCE_PROVIDER = 2
ABORT_SOURCES = {ABORT_SOURCE_USER: "its application", ABORT_SOURCE_PROVIDER: "its DICOM layer"}
ABORT_REASONS = {
    0: "no reason given",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}
CONTEXT_ACCEPTED = 0
CONTEXT_RESULTS = {
    CONTEXT_ACCEPTED: "accepted",
    1: "rejected by the application",
    2: "rejected without a reason",
    3: "abstract syntax not supported",
    4: "transfer syntaxes not supported",
}


def describe_rejection(result: int, source: int, reason: int) -> str:
    """For example `rejected permanently by the application: called AE title not recognized`."""
    result_words = REJECTION_RESULTS.get(result, f"with the unknown result {result}")
    source_words = REJECTION_SOURCES.get(source, f"the unknown source {source}")
    reason_words = REJECTION_REASONS.get((source, reason), f"unknown reason {reason}")
    return f"rejected {result_words} by {source_words}: {reason_words}"


def is_permanent_rejection(result: int) -> bool:
    """Only what the peer itself calls transient is worth another attempt with the same configuration."""
    return result != REJECTED_TRANSIENT


def describe_abort(source: int, reason: int) -> str:
    """For example `aborted by its DICOM layer: unexpected PDU`."""
    source_words = ABORT_SOURCES.get(source, f"the unknown source {source}")
    if source != ABORT_SOURCE_PROVIDER:
        return f"aborted by {source_words}"  # PS3.8 9.3.8: the reason of a service user is not significant
    return f"aborted by {source_words}: {ABORT_REASONS.get(reason, f'unknown reason {reason}')}"


def describe_context_result(result: int) -> str:
    return CONTEXT_RESULTS.get(result, f"unknown result {result}")
