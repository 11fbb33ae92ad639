"""What the DICOM benchmark sends and asks for: images of two sizes and a worklist, the same in every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
WORKLIST_FILE = "1.2.276.0.7230010.3.1.0.1"  # DCMTK's class for worklist files
SC_COUNT, CR_COUNT, WORKLIST_COUNT = 200, 20, 1000
STUDY = generate_uid(entropy_srcs=["study"])


def image(sop_class: str, modality: str, transfer_syntax: str, number: int) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, transfer_syntax
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[modality, str(number)])
    one = Dataset()
    one.file_meta = meta
    one.SOPClassUID, one.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "TEST^CORNEA", "SP0001", "19600101", "F"
    one.StudyInstanceUID, one.SeriesInstanceUID = STUDY, generate_uid(entropy_srcs=["series", modality])
    one.StudyDate, one.StudyTime, one.StudyID, one.AccessionNumber = "20250101", "101500", "1", "ACC1"
    one.ReferringPhysicianName, one.Modality, one.SeriesNumber, one.InstanceNumber = "", modality, 1, number + 1
    one.PatientOrientation = ["L", "F"]
    return one


def put_pixels(one: Dataset, pixels: npt.NDArray[np.integer], bits_stored: int) -> None:
    colour = pixels.ndim == 3
    one.SamplesPerPixel, one.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        one.PlanarConfiguration = 0
    one.Rows, one.Columns = pixels.shape[:2]
    one.BitsAllocated, one.BitsStored, one.HighBit = 8 * pixels.itemsize, bits_stored, bits_stored - 1
    one.PixelRepresentation = 0
    one.PixelData = pixels.tobytes()
    one["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"


def write_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """200 SC of 640x480x3 (184 MB) in Explicit VR, 20 CR of 2000x2500 with 12 of 16 bits (200 MB) in Implicit VR."""
    noise = np.random.default_rng(1)
    captures, radiographs = [], []
    (folder / "sc").mkdir()
    (folder / "cr").mkdir()
    for number in range(SC_COUNT):
        one = image(SECONDARY_CAPTURE, "OT", ExplicitVRLittleEndian, number)
        one.ConversionType = "DI"
        put_pixels(one, noise.integers(0, 256, (480, 640, 3), dtype=np.uint8), 8)
        captures.append(folder / "sc" / f"{number:04d}.dcm")
        one.save_as(captures[-1], enforce_file_format=True)
    for number in range(CR_COUNT):
        one = image(COMPUTED_RADIOGRAPHY, "CR", ImplicitVRLittleEndian, number)
        one.BodyPartExamined, one.ViewPosition = "EYE", ""
        put_pixels(one, noise.integers(0, 4096, (2500, 2000), dtype=np.uint16), 12)
        radiographs.append(folder / "cr" / f"{number:04d}.dcm")
        one.save_as(radiographs[-1], enforce_file_format=True)
    return captures, radiographs


def worklist_entry(number: int) -> Dataset:
    """About 700 octets, as a hospital information system fills it."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "SPM", "99T", "Specular microscopy"
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "OP", "SPECULAR"
    step.ScheduledProcedureStepStartDate = "20250101"
    step.ScheduledProcedureStepStartTime = f"{8 + number // 60 % 12:02d}{number % 60:02d}00"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepDescription = "PERF^DOC", "Specular OU"
    step.ScheduledProcedureStepID, step.ScheduledProcedureStepLocation = f"SPS{number:06d}", "ROOM1"
    step.ScheduledProtocolCodeSequence = [code]
    entry = Dataset()
    entry.SpecificCharacterSet, entry.AccessionNumber = "ISO_IR 100", f"A{number:06d}"
    entry.PatientName, entry.PatientID = f"LAST{number:04d}^FIRST", f"P{number:06d}"
    entry.PatientBirthDate, entry.PatientSex, entry.PatientWeight = "19600101", "OFM"[number % 3], "60"
    entry.ReferringPhysicianName, entry.RequestingPhysician = "REF^DOC", "REQ^DOC"
    entry.CurrentPatientLocation, entry.RequestedProcedureDescription = "EYE CLINIC", "Corneal endothelium"
    entry.StudyInstanceUID = generate_uid(entropy_srcs=["worklist", str(number)])
    entry.RequestedProcedureID = f"RP{number:06d}"
    entry.ReferencedStudySequence = []
    entry.RequestedProcedureCodeSequence = [code]
    entry.ScheduledProcedureStepSequence = [step]
    return entry


def write_worklist(folder: Path) -> None:
    """A folder that wlmscpfs and Orthanc's plugin serve."""
    folder.mkdir()
    (folder / "lockfile").touch()  # wlmscpfs refuses to work without one
    for number in range(WORKLIST_COUNT):
        entry = worklist_entry(number)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, WORKLIST_FILE
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["file", str(number)])
        entry.file_meta = meta
        entry.save_as(folder / f"{number:04d}.wl", enforce_file_format=True)
