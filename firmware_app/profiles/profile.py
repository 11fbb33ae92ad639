"""The shape of a profile: what one conformance statement declares, table by table."""

from __future__ import annotations

from typing import Literal

import msgspec

from firmware_app.profiles.sources import ITEM_SOURCES, SOURCES

AttributeType = Literal["1", "1C", "2", "2C", "3"]
StorageSetting = Literal["SC", "OP", "XC", "OT"]


class PresentationContext(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class ApplicationEntity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One application entity as it introduces itself; the AE title is configuration, not profile."""

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
    values of the storage modality setting.
    """

    path: str
    type: AttributeType
    source: str = ""
    value: str = ""
    settings: tuple[StorageSetting, ...] = ()

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
                known = ITEM_SOURCES[parent.source].keys() | ITEM_SOURCES.keys()
            if row.source and row.source not in known:
                raise ValueError(f"{row.path}: unknown source {row.source!r}")
            rows[row.path] = row


class ModuleUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of an IOD's module table (PS3.3 annex A)."""

    entity: Literal["Patient", "Study", "Series", "Frame of Reference", "Equipment", "Image"]
    module: str
    usage: Literal["M", "C", "U"]


class ObjectDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An information object definition: a SOP class and the modules that its instances have."""

    name: str
    sop_class_uid: str
    modules: tuple[ModuleUse, ...]


class StorageModality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one value of the storage modality setting stands for."""

    modality: str  # the value of Modality (0008,0060), PS3.3 C.7.3.1.1.1
    iod: str


class CharacterSets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Specific Character Sets of the objects: those kept from a worklist item, and the one used otherwise."""

    accepted: tuple[tuple[str, ...], ...]
    fallback: tuple[str, ...]


class Equipment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    manufacturer: str
    model_name: str


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a conformance statement declares about the instrument."""

    name: str
    title: str
    equipment: Equipment
    application_entity: dict[Literal["verification", "worklist", "patient_query", "storage"], ApplicationEntity]
    worklist_keys: tuple[QueryKey, ...]
    patient_keys: tuple[QueryKey, ...]
    patient_query_level: Literal["PATIENT", "STUDY"]
    character_sets: CharacterSets
    storage_modality: dict[StorageSetting, StorageModality]
    iod: dict[str, ObjectDefinition]
    module: dict[str, Module]

    def __post_init__(self) -> None:
        for name, definition in self.iod.items():
            for use in definition.modules:
                if use.module not in self.module:
                    raise ValueError(f"iod.{name}: no table module.{use.module}")
        for setting, target in self.storage_modality.items():
            if target.iod not in self.iod:
                raise ValueError(f"storage_modality.{setting}: no table iod.{target.iod}")
