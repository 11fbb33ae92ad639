"""The frozen values that travel between the rooms. No behaviour beyond arithmetic on their own fields, no I/O.

Lengths carry their unit in the name. Text attributes hold decoded Unicode; a DICOM date is `YYYYMMDD`, a time
`HHMMSS[.ffffff]`, as in the standard's DA and TM (PS3.5 table 6.2-1), and the empty string where it is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from firmware_app.calibration import Calibration
from firmware_app.gaze import FixationPoint as FixationPoint
from firmware_app.gaze import Gaze


class Eye(StrEnum):
    """Image Laterality (0020,0062): the patient's own right or left."""

    RIGHT = "R"
    LEFT = "L"


# --------------------------------------------------------------------------------------------- instrument


@dataclass(frozen=True, slots=True)
class Position:
    """A stage position in um of the machine frame: x towards the patient's left eye, y up, z towards the eye."""

    x_um: float
    y_um: float
    z_um: float


@dataclass(frozen=True, slots=True)
class Equipment:
    """The instrument as it introduces itself in objects and reports (PS3.3 C.7.5.1)."""

    manufacturer: str
    model_name: str
    device_serial_number: str
    software_versions: str
    institution_name: str = ""
    station_name: str = ""
    institutional_department_name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One camera frame.

    `pixels` is (rows, columns), uint8 for 8 stored bits and uint16 (values below 2**bits_stored) above, read-only.
    `monotonic_ns` is CLOCK_MONOTONIC when the frame was complete; `sequence` counts the camera's own frames.
    """

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    bits_stored: int
    sequence: int
    monotonic_ns: int

    @property
    def rows(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Reject:
    """A frame of a burst that was not good enough, and why."""

    frame: Frame
    reason: str


# --------------------------------------------------------------------------------------------- patient and order


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept: Code Value, Coding Scheme Designator, Code Meaning (PS3.3 table 8.8-1)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as he or she was at the time of the exam."""

    name: str = ""  # PN in the standard's form, e.g. "Yamada^Tarou=山田^太郎=やまだ^たろう"
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    birth_date: str = ""
    sex: str = ""  # "M", "F", "O" or ""
    ethnic_group: str = ""
    weight_kg: str = ""


@dataclass(frozen=True, slots=True)
class ReferencedInstance:
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class WorklistItem:
    """One scheduled procedure step as a Modality Worklist SCP returned it (PS3.4 table K.6-1).

    `problems` names what was wrong with the item; an item is kept and flagged, never dropped.
    """

    patient: Patient
    study_instance_uid: str = ""
    accession_number: str = ""
    requested_procedure_id: str = ""
    requested_procedure_description: str = ""
    requested_procedure_codes: tuple[Code, ...] = ()
    referenced_studies: tuple[ReferencedInstance, ...] = ()
    requesting_physician: str = ""
    referring_physician: str = ""
    current_patient_location: str = ""
    scheduled_station_ae_title: str = ""
    scheduled_start_date: str = ""
    scheduled_start_time: str = ""
    modality: str = ""
    scheduled_performing_physician: str = ""
    scheduled_procedure_step_description: str = ""
    scheduled_procedure_step_location: str = ""
    scheduled_procedure_step_id: str = ""
    scheduled_protocol_codes: tuple[Code, ...] = ()
    specific_character_set: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    # Path of keywords and hexadecimal octets of every text that could not be decoded as its character set promised.
    undecoded: tuple[tuple[str, str], ...] = ()
    # Texts whose octets we would have written otherwise in the same character set, and these octets in hexadecimal.
    as_received: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FoundPatient:
    """One patient as a patient query returned it (PS3.4 C.6.1.1.2); everything else is as in a worklist item."""

    patient: Patient
    specific_character_set: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    undecoded: tuple[tuple[str, str], ...] = ()
    as_received: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Exam:
    """One visit of one patient, which is one performed procedure step.

    `worklist_items` is empty when unscheduled: the Study Instance UID is then ours. It has several where one visit
    answers several requests (the group case, PS3.17 J.4). The step's ID and start are equal in the MPPS and in every
    instance (PS3.4 table F.7.2-1); `mpps_sop_instance_uid` is empty where no MPPS is kept, and then nothing refers to
    one.
    """

    exam_id: str
    patient: Patient
    study_instance_uid: str
    series_instance_uid: str
    started_at: str  # ISO 8601 with offset; also the start of the performed procedure step
    worklist_items: tuple[WorklistItem, ...] = ()
    operator: str = ""
    performed_procedure_step_id: str = ""  # SH, ours
    mpps_sop_instance_uid: str = ""
    appended_to: str = ""  # the exam_id of the finished exam whose study this one goes on with
    found_patient: FoundPatient | None = None  # whom a patient query returned, where the exam was opened from one

    @property
    def worklist_item(self) -> WorklistItem | None:
        """The first request; None when unscheduled."""
        return self.worklist_items[0] if self.worklist_items else None


class ThicknessWay(StrEnum):
    """Both layers in one picture, or the stage's way from the one to the other."""

    ONE_PICTURE = "one picture"
    TWO_POSITIONS = "two positions"


@dataclass(frozen=True, slots=True)
class CornealThickness:
    """Central corneal thickness from the reflexes of both surfaces, corrected for refraction.

    95 % of repeated measurements lie within `uncertainty_um` of the value; `readings` is how many frames gave it, or
    ways of the stage between the layers.
    """

    thickness_um: float
    uncertainty_um: float
    readings: int
    way: ThicknessWay = ThicknessWay.ONE_PICTURE


@dataclass(frozen=True, slots=True)
class Capture:
    """One accepted frame of one eye, already on disk and fsynced when anybody gets to see this value."""

    capture_id: str
    exam_id: str
    eye: Eye
    captured_at: str  # ISO 8601 with offset
    position: Position
    um_per_px: float | None  # None: uncalibrated, numbers in um are then refused
    bits_stored: int
    rows: int
    columns: int
    sharpness: float
    simulated: bool
    gaze: Gaze | None = None  # None: nobody said where the patient looked
    calibration: Calibration | None = None  # None: um_per_px was not measured on a target, only stated
    thickness: CornealThickness | None = None  # None: not measured in this capture

    @property
    def point(self) -> FixationPoint:
        """The fixation target; the centre where nobody said otherwise."""
        return FixationPoint.CENTRE if self.gaze is None else self.gaze.target


# --------------------------------------------------------------------------------------------- measurement


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no number. `code` is from CID 42 (numeric value qualifier), `reason` is for people."""

    code: Code
    reason: str


MEASUREMENT_FAILURE = Code("114006", "DCM", "Measurement failure")
CALCULATION_FAILURE = Code("114008", "DCM", "Calculation failure")
NOT_ATTEMPTED = Code("114007", "DCM", "Measurement not attempted")
INDETERMINATE = Code("114011", "DCM", "Value indeterminate")


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """The cells of one image.

    `labels` is (rows, columns) int32: 0 outside, 1..n one id per counted cell, the same size as the image.
    `area_px` (n,) float64, `sides` (n,) int32 with 0 where the ring of neighbours is not complete,
    `centroid_px` (n, 2) float64 as (row, column). Index i belongs to id i + 1.
    `region` (rows, columns) bool is the area in which cells can be told, `guttae` (rows, columns) bool what is covered
    by guttae; None where nobody looked (dots set by hand, records of the first release).
    """

    labels: npt.NDArray[np.int32]
    area_px: npt.NDArray[np.float64]
    sides: npt.NDArray[np.int32]
    centroid_px: npt.NDArray[np.float64]
    region: npt.NDArray[np.bool_] | None = None
    guttae: npt.NDArray[np.bool_] | None = None

    @property
    def n(self) -> int:
        return int(self.area_px.shape[0])


class Method(StrEnum):
    """How the cells were found and counted."""

    AUTOMATIC = "automatic"
    CENTRE = "centre"  # given dots; the outermost ones only serve as neighbours (Cornea 2017, 28834820)
    FLEX_CENTRE = "flex-centre"  # given dots, all of them count
    FIXED_FRAME = "fixed-frame"  # a rectangle; cells cut by two adjacent sides count, by the other two do not
    MANUAL = "manual"  # the automatic cells after edits by hand


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval, in the unit of its number."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Morphometry:
    """The numbers of one mosaic. Everything in um or mm is None without a scale.

    CD = 1e6 / mean cell area; CV = SD / mean of the areas (Doughty 2017, s10792-017-0765-2); HEX = share of six-sided
    cells among those with a complete ring. `sides` maps 3..10 to counts over the cells with a complete ring.
    `area_histogram` counts cells per class of 100 um2, keyed by the class's lower bound in um2. The intervals are what
    chance in the sample leaves open, not errors of the instrument. `guttae_percent` is of the area that can be judged,
    None where nobody looked for guttae.
    """

    n: int
    mean_area_px: float
    cv_percent: float
    hex_percent: float | None  # None where too few cells have a complete ring
    n_complete_ring: int
    sides: dict[int, int]
    um_per_px: float | None = None
    cd_per_mm2: float | None = None
    area_min_um2: float | None = None
    area_max_um2: float | None = None
    area_mean_um2: float | None = None
    area_sd_um2: float | None = None
    analysed_area_mm2: float | None = None
    warnings: tuple[str, ...] = ()
    method: Method = Method.AUTOMATIC
    cd_interval: Interval | None = None
    cv_interval: Interval | None = None
    hex_interval: Interval | None = None
    area_histogram: dict[int, int] | None = None
    guttae_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """A grade A (good) to D (unusable) with its reasons, and the scores behind it (0..1)."""

    grade: str
    focus: float
    contrast: float
    exposure: float
    reasons: tuple[str, ...] = ()
    motion: float = 1.0  # 1 still, 0 smeared over more than a cell


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What the core says of one image: numbers, or a refusal, never both."""

    quality: Quality
    mosaic: Mosaic | None = None
    morphometry: Morphometry | None = None
    refusal: Refusal | None = None
    seconds: float = 0.0


# --------------------------------------------------------------------------------------------- delivery


class DeliveryState(StrEnum):
    """Where one instance stands at one node. Captured, stored and committed are three different words."""

    CAPTURED = "captured"
    QUEUED = "queued"
    HELD = "held"  # by hand: it waits until somebody releases it
    SENDING = "sending"
    STORED = "stored"
    FAILED = "failed"  # permanently: parked with the peer's reason until somebody decides


class CommitmentState(StrEnum):
    """Where one stored instance stands with the node that was asked to commit to it."""

    NONE = ""  # nobody was asked
    REQUESTED = "requested"
    COMMITTED = "committed"
    REFUSED = "refused"  # the node said that it will not, with its reason


@dataclass(frozen=True, slots=True)
class Delivery:
    sop_instance_uid: str
    sop_class_uid: str
    exam_id: str
    node: str
    state: DeliveryState
    attempts: int = 0
    status: int | None = None  # the last C-STORE status
    reason: str = ""  # the last answer of the peer, or what went wrong, in words
    next_attempt_at: str = ""  # ISO 8601, empty when nothing is due
    kind: str = ""  # "image", "report"
    commitment: CommitmentState = CommitmentState.NONE
    commitment_reason: str = ""
    changed_at: str = ""  # ISO 8601: since when it is in its state
    node_held: bool = False  # by hand: nothing is sent to this node until it is released
    removed_at: str = ""  # ISO 8601: since when its files are no longer on this instrument


# --------------------------------------------------------------------------------------------- what is going on


# How bad it is, by syslog's names (RFC 5424): "alert" asks for a person now.
EventLevel = Literal["debug", "info", "warning", "error", "alert"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for console, panel and log. `data` holds only JSON values.

    Neither `text` nor `data` holds patient data: events go into logs that leave the clinic. What does goes into
    `patient`, which only the log sees (`EventBus.subscribe`), and writes only where log.patient_data says so.
    """

    kind: str  # dotted, e.g. "stage.ready", "capture.stored"
    text: str
    data: dict[str, object] = field(default_factory=dict)
    level: EventLevel = "info"
    patient: dict[str, object] = field(default_factory=dict)
