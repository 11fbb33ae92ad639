"""What a printer says of itself: the answer to N-GET, and its reports in between (PS3.4 H.4.5 and H.4.6)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_app.dicom.uids import PRINT_JOB
from firmware_app.net.attributes import AttributesUnreadable
from firmware_app.net.performer import EventReport

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NORMAL, WARNING, FAILURE = "NORMAL", "WARNING", "FAILURE"
PRINTER_EVENTS: Final[dict[int, str]] = {1: NORMAL, 2: WARNING, 3: FAILURE}  # PS3.4 table H.4-23
PRINT_JOB_EVENTS: Final[dict[int, str]] = {1: "PENDING", 2: "PRINTING", 3: "DONE", 4: FAILURE}  # PS3.4 table H.4-16
UNTOLD_MAX = 100  # a printer that reports without end pushes its oldest news out
TOLD_MAX = 50  # while a film is printed; of a printer that reports without end we know enough then
TEXT_MAX = 200  # of each thing that a printer says: its VRs hold at most 64


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """The printer as it describes itself; what it leaves out is empty. `problem`: why it did not say."""

    state: str = ""
    info: str = ""
    name: str = ""
    manufacturer: str = ""
    model_name: str = ""
    serial_number: str = ""
    software_versions: str = ""
    problem: str = ""

    @property
    def words(self) -> str:
        """`FAILURE (FILM JAM)`."""
        return _words(self.state, self.info)


@dataclass(frozen=True, slots=True)
class PrinterNews:
    """One report. `info` is the reason for a warning or failure, such as `SUPPLY LOW`."""

    about: str  # "printer" or "print job"
    state: str
    info: str = ""
    printer_name: str = ""
    film_destination: str = ""

    @property
    def is_trouble(self) -> bool:
        return self.state in (WARNING, FAILURE)

    @property
    def words(self) -> str:
        return _words(self.state, self.info)


class HeardNews:
    """What has been reported on one association: the last word of the printer, and what nobody has been told yet."""

    def __init__(self) -> None:
        self.of_printer: PrinterNews | None = None
        self._untold: deque[PrinterNews] = deque(maxlen=UNTOLD_MAX)
        self._last: dict[str, PrinterNews] = {}
        self._told = 0

    def add(self, news: PrinterNews) -> bool:
        """Whether it is worth telling at once: nothing that was said just before, and not the thousandth."""
        if news.about == "printer":
            self.of_printer = news
        if self._last.get(news.about) == news:
            return False
        self._last[news.about] = news
        self._untold.append(news)
        self._told += 1
        return self._told <= TOLD_MAX

    def take(self) -> tuple[PrinterNews, ...]:
        taken = tuple(self._untold)
        self._untold.clear()
        return taken


def read_status(attributes: Dataset) -> PrinterStatus:
    return PrinterStatus(
        state=_text(attributes, "PrinterStatus"),
        info=_text(attributes, "PrinterStatusInfo"),
        name=_text(attributes, "PrinterName"),
        manufacturer=_text(attributes, "Manufacturer"),
        model_name=_text(attributes, "ManufacturerModelName"),
        serial_number=_text(attributes, "DeviceSerialNumber"),
        software_versions=_text(attributes, "SoftwareVersions"),
    )


def read_news(report: EventReport) -> PrinterNews:
    """Never fails: a printer that cannot write its reasons still has a state."""
    is_job = report.sop_class_uid == PRINT_JOB
    events = PRINT_JOB_EVENTS if is_job else PRINTER_EVENTS
    state = events.get(report.event_type_id or 0, f"unknown event {report.event_type_id}")
    about = "print job" if is_job else "printer"
    try:
        attributes = report.decode()
    except AttributesUnreadable as error:
        return PrinterNews(about, state, f"its reason cannot be read: {error}")
    return PrinterNews(
        about,
        state,
        _text(attributes, "ExecutionStatusInfo" if is_job else "PrinterStatusInfo"),
        _text(attributes, "PrinterName"),
        _text(attributes, "FilmDestination"),
    )


def _words(state: str, info: str) -> str:
    return f"{state} ({info})" if info and info != state else state or "nothing of its state"


def _text(attributes: Dataset, keyword: str) -> str:
    value = attributes.get(keyword)
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return "\\".join(str(each) for each in values if each is not None)[:TEXT_MAX]
