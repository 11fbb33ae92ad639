"""What an exam leaves behind: one image object per eye, the report object, and the same pictures as PNG for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from firmware_app.config import Config
from firmware_app.config.declared_services import TRANSFER_SYNTAXES
from firmware_app.model import Equipment, Exam, Eye, ReferencedInstance
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.identifiers import derived_uid
from firmware_app.objects.instance import build_instance
from firmware_app.objects.picture import Picture, camera_picture, report_picture
from firmware_app.profiles import Profile
from firmware_app.report import undrawn
from firmware_app.report.content import EyeReport
from firmware_app.report.overlay import draw_overlay
from firmware_app.report.page import draw_report
from firmware_app.services.analysis import Analysed
from firmware_app.services.equipment import equipment_of

Drawn = tuple[tuple[str, bytes], ...]  # file name, PNG


@dataclass(frozen=True, slots=True, eq=False)
class Deliverable:
    """One DICOM instance as a file. `problems` says what of the order could not be sent as it was."""

    kind: str  # "image" or "report"
    capture_id: str | None
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes
    problems: tuple[str, ...]


def build_deliverables(
    config: Config, profile: Profile, exam: Exam, results: Mapping[Eye, Analysed], created_at: datetime
) -> tuple[tuple[Deliverable, ...], Drawn]:
    """The pictures that the profile sends, in this order: images, report. Raises `objects.ObjectError`.

    Slow (drawing, compression): run it in a worker thread.
    """
    equipment = equipment_of(config, profile)
    overlays = {
        eye: draw_overlay(each.captured.frame.pixels, each.captured.frame.bits_stored, each.measurement)
        for eye, each in results.items()
    }
    page = draw_report(
        exam,
        [
            EyeReport(each.captured.capture, each.captured.frame, each.measurement, each.history)
            for each in results.values()
        ],
        equipment=equipment,
        created_at=created_at,
    )
    write = partial(_deliverable, config, profile, equipment, exam, created_at)
    sent: list[Deliverable] = []
    if "image" in profile.storage_pictures:
        sent += [write(_image(each, number), [each]) for number, each in enumerate(results.values(), start=1)]
    if "report" in profile.storage_pictures:
        sources = [ReferencedInstance(image.sop_class_uid, image.sop_instance_uid) for image in sent]
        report = write(_report(page, results.values(), sources), list(results.values()))
        sent.append(replace(report, problems=(*report.problems, *undrawn.problems(exam, equipment))))
    drawn = (("report.png", _png(page)), *((f"overlay-{eye}.png", _png(image)) for eye, image in overlays.items()))
    return tuple(sent), drawn


def _image(analysed: Analysed, number: int) -> Picture:
    captured = analysed.captured
    return camera_picture(
        captured.frame.pixels, captured.capture, instance_number=number, measurement=analysed.measurement
    )


def _report(
    page: npt.NDArray[np.uint8], results: Collection[Analysed], source_images: Sequence[ReferencedInstance]
) -> Picture:
    return report_picture(
        page,
        [each.captured.capture for each in results],
        instance_number=len(results) + 1,
        measurements=[each.measurement for each in results],
        source_images=source_images,
    )


def _deliverable(
    config: Config,
    profile: Profile,
    equipment: Equipment,
    exam: Exam,
    created_at: datetime,
    picture: Picture,
    shown: Sequence[Analysed],
) -> Deliverable:
    transfer_syntax_uid = TRANSFER_SYNTAXES[config.storage.transfer_syntax]
    captures = [each.captured.capture for each in shown]
    capture_ids = "+".join(capture.capture_id for capture in captures)
    instance = build_instance(
        picture,
        exam=exam,
        equipment=equipment,
        profile=profile,
        created_at=created_at,
        storage_setting=config.storage.modality,
        transfer_syntax_uid=transfer_syntax_uid,
        # Derived, so that an exam finished again after a crash makes the same instances and not second ones.
        make_uid=lambda: derived_uid(exam.series_instance_uid, f"{picture.kind}/{capture_ids}"),
    )
    return Deliverable(
        kind=picture.kind,
        capture_id=captures[0].capture_id if picture.kind == "image" else None,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        data=encode_part10(instance.dataset, instance.as_received),
        problems=instance.problems,
    )


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
