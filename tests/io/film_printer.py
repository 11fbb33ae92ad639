"""A printer that does what a test tells it: every answer of a film session, and every way to spoil one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from dicom_acceptor import Answer
from pydicom.dataset import Dataset

from firmware_app.dicom.command import DATA_SET_PRESENT, NO_DATA_SET, Command, CommandField
from firmware_app.dicom.message import Message
from firmware_app.dicom.uids import (
    BASIC_FILM_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_IMAGE_BOX,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PRINT_JOB,
    PRINTER,
    PRINTER_INSTANCE,
)
from firmware_app.net.association import ContextPair
from firmware_app.net.attributes import decode_attributes, encode_attributes

EXPLICIT_CONTEXTS: tuple[ContextPair, ...] = ((BASIC_GRAYSCALE_PRINT_MANAGEMENT_META, (EXPLICIT_VR_LITTLE_ENDIAN,)),)
CONTEXTS: tuple[ContextPair, ...] = ((BASIC_GRAYSCALE_PRINT_MANAGEMENT_META, (IMPLICIT_VR_LITTLE_ENDIAN,)),)
GET, CREATE, SET = CommandField.N_GET_RQ, CommandField.N_CREATE_RQ, CommandField.N_SET_RQ
ACTION, DELETE, REPORT = CommandField.N_ACTION_RQ, CommandField.N_DELETE_RQ, CommandField.N_EVENT_REPORT_RQ
# Each step of a session by a word that tests can spoil it by.
STEPS = {
    (GET, PRINTER): "get",
    (CREATE, BASIC_FILM_SESSION): "session",
    (CREATE, BASIC_FILM_BOX): "box",
    (SET, BASIC_GRAYSCALE_IMAGE_BOX): "image",
    (ACTION, BASIC_FILM_BOX): "print",
    (DELETE, BASIC_FILM_BOX): "delete box",
    (DELETE, BASIC_FILM_SESSION): "delete session",
}


@dataclass(frozen=True)
class Report:
    """One N-EVENT-REPORT; without `info` it comes without a data set."""

    event: int
    info: str = ""
    sop_class_uid: str = PRINTER
    garbled: bool = False


@dataclass
class FilmPrinter:
    """The handler of an acceptor. `status` and `misdeed` are by step, or by step and number such as `image 2`."""

    status: Mapping[str, int] = field(default_factory=dict)
    misdeed: Mapping[str, Answer] = field(default_factory=dict)
    reports: Mapping[str, list[Report]] = field(default_factory=dict)  # sent before the answer to the step
    state: str = "NORMAL"
    info: str = "NORMAL"
    boxes: int | None = None  # another number of image boxes than asked for
    without_box_uids: bool = False
    own_uids: bool = False  # it does not keep those that we propose
    transfer_syntax: str = IMPLICIT_VR_LITTLE_ENDIAN
    given_uid: Mapping[str, str] = field(default_factory=dict)  # by step: what it names the instance instead
    octets: Mapping[str, bytes] = field(default_factory=dict)  # by step: what it answers instead of a data set of ours
    job_uid: str = ""
    job_sequence: str = "ReferencedPrintJobSequence"
    steps: list[str] = field(default_factory=list)
    uids: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Dataset] = field(default_factory=dict)
    reported: list[int] = field(default_factory=list)  # how our reports were answered
    on_step: Callable[[str], None] = lambda step: None
    _counted: dict[str, int] = field(default_factory=dict)

    def __call__(self, message: Message) -> Iterator[Answer]:
        command = message.command
        if command.command_field.is_response:
            assert command.status is not None
            self.reported.append(command.status)
            return
        sop_class_uid = command.affected_sop_class_uid or command.requested_sop_class_uid or ""
        step = STEPS[command.command_field, sop_class_uid]
        self._counted[step] = self._counted.get(step, 0) + 1
        numbered = f"{step} {self._counted[step]}"
        self.steps.append(step)
        self.on_step(step)
        self.uids[numbered] = command.affected_sop_instance_uid or command.requested_sop_instance_uid or ""
        self.attributes[numbered] = decode_attributes(message.data_set, self.transfer_syntax)
        for number, report in enumerate(self.reports.get(numbered, self.reports.get(step, [])), start=1):
            yield reported(message.context_id, 1000 + number, report)
        misdeed = self.misdeed.get(numbered, self.misdeed.get(step))
        if misdeed is not None:
            yield misdeed
            return
        yield self.answer(message, step, self.status.get(numbered, self.status.get(step, 0)))

    def answer(self, message: Message, step: str, status: int) -> Message:
        asked = message.command
        proposed = asked.affected_sop_instance_uid or asked.requested_sop_instance_uid
        uid = f"9.9.{len(self.steps)}" if self.own_uids and asked.command_field is CREATE else proposed
        uid = self.given_uid.get(step, uid)
        reply = self.reply(step, message) if status & 0xF000 != 0xC000 and status not in (0x0106, 0x0110) else None
        octets = self.octets.get(step) or (encode_attributes(reply, self.transfer_syntax) if reply else None)
        command = Command(
            command_field=asked.command_field.response,
            message_id_being_responded_to=asked.message_id,
            affected_sop_instance_uid=uid if asked.command_field is CREATE else None,
            status=status,
            data_set_type=DATA_SET_PRESENT if octets else NO_DATA_SET,
        )
        return Message(message.context_id, command, octets)

    def reply(self, step: str, message: Message) -> Dataset | None:
        reply = Dataset()
        if step == "get":
            reply.PrinterStatus, reply.PrinterStatusInfo, reply.PrinterName = self.state, self.info, "LAB"
            reply.Manufacturer, reply.ManufacturerModelName, reply.DeviceSerialNumber = "MAKER", "FILM 9", "S1"
            reply.SoftwareVersions = ["1.0", "2.0"]
        elif step == "box":
            asked = decode_attributes(message.data_set, self.transfer_syntax)
            columns, rows = asked.ImageDisplayFormat.partition("\\")[2].split(",")
            places = int(columns) * int(rows) if self.boxes is None else self.boxes
            reply.ReferencedImageBoxSequence = [self.image_box(number) for number in range(places)]
        elif step == "print" and self.job_uid:
            job = Dataset()
            job.ReferencedSOPClassUID, job.ReferencedSOPInstanceUID = PRINT_JOB, self.job_uid
            setattr(reply, self.job_sequence, [job])
        return reply if len(reply) else None

    def image_box(self, number: int) -> Dataset:
        """Without Referenced SOP Class UID, and not in the order of their UIDs."""
        box = Dataset()
        if self.without_box_uids:
            box.ReferencedSOPClassUID = BASIC_GRAYSCALE_IMAGE_BOX
        else:
            box.ReferencedSOPInstanceUID = f"8.8.{100 - number}"
        return box


def reported(context_id: int, message_id: int, report: Report) -> Message:
    information = Dataset()
    if report.info:
        information.PrinterName = "LAB"
        if report.sop_class_uid == PRINT_JOB:
            information.ExecutionStatusInfo = report.info
        else:
            information.PrinterStatusInfo = report.info
    octets = (
        b"\x28\x00\x10\x00\x03\x00\x00\x00ABC\x00"
        if report.garbled
        else encode_attributes(information, IMPLICIT_VR_LITTLE_ENDIAN)
    )
    command = Command(
        command_field=REPORT,
        message_id=message_id,
        affected_sop_class_uid=report.sop_class_uid,
        affected_sop_instance_uid=PRINTER_INSTANCE,
        event_type_id=report.event,
        data_set_type=DATA_SET_PRESENT if octets else NO_DATA_SET,
    )
    return Message(context_id, command, octets or None)
