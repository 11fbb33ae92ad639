"""The statuses that only a printer answers with, in words (PS3.4 H.4.1 to H.4.3)."""

from __future__ import annotations

from typing import Final

from firmware_app.dicom.statuses import PROCESSING_FAILURE, RESOURCE_LIMITATION, describe_status

PRINT_QUEUE_FULL_SESSION: Final = 0xC601
PRINT_QUEUE_FULL: Final = 0xC602

WORDS: Final[dict[int, str]] = {
    0xB600: "memory allocation is not supported",
    0xB601: "film session printing (collation) is not supported",
    0xB602: "the film session holds no image: an empty page",
    0xB603: "the film holds no image: an empty page",
    0xB604: "the image is larger than its image box: it has been demagnified",
    0xB605: "minimum or maximum density is outside the printer's range: it uses its own",
    0xB609: "the image is larger than its image box: it has been cropped to fit",
    0xB60A: "the image is larger than its image box: it has been decimated to fit",
    0xC600: "the film session holds no film",
    PRINT_QUEUE_FULL_SESSION: "no print job could be created: the print queue is full",
    PRINT_QUEUE_FULL: "no print job could be created: the print queue is full",
    0xC603: "the image is larger than its image box",
    0xC605: "the printer's memory does not hold the image",
    0xC613: "the combined print image is larger than its image box",
    0xC616: "the printer prints one film after the other, and an earlier one has not been printed yet",
}
# The same film may be taken later, without anybody changing it; of these, what says that it has not begun to print it.
NOT_BEGUN: Final = frozenset({PRINT_QUEUE_FULL_SESSION, PRINT_QUEUE_FULL, RESOURCE_LIMITATION})
TRANSIENT: Final = NOT_BEGUN | {0xC605, 0xC616, PROCESSING_FAILURE}


def describe_print_status(status: int) -> str:
    """For example `B604H the image is larger than its image box: it has been demagnified`."""
    words = WORDS.get(status)
    return describe_status(status) if words is None else f"{status:04X}H {words}"
