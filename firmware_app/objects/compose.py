"""Attribute tables and facts -> data set. Knows no attribute by name: what is sent is what the profile lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from firmware_app.objects.errors import ObjectError
from firmware_app.objects.text import TEXT_VRS, fit
from firmware_app.profiles.profile import Attribute, Module, ObjectDefinition, Profile, StorageSetting

# A value is text, numbers, pixel bytes, or the items of a sequence; None means that there is none. The empty string
# makes a conditional attribute present with zero length.
Fact = object
Facts = Mapping[str, Fact]

BINARY_INTEGERS = frozenset({"US", "UL", "SS", "SL"})

# Sources that mean the same everywhere (profiles.sources).
CONSTANTS: Facts = {"none": None, "empty": "", "none.items": None, "fixed.item": ({},)}


class _MissingRequired(Exception):
    """An attribute of type 1 has no value."""


@dataclass
class Composer:
    """One pass over the tables of one object definition; `problems` collects what could not be sent as it was."""

    setting: StorageSetting
    character_set: Sequence[str]
    problems: list[str] = field(default_factory=list)

    def compose(self, rows: Sequence[Attribute], facts: Facts, parent: str = "") -> Dataset:
        dataset = Dataset()
        for row in rows:
            if row.parent != parent or (row.settings and self.setting not in row.settings):
                continue
            value = row.value.split("\\") if row.value else facts.get(row.source, CONSTANTS.get(row.source))
            self._add(dataset, rows, row, facts, value)
        return dataset

    def _add(self, dataset: Dataset, rows: Sequence[Attribute], row: Attribute, facts: Facts, value: Fact) -> None:
        vr = dictionary_VR(row.keyword)
        fitted: Fact
        if vr == "SQ":
            fitted = self._items(rows, row, facts, value)
        else:
            fitted = self._fitted(row.keyword, vr, value)
        if not _is_empty(fitted):
            dataset.add_new(row.keyword, vr, fitted)
        elif row.type == "1":
            raise _MissingRequired(row.path)
        elif row.type == "2" or (row.type == "2C" and value == ""):
            dataset.add_new(row.keyword, vr, [] if vr == "SQ" else None)

    def _items(self, rows: Sequence[Attribute], row: Attribute, facts: Facts, value: Fact) -> list[Dataset]:
        if not isinstance(value, Sequence):
            return []
        items = []
        for item in value:
            try:
                items.append(self.compose(rows, item, row.path))
            except _MissingRequired as missing:
                self.problems.append(f"{row.path}: an item without {missing} was left out")
        return [item for item in items if len(item)]

    def _fitted(self, keyword: str, vr: str, value: Fact) -> Fact:
        if isinstance(value, str) and vr[:2] in BINARY_INTEGERS:
            return int(value) if value else None  # a fixed value: profiles hold text
        if isinstance(value, str) and vr == "AT":
            return tag_for_keyword(value)
        if isinstance(value, str):
            fitted, problem = fit(keyword, vr, value, self.character_set)
            if problem:
                self.problems.append(problem)
            return fitted
        if isinstance(value, list | tuple):
            return [self._fitted(keyword, vr, each) for each in value]
        return value


def compose(
    definition: ObjectDefinition, profile: Profile, setting: StorageSetting, facts: Facts, character_set: Sequence[str]
) -> tuple[Dataset, list[str]]:
    """The data set of one instance and what was wrong with the facts. Raises ObjectError."""
    modules = [profile.module[use.module] for use in definition.modules]
    return _compose(definition.name, modules, Composer(setting, character_set), facts)


def compose_module(
    module: Module, setting: StorageSetting, facts: Facts, character_set: Sequence[str]
) -> tuple[Dataset, list[str]]:
    """The data set of a message that is one table, and what was wrong with the facts. Raises ObjectError."""
    return _compose(module.name, [module], Composer(setting, character_set), facts)


def _compose(name: str, modules: Sequence[Module], composer: Composer, facts: Facts) -> tuple[Dataset, list[str]]:
    dataset = Dataset()
    for module in modules:
        try:
            dataset.update(composer.compose(module.attributes, facts))
        except _MissingRequired as missing:
            detail = "; ".join(composer.problems)
            raise ObjectError(f"{name}: no value for {missing}, which is required. {detail}".strip()) from None
    return dataset, list(dict.fromkeys(composer.problems))


def texts(dataset: Dataset) -> Iterator[str]:
    """Every value of the data set that the Specific Character Set applies to."""
    for element in dataset.iterall():
        if element.VR in TEXT_VRS and element.value is not None:
            values = element.value if element.VM > 1 else [element.value]
            yield from (str(value) for value in values)


def _is_empty(value: Fact) -> bool:
    return value is None or (isinstance(value, str | bytes | list | tuple) and not value)
