"""Captures and their measurements. Synchronous: `store.Records` runs it in its worker thread."""

from __future__ import annotations

import math
import secrets
import sqlite3
from dataclasses import asdict, fields
from datetime import datetime

from firmware_app.calibration import Calibration
from firmware_app.endothelium.history import EditRecord
from firmware_app.gaze import Gaze
from firmware_app.model import Capture, CornealThickness, Exam, Eye, Frame, Measurement, Position, ThicknessWay
from firmware_app.records import documents, files
from firmware_app.records.database import Database
from firmware_app.records.errors import UnknownRecord
from firmware_app.records.folders import ExamFolders
from firmware_app.records.frames import decode_png, encode_png

_INSERT_CAPTURE = """
INSERT INTO captures (capture_id, exam_id, eye, captured_at, x_um, y_um, z_um, um_per_px, bits_stored, rows, columns,
                      sharpness, simulated, gaze, calibration, thickness_um, thickness_uncertainty_um,
                      thickness_readings, thickness_way, frame_sequence, frame_monotonic_ns, file, size, sha256)
VALUES (:capture_id, :exam_id, :eye, :captured_at, :x_um, :y_um, :z_um, :um_per_px, :bits_stored, :rows, :columns,
        :sharpness, :simulated, :gaze, :calibration, :thickness_um, :uncertainty_um,
        :readings, :way, :sequence, :monotonic_ns, :file, :size, :sha256)
"""
_INSERT_MEASUREMENT = """
INSERT INTO measurements (capture_id, revision, saved_at, numbers, mosaic_file, mosaic_sha256)
VALUES (:capture_id, :revision, :saved_at, :numbers, :mosaic_file, :mosaic_sha256)
"""


def insert(
    connection: sqlite3.Connection, capture: Capture, origin: documents.FrameOrigin, image: documents.StoredFile
) -> None:
    """In the caller's transaction."""
    columns = asdict(capture)
    columns |= {"gaze": _json(capture.gaze), "calibration": _json(capture.calibration)}
    thickness = columns.pop("thickness") or dict.fromkeys(each.name for each in fields(CornealThickness))
    columns.update(columns.pop("position"), **thickness, **asdict(origin), **asdict(image))
    connection.execute(_INSERT_CAPTURE, columns)


def insert_measurement(connection: sqlite3.Connection, sidecar: documents.MeasurementSidecar) -> None:
    """In the caller's transaction."""
    columns = {
        "capture_id": sidecar.capture_id,
        "revision": sidecar.revision,
        "saved_at": sidecar.saved_at,
        "numbers": documents.encode(sidecar.numbers).decode(),
        "mosaic_file": None if sidecar.mosaic is None else sidecar.mosaic.file,
        "mosaic_sha256": None if sidecar.mosaic is None else sidecar.mosaic.sha256,
    }
    connection.execute(_INSERT_MEASUREMENT, columns)


class CaptureTable:
    def __init__(self, folders: ExamFolders, database: Database) -> None:
        self._folders = folders
        self._database = database

    def save(
        self,
        exam: Exam,
        frame: Frame,
        *,
        eye: Eye,
        position: Position,
        um_per_px: float | None,
        sharpness: float,
        simulated: bool,
        gaze: Gaze | None = None,
        calibration: Calibration | None = None,
        now: datetime,
        thickness: CornealThickness | None = None,
    ) -> Capture:
        """Pixels, sidecar and row are on disk when this returns."""
        if not math.isfinite(sharpness) or (um_per_px is not None and not 0 < um_per_px < math.inf):
            raise ValueError(f"not a capture: sharpness {sharpness}, um_per_px {um_per_px}")
        capture = Capture(
            # The random part: a counted number would come twice if a row was lost and its files were not.
            capture_id=f"{now:%Y%m%dT%H%M%S}-{eye.value}-{secrets.token_hex(4)}",
            exam_id=exam.exam_id,
            eye=eye,
            captured_at=now.isoformat(timespec="milliseconds"),
            position=position,
            um_per_px=um_per_px,
            bits_stored=frame.bits_stored,
            rows=frame.rows,
            columns=frame.columns,
            sharpness=sharpness,
            simulated=simulated,
            gaze=gaze,
            calibration=calibration,
            thickness=thickness,
        )
        self._write(exam, capture, frame)
        return capture

    def _write(self, exam: Exam, capture: Capture, frame: Frame) -> None:
        image_name, sidecar_name = f"{capture.capture_id}.png", f"{capture.capture_id}.json"
        pixels = encode_png(frame.pixels, frame.bits_stored)
        image = self._folders.stored_file(exam.exam_id, image_name, pixels)
        origin = documents.FrameOrigin(frame.sequence, frame.monotonic_ns)
        sidecar = documents.encode_sidecar(documents.CaptureSidecar(exam, capture, origin, image))
        contents = {image_name: pixels, sidecar_name: sidecar}
        with self._folders.files_with_rows(exam.exam_id, contents) as connection:
            insert(connection, capture, origin, image)

    def capture(self, capture_id: str) -> Capture:
        return _capture(self._row(capture_id))

    def of_exam(self, exam_id: str) -> list[Capture]:
        """In the order in which they were taken."""
        rows = self._database.rows("SELECT * FROM captures WHERE exam_id = :id ORDER BY rowid", {"id": exam_id})
        return [_capture(row) for row in rows]

    def load_frame(self, capture_id: str) -> Frame:
        """The frame as it was captured; `FileDamaged` if the file no longer is what was written."""
        row = self._row(capture_id)
        data = files.read_verified(self._folders.state_dir / row["file"], row["sha256"])
        return Frame(decode_png(data), row["bits_stored"], row["frame_sequence"], row["frame_monotonic_ns"])

    def _row(self, capture_id: str) -> sqlite3.Row:
        rows = self._database.rows("SELECT * FROM captures WHERE capture_id = :id", {"id": capture_id})
        if not rows:
            raise UnknownRecord(f"no capture {capture_id}")
        return rows[0]

    def save_measurement(
        self, capture_id: str, measurement: Measurement, edit: EditRecord | None, *, now: datetime
    ) -> int:
        """Record a measurement beside the capture's earlier ones and return its revision, from 1."""
        exam_id = self.capture(capture_id).exam_id
        revision = len(self._measurements(capture_id)) + 1
        mosaic_name, sidecar_name = f"{capture_id}-m{revision}.npz", f"{capture_id}-m{revision}.json"
        contents: dict[str, bytes] = {}
        mosaic = None
        if measurement.mosaic is not None:
            contents[mosaic_name] = documents.encode_mosaic(measurement.mosaic)
            mosaic = self._folders.stored_file(exam_id, mosaic_name, contents[mosaic_name])
        numbers = documents.numbers_of(measurement, edit)
        saved_at = now.isoformat(timespec="milliseconds")
        sidecar = documents.MeasurementSidecar(exam_id, capture_id, revision, saved_at, numbers, mosaic)
        contents[sidecar_name] = documents.encode_sidecar(sidecar)
        with self._folders.files_with_rows(exam_id, contents) as connection:
            insert_measurement(connection, sidecar)
        return revision

    def measurement(self, capture_id: str) -> Measurement | None:
        """The latest measurement of the capture, its mosaic checked like a frame; None if there is none."""
        self._row(capture_id)
        rows = self._measurements(capture_id)
        if not rows:
            return None
        numbers = documents.decode_numbers(rows[-1]["numbers"])
        mosaic = None
        if rows[-1]["mosaic_file"] is not None:
            path = self._folders.state_dir / rows[-1]["mosaic_file"]
            mosaic = documents.decode_mosaic(files.read_verified(path, rows[-1]["mosaic_sha256"]))
        return Measurement(numbers.quality, mosaic, numbers.morphometry, numbers.refusal, numbers.seconds)

    def edits(self, capture_id: str) -> tuple[EditRecord, ...]:
        """What was done by hand to the capture's last measurement by the instrument, in order."""
        self._row(capture_id)
        edits: list[EditRecord] = []
        for row in self._measurements(capture_id):
            edit = documents.decode_numbers(row["numbers"]).edit
            if edit is None:
                edits.clear()
            else:
                edits.append(edit)
        return tuple(edits)

    def _measurements(self, capture_id: str) -> list[sqlite3.Row]:
        return self._database.rows(
            "SELECT * FROM measurements WHERE capture_id = :id ORDER BY revision", {"id": capture_id}
        )


def _json(value: Gaze | Calibration | None) -> str | None:
    return None if value is None else documents.encode(value).decode()


def _capture(row: sqlite3.Row) -> Capture:
    return Capture(
        capture_id=row["capture_id"],
        exam_id=row["exam_id"],
        eye=Eye(row["eye"]),
        captured_at=row["captured_at"],
        position=Position(row["x_um"], row["y_um"], row["z_um"]),
        um_per_px=row["um_per_px"],
        bits_stored=row["bits_stored"],
        rows=row["rows"],
        columns=row["columns"],
        sharpness=row["sharpness"],
        simulated=bool(row["simulated"]),
        gaze=documents.decode_gaze(row["gaze"]) if row["gaze"] else None,
        calibration=documents.decode_calibration(row["calibration"]) if row["calibration"] else None,
        thickness=_thickness(row),
    )


def _thickness(row: sqlite3.Row) -> CornealThickness | None:
    if row["thickness_um"] is None:
        return None
    way = ThicknessWay(row["thickness_way"] or ThicknessWay.ONE_PICTURE)
    return CornealThickness(row["thickness_um"], row["thickness_uncertainty_um"], row["thickness_readings"], way)
