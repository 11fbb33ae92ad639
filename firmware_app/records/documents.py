"""What is written beside the database: sidecars from which it can be rebuilt, and measurements.

Every sidecar is JSON in UTF-8, names its `format`, and repeats the exam with its patient, so that one image file and
its sidecar say everything that the database knew of it. Delivery states are not in them, only the nodes: sending an
instance again under the same UID is harmless, losing one is not. States are in the daily copy of the database.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from firmware_app.calibration import Calibration
from firmware_app.endothelium.history import EditRecord
from firmware_app.gaze import Gaze
from firmware_app.model import (
    Capture,
    Exam,
    FoundPatient,
    Measurement,
    Morphometry,
    Mosaic,
    Quality,
    Refusal,
    WorklistItem,
)
from firmware_app.records.mpps import MppsMessage
from firmware_app.records.seal import sealed

FORMAT = "specular-record/1"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was written: relative to the state folder, with size and SHA-256."""

    file: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """One DICOM instance on disk. `file` is relative to the state folder."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    exam_id: str
    capture_id: str | None
    kind: str
    saved_at: str
    file: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WorklistItems:
    """What an exam answers; empty when it is unscheduled."""

    items: tuple[WorklistItem, ...]


@dataclass(frozen=True, slots=True)
class FrameOrigin:
    sequence: int
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class ExamSidecar:
    """`message` is the N-CREATE that was queued with it. Exams of the first releases noted their end in no file."""

    exam: Exam
    message: MppsMessage | None = None
    end_is_noted: bool = False
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class EndSidecar:
    """When an exam was closed, and the N-SET that was queued with it."""

    exam_id: str
    finished_at: str
    message: MppsMessage | None
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class CaptureSidecar:
    exam: Exam
    capture: Capture
    frame: FrameOrigin
    image: StoredFile
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class RejectedFrame:
    reason: str
    frame: FrameOrigin
    image: StoredFile


@dataclass(frozen=True, slots=True)
class RejectsSidecar:
    """`count` is how many frames were rejected for the capture; of many only the last are kept."""

    exam_id: str
    capture_id: str
    count: int
    kept: tuple[RejectedFrame, ...]
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class ObjectSidecar:
    """`nodes` are those for which it was queued; None where an early release did not write them down."""

    exam: Exam
    object: ObjectRecord
    nodes: tuple[str, ...] | None = None
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class RemovalSidecar:
    """Beside exam.json, of an exam whose other files were removed: its instances are in the archives."""

    exam_id: str
    removed_at: str
    reason: str
    instances: tuple[str, ...]
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class MeasurementNumbers:
    """A measurement without its arrays; `edit` is what a person did to the one before to make this one."""

    quality: Quality
    morphometry: Morphometry | None
    refusal: Refusal | None
    seconds: float
    edit: EditRecord | None = None


@dataclass(frozen=True, slots=True)
class MeasurementSidecar:
    exam_id: str
    capture_id: str
    revision: int
    saved_at: str
    numbers: MeasurementNumbers
    mosaic: StoredFile | None
    format: str = FORMAT


def encode(document: object) -> bytes:
    """The document as JSON; `ValueError` for what could not be read back (NaN and infinity become null in JSON)."""
    data = msgspec.json.encode(document)
    try:
        msgspec.json.decode(data, type=type(document))
    except msgspec.ValidationError as error:
        raise ValueError(f"{type(document).__name__} cannot be recorded: {error}") from error
    return data


def encode_sidecar(sidecar: object) -> bytes:
    """As it is written beside what it describes, with its own checksum. `ValueError` as `encode`."""
    return sealed(encode(sidecar))


def numbers_of(measurement: Measurement, edit: EditRecord | None = None) -> MeasurementNumbers:
    return MeasurementNumbers(
        quality=measurement.quality,
        morphometry=measurement.morphometry,
        refusal=measurement.refusal,
        seconds=measurement.seconds,
        edit=edit,
    )


def decode_numbers(text: str) -> MeasurementNumbers:
    return msgspec.json.decode(text, type=MeasurementNumbers)


def decode_worklist_items(text: str) -> tuple[WorklistItem, ...]:
    return msgspec.json.decode(text, type=WorklistItems).items


def decode_gaze(text: str) -> Gaze:
    return msgspec.json.decode(text, type=Gaze)


def decode_calibration(text: str) -> Calibration:
    return msgspec.json.decode(text, type=Calibration)


def decode_found_patient(text: str) -> FoundPatient:
    return msgspec.json.decode(text, type=FoundPatient)


def encode_mosaic(mosaic: Mosaic) -> bytes:
    """All its arrays exactly, as a compressed npz: a 16-bit label image would not hold centroids and areas.

    Region and guttae are left out where nobody looked for them.
    """
    names = ("labels", "area_px", "sides", "centroid_px", "region", "guttae")
    arrays: dict[str, Any] = {name: getattr(mosaic, name) for name in names if getattr(mosaic, name) is not None}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def decode_mosaic(data: bytes) -> Mosaic:
    """`ValueError` for anything but an npz of the arrays; the first release wrote neither region nor guttae."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            labels = arrays["labels"]
            region, guttae = (_mask(arrays, name, labels.shape) for name in ("region", "guttae"))
            return Mosaic(labels, arrays["area_px"], arrays["sides"], arrays["centroid_px"], region, guttae)
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, ValueError) as error:
        raise ValueError(f"not a mosaic: {error}") from error


def _mask(
    arrays: Mapping[str, npt.NDArray[np.generic]], name: str, shape: tuple[int, ...]
) -> npt.NDArray[np.bool_] | None:
    if name not in arrays:
        return None
    mask = arrays[name]
    if mask.shape != shape or mask.dtype != np.bool_:
        raise ValueError(f"{name} is {mask.dtype} of {mask.shape}, not bool of {shape}")
    return mask.astype(np.bool_)
