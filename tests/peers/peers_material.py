"""Where the peers are and what they are fed with: worklist files, nine of them odd, and images in three syntaxes."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from peer_programs import peer_program
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

PLAIN_ITEMS = 6
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
WORKLIST_FILE = "1.2.276.0.7230010.3.1.0.1"  # DCMTK's class for worklist files

# Patient ID: patient's name, Specific Character Set. PS3.5 annexes H to J, and two that are simply too long.
ODD_NAMES: dict[str, tuple[str, str | list[str]]] = {
    "ODD-87": ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"]),
    "ODD-13": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ["ISO 2022 IR 13", "ISO 2022 IR 87"]),
    "ODD-149": ("Hong^Gildong=洪^吉洞=홍^길동", ["", "ISO 2022 IR 149"]),
    "ODD-144": ("Люкceмбypг", "ISO_IR 144"),
    "ODD-100": ("Buc^Jérôme", "ISO_IR 100"),
    "ODD-GB": ("Wang^XiaoDong=王^小东", "GB18030"),
    "ODD-192": ("Wang^XiaoDong=王^小東", "ISO_IR 192"),
    "ODD-LONG": ("X" * 70, ""),
    "ODD-" + "P" * 76: ("NO^CHARSET", ""),
}


def program(name: str) -> str:
    found = peer_program(name)
    assert found is not None, f"{name} is not installed"
    return found


def worklist_entry(number: int, name: str, patient_id: str, character_set: str | list[str]) -> Dataset:
    entry = Dataset()
    entry.file_meta = FileMetaDataset()
    entry.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    entry.file_meta.MediaStorageSOPClassUID = WORKLIST_FILE
    entry.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["file", str(number)])
    if character_set:
        entry.SpecificCharacterSet = character_set
    entry.PatientName, entry.PatientID = name, patient_id
    entry.PatientBirthDate, entry.PatientSex = "19600229", "F"
    entry.AccessionNumber = f"A{number:04d}"
    entry.StudyInstanceUID = generate_uid(entropy_srcs=["study", str(number)])
    entry.RequestedProcedureID = f"RP{number}"
    entry.RequestedProcedureDescription = "Corneal endothelium, both eyes"
    entry.ReferencedStudySequence = []
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "SPM", "99T", "Specular microscopy"
    entry.RequestedProcedureCodeSequence = [code]
    step = Dataset()
    step.Modality = "OP" if number % 2 else "OT"
    step.ScheduledStationAETitle = "SPECULAR"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260105", f"08{number:02d}00"
    step.ScheduledProcedureStepID = f"S{number}"
    step.ScheduledProcedureStepDescription = "Specular OU"
    step.ScheduledPerformingPhysicianName = "PERF^DOC"
    step.ScheduledProtocolCodeSequence = [code]
    entry.ScheduledProcedureStepSequence = [step]
    return entry


def write_worklist(folder: Path) -> None:
    (folder / "lockfile").touch()  # wlmscpfs refuses to work without one
    entries = [worklist_entry(number, f"PLAIN^{number}", f"P{number}", "ISO_IR 100") for number in range(PLAIN_ITEMS)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is too long on purpose
        for number, (patient_id, (name, character_set)) in enumerate(ODD_NAMES.items(), start=PLAIN_ITEMS):
            entries.append(worklist_entry(number, name, patient_id, character_set))
        for number, entry in enumerate(entries):
            entry.save_as(folder / f"{number:03d}.wl", enforce_file_format=True)


def write_instances(folder: Path) -> dict[str, Path]:
    pixels = np.random.default_rng(7).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    written = {}
    for name, syntax in (
        ("implicit", ImplicitVRLittleEndian),
        ("explicit", ExplicitVRLittleEndian),
        ("jpeg", JPEGBaseline8Bit),
    ):
        image = secondary_capture(pixels)
        image.file_meta.TransferSyntaxUID = syntax
        if name == "jpeg":
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
            image.PhotometricInterpretation = "YBR_FULL_422"
            image.LossyImageCompression, image.LossyImageCompressionMethod = "01", "ISO_10918_1"
            image.PixelData = encapsulate([buffer.getvalue()])
            image["PixelData"].is_undefined_length = True
        written[name] = folder / f"{name}.dcm"
        image.save_as(written[name], enforce_file_format=True)
    return written


def secondary_capture(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.PatientName, image.PatientID = "TEST^STORE", "STORE1"
    image.PatientBirthDate = image.PatientSex = image.StudyDate = image.StudyTime = image.AccessionNumber = ""
    image.ReferringPhysicianName = image.StudyID = ""
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.Modality, image.ConversionType, image.InstanceNumber, image.SeriesNumber = "OT", "DF", "1", "1"
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel, image.PlanarConfiguration, image.PhotometricInterpretation = 3, 0, "RGB"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.PixelData = pixels.tobytes()
    image["PixelData"].VR = "OB"
    return image
