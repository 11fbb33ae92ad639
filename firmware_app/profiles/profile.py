"""The shape of a profile: what one conformance statement declares, table by table."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from firmware_app.profiles.sources import ITEM_SOURCES, NO_VALUE, SOURCES

AttributeType = Literal["1", "1C", "2", "2C", "3"]
StorageSetting = Literal["SC", "OP", "XC", "OT", "CR"]
# The application entities that a statement may declare; `listener` is what is accepted on our own port.
EntityName = Literal["verification", "worklist", "patient_query", "storage", "mpps", "commitment", "print", "listener"]


class PresentationContext(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a table of presentation contexts; `role` is ours."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    role: Literal["SCU", "SCP"] = "SCU"


class ApplicationEntity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One application entity as it introduces itself; the AE title is configuration, not profile.

    An empty `implementation_version_name` is not sent: the item is optional (PS3.7 D.3.3.2.4). `max_associations` are
    those at once, begun or accepted.
    """

    implementation_class_uid: str
    implementation_version_name: str
    contexts: tuple[PresentationContext, ...]
    max_pdu_length: int = 16384
    max_associations: int = 1
    max_outstanding_operations: int = 1

    def __post_init__(self) -> None:
        if len(self.implementation_version_name) > 16:
            raise ValueError(f"implementation_version_name {self.implementation_version_name!r} has over 16 characters")


class QueryKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a query key table.

    `path` is dotted keywords; a sequence has a row of its own before the rows inside it. `matching` is the statement's
    column: "S" matched on one value, "S+" on a value configured for the station, "*" with wildcards, "" only returned.
    """

    path: str
    matching: Literal["", "S", "S+", "*"] = ""
    display: bool = False


class Attribute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a module table: an attribute, its type, and either where its value comes from or its fixed value.

    A conditional attribute is sent when its source has a value for this image. `settings` limits the row to those
    values of the storage modality setting. `note` is what the statement says beside it.
    """

    path: str
    type: AttributeType
    source: str = ""
    value: str = ""
    settings: tuple[StorageSetting, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if bool(self.source) == bool(self.value):
            raise ValueError(f"{self.path}: exactly one of source and value must be given")

    @property
    def keyword(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        return self.path.rpartition(".")[0]


class Module(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        rows: dict[str, Attribute] = {}
        for row in self.attributes:
            known = SOURCES.keys() | ITEM_SOURCES.keys()
            if row.parent:
                parent = rows.get(row.parent)
                if parent is None or parent.source not in ITEM_SOURCES:
                    raise ValueError(f"{row.path}: no row above it makes a sequence of {row.parent}")
                known = ITEM_SOURCES[parent.source].keys() | ITEM_SOURCES.keys() | NO_VALUE
            if row.source and row.source not in known:
                raise ValueError(f"{row.path}: unknown source {row.source!r}")
            rows[row.path] = row


class ModuleUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of an IOD's module table (PS3.3 annex A)."""

    entity: Literal["Patient", "Study", "Series", "Frame of Reference", "Equipment", "Acquisition", "Image"]
    module: str
    usage: Literal["M", "C", "U"]


class ObjectDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An information object definition: a SOP class and the modules that its instances have.

    `bits_stored` is the depth that every picture is brought to; 0 leaves it as it is. `grey_only`: colour is refused.
    """

    name: str
    sop_class_uid: str
    modules: tuple[ModuleUse, ...]
    bits_stored: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    grey_only: bool = False


class StorageModality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one value of the storage modality setting stands for: the objects of camera frames and of reports."""

    modality: str  # the value of Modality (0008,0060), PS3.3 C.7.3.1.1.1
    iod: str
    iod_above_8_bits: str = ""  # of frames with more stored bits; empty: the same
    report_iod: str = ""  # empty: the same
    report_modality: str = ""  # empty: the same

    @property
    def iods(self) -> tuple[str, ...]:
        """Every object that this setting can make."""
        return tuple(dict.fromkeys(name for name in (self.iod, self.iod_above_8_bits, self.report_iod) if name))


class CharacterSets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Specific Character Sets that we write: `accepted` are kept from a worklist item, and otherwise tried in their
    order; `fallback` is for what none of them can hold.
    """

    accepted: tuple[tuple[str, ...], ...]
    fallback: tuple[str, ...]


class PatientQueryModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One information model that patients are asked for in (PS3.4 C.6), by the class that is proposed for it."""

    abstract_syntax: str
    level: Literal["PATIENT", "STUDY"]


class MppsTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The attributes of both messages of Modality Performed Procedure Step (PS3.4 table F.7.2-1), as in a module."""

    n_create: Module
    n_set: Module


class PrintAttribute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a table of print attributes.

    `values` are the allowed ones, `low` and `high` the numbers that are allowed beside them; with none of these any
    value of its VR is. `only_with` names another attribute's value without which this one is not sent, as
    `MagnificationType=CUBIC`.
    """

    path: str
    usage: Literal["M", "MC", "U"]
    values: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    only_with: str = ""
    note: str = ""


class PrintTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to a printer, class by class (PS3.4 annex H)."""

    film_session: tuple[PrintAttribute, ...]
    film_box: tuple[PrintAttribute, ...]
    image_box: tuple[PrintAttribute, ...]


class Deviation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place where we do not do what the statement prints, and why."""

    clause: str
    printed: str
    ours: str
    reason: str


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The conformance statement behind a profile; `source` names the printed one that it reproduces, if any."""

    product: str
    overview: str
    source: str = ""
    deviations: tuple[Deviation, ...] = ()


class Equipment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    manufacturer: str
    model_name: str


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a conformance statement declares about the instrument.

    A service whose application entity is not there is not declared, and then not offered: nothing else switches it.
    `configuration_defaults` stand in for keys that the configuration leaves out, table by table. `tls`: connections
    may be configured to have it.
    """

    name: str
    title: str
    statement: Statement
    equipment: Equipment
    application_entity: dict[EntityName, ApplicationEntity]
    character_sets: CharacterSets
    storage_modality: dict[StorageSetting, StorageModality]
    storage_pictures: tuple[Literal["image", "report"], ...]
    iod: dict[str, ObjectDefinition]
    module: dict[str, Module]
    worklist_keys: tuple[QueryKey, ...] = ()
    patient_keys: tuple[QueryKey, ...] = ()
    patient_query_models: dict[Literal["patient-root", "study-root"], PatientQueryModel] = {}
    mpps: MppsTables | None = None
    print: PrintTables | None = None
    tls: bool = False
    configuration_defaults: dict[str, dict[str, str | int | float | bool]] = {}

    def __post_init__(self) -> None:
        for name, definition in self.iod.items():
            for use in definition.modules:
                if use.module not in self.module:
                    raise ValueError(f"iod.{name}: no table module.{use.module}")
        for setting, target in self.storage_modality.items():
            for iod in target.iods:
                if iod not in self.iod:
                    raise ValueError(f"storage_modality.{setting}: no table iod.{iod}")
        tables = {
            "worklist": self.worklist_keys,
            "patient_query": self.patient_keys and self.patient_query_models,
            "mpps": self.mpps,
            "print": self.print,
        }
        for entity, table in tables.items():
            if entity in self.application_entity and not table:
                raise ValueError(f"application_entity.{entity}: the tables of this service are missing")
