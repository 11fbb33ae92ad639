"""The schedule of the embedded hospital: invented people, real character sets, today's date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

SPECULAR_MICROSCOPY = ("SPECMICRO", "99HOSP", "Specular microscopy of corneal endothelium")


@dataclass(frozen=True, slots=True)
class Appointment:
    name: str
    patient_id: str
    birth_date: str
    sex: str
    time: str
    character_set: tuple[str, ...] = ()
    reason: str = "Corneal endothelium, both eyes"
    referring_physician: str = "Novak^Eva^^Dr."
    modality: str = "OP"
    days_from_today: int = 0
    other_station: str = ""  # not ours: only a query without a station key may show it


APPOINTMENTS = (
    Appointment("Lindström^Åsa", "SP-1001", "19581114", "F", "083000", ("ISO_IR 100",), "Before cataract surgery"),
    Appointment("Yamada^Tarou=山田^太郎=やまだ^たろう", "SP-1002", "19630402", "M", "085000", ("", "ISO 2022 IR 87")),
    Appointment("Wang^XiaoDong=王^小东", "SP-1003", "19710920", "M", "091000", ("GB18030",), "Contact lens follow-up"),
    Appointment("Соколова^Ирина", "SP-1004", "19490307", "F", "093000", ("ISO_IR 144",), "Fuchs dystrophy follow-up"),
    Appointment("O'Brien^Maeve^Anne", "SP-1005", "19850525", "F", "095000", (), "After phakic lens implantation"),
    Appointment("García Núñez^José", "SP-1006", "19770812", "M", "103000", ("ISO_IR 192",)),
    Appointment(
        "Okafor^Chidi", "SP-1007", "19920101", "M", "090000", (), "Macula", modality="OPT", other_station="OCT_01"
    ),
    Appointment("Haas^Bernd", "SP-1008", "19550630", "M", "083000", (), days_from_today=1),
)


def schedule(today: date, station_ae_title: str, entropy: str) -> list[Dataset]:
    """Every scheduled procedure step as a worklist data set (PS3.4 table K.6-1); the same UIDs for the same entropy."""
    return [_worklist_item(appointment, today, station_ae_title, entropy) for appointment in APPOINTMENTS]


def _worklist_item(appointment: Appointment, today: date, station_ae_title: str, entropy: str) -> Dataset:
    number = appointment.patient_id.removeprefix("SP-")
    item = Dataset()
    if appointment.character_set:
        item.SpecificCharacterSet = list(appointment.character_set)
    item.PatientName = appointment.name
    item.PatientID = appointment.patient_id
    item.IssuerOfPatientID = "HOSPITAL"
    item.PatientBirthDate = appointment.birth_date
    item.PatientSex = appointment.sex
    item.PatientWeight = None
    item.EthnicGroup = None
    item.MedicalAlerts = None
    item.Allergies = None
    item.AdmissionID = None
    item.CurrentPatientLocation = "EYE CLINIC"
    item.AccessionNumber = f"ACC{number}"
    item.ReferringPhysicianName = appointment.referring_physician
    item.RequestingPhysician = appointment.referring_physician
    item.StudyInstanceUID = generate_uid(entropy_srcs=[entropy, appointment.patient_id, today.isoformat()])
    item.ReferencedStudySequence = []
    item.RequestedProcedureID = f"RP{number}"
    item.RequestedProcedureDescription = appointment.reason
    item.RequestedProcedureCodeSequence = [_code(*SPECULAR_MICROSCOPY)]
    item.RequestedProcedurePriority = "ROUTINE"
    item.ScheduledProcedureStepSequence = [_step(appointment, number, today, station_ae_title)]
    return item


def _step(appointment: Appointment, number: str, today: date, station_ae_title: str) -> Dataset:
    step = Dataset()
    step.ScheduledStationAETitle = appointment.other_station or station_ae_title
    step.ScheduledStationName = ""
    step.ScheduledProcedureStepStartDate = f"{today + timedelta(days=appointment.days_from_today):%Y%m%d}"
    step.ScheduledProcedureStepStartTime = appointment.time
    step.Modality = appointment.modality
    step.ScheduledPerformingPhysicianName = "Brandt^Jonas"
    step.ScheduledProcedureStepDescription = "Specular microscopy OU"
    step.ScheduledProcedureStepLocation = "ROOM 3"
    step.ScheduledProcedureStepID = f"SPS{number}"
    step.ScheduledProtocolCodeSequence = [_code(*SPECULAR_MICROSCOPY)]
    step.PreMedication = None
    step.RequestedContrastAgent = None
    return step


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
