"""Frames of a burst that were not good enough: kept beside the capture that was, each with its reason.

exams/<exam_id>/rejects/<capture_id>-<number>.png   the frame
                        <capture_id>.json           why each was rejected

For whoever wants to know why an eye was hard to photograph. They are no captures: no row names them, nothing sends
them, and a rebuilt database does not know them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firmware_app.model import Capture, Reject
from firmware_app.records import documents, files
from firmware_app.records.folders import REJECTS_FOLDER, ExamFolders
from firmware_app.records.frames import encode_png

# Some two bursts. A restless eye may take six, whose last frames say the most.
REJECTS_MAX = 12


class RejectFolder:
    def __init__(self, folders: ExamFolders) -> None:
        self._folders = folders

    def save(self, capture: Capture, rejects: Sequence[Reject]) -> Path:
        """The last `REJECTS_MAX` of them, on disk when this returns: where the list of them is. `StorageFault`."""
        folder = self._folders.folder(capture.exam_id) / REJECTS_FOLDER
        files.make_folder(folder)
        contents: dict[str, bytes] = {}
        listed = []
        for number, reject in enumerate(rejects[-REJECTS_MAX:], start=1):
            name = f"{capture.capture_id}-{number}.png"
            contents[name] = encode_png(reject.frame.pixels, reject.frame.bits_stored)
            image = self._folders.stored_file(capture.exam_id, f"{REJECTS_FOLDER}/{name}", contents[name])
            origin = documents.FrameOrigin(reject.frame.sequence, reject.frame.monotonic_ns)
            listed.append(documents.RejectedFrame(reject.reason, origin, image))
        sidecar = documents.RejectsSidecar(capture.exam_id, capture.capture_id, len(rejects), tuple(listed))
        contents[f"{capture.capture_id}.json"] = documents.encode_sidecar(sidecar)
        files.write_files(folder, contents)
        return folder / f"{capture.capture_id}.json"
