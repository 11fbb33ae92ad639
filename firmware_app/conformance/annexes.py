"""Chapter 8: IOD contents, attribute mapping, coded terminology, and where we do not follow the printed statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from firmware_app.conformance.attributes import PRESENCE_KEY, attribute_name, attribute_table, uid_words
from firmware_app.conformance.document import Block, Paragraph, Section, Table
from firmware_app.conformance.mapping import mapping
from firmware_app.model import Code
from firmware_app.objects.discontinuation import REASONS
from firmware_app.objects.picture import GAZES
from firmware_app.profiles.profile import ObjectDefinition, Profile


def annexes(profile: Profile) -> Section:
    return Section(
        "Annexes",
        parts=(
            Section(
                "IOD Contents",
                parts=(
                    Section("Created SOP Instances", parts=tuple(_iods(profile))),
                    Section("Modules", (Paragraph(PRESENCE_KEY),), tuple(_modules(profile))),
                    Section(
                        "Usage of Attributes from Received IODs",
                        (Paragraph("No instances are received. What is used of worklist items is mapped below."),),
                    ),
                    Section("Attribute Mapping", (mapping(profile),)),
                    Section(
                        "Coerced/Modified Fields",
                        (
                            Paragraph(
                                "An instance is sent as it was written. Text that is longer than its VR allows is cut "
                                "at that length when the instance is made, and the cut is told in Image Comments "
                                "(0020,4000) where the module table has it, and shown."
                            ),
                        ),
                    ),
                ),
            ),
            _nothing("Data Dictionary of Private Attributes", "private attributes"),
            Section("Coded Terminology and Templates", _codes(profile)),
            _nothing("Grayscale Image Consistency", "the Grayscale Standard Display Function on its own screen"),
            _nothing(
                "Standard Extended/Specialized/Private SOP Classes", "extended, specialized or private SOP classes"
            ),
            _nothing("Private Transfer Syntaxes", "private transfer syntaxes"),
            _deviations(profile),
        ),
    )


def _nothing(title: str, what: str) -> Section:
    return Section(title, (Paragraph(f"The product does not support {what}."),))


# ------------------------------------------------------------------------------------------------ IODs


def _iods(profile: Profile) -> Iterator[Section]:
    titles = module_titles(profile)
    for definition in profile.iod.values():
        rows = tuple((use.entity, titles[use.module], use.usage) for use in definition.modules)
        yield Section(
            f"{definition.name} IOD",
            (
                Table(
                    f"SOP class of the {definition.name}",
                    ("SOP Class Name", "SOP Class UID"),
                    ((uid_words(definition.sop_class_uid), definition.sop_class_uid),),
                ),
                Table(f"Modules of the {definition.name}", ("Information Entity", "Module", "Usage"), rows),
                Paragraph(f"Usage: M, mandatory; C, conditional; U, user option.{_depth(definition)}"),
            ),
        )


def _depth(definition: ObjectDefinition) -> str:
    words = f" Every picture is brought to {definition.bits_stored} stored bits." if definition.bits_stored else ""
    return words + (" Only grey pictures are wrapped in it." if definition.grey_only else "")


def module_titles(profile: Profile) -> dict[str, str]:
    """Table name to title: the module's name, and the objects that have this form of it where there are several."""
    users: dict[str, list[str]] = {}
    for definition in profile.iod.values():
        for use in definition.modules:
            users.setdefault(use.module, []).append(definition.name)
    names = [profile.module[module].name for module in users]
    return {
        module: f"{name} ({', '.join(users[module])})" if names.count(name) > 1 else name
        for module, name in zip(users, names, strict=True)
    }


def _modules(profile: Profile) -> Iterator[Section]:
    for module, title in module_titles(profile).items():
        table = attribute_table(f"{title} Module", profile.module[module].attributes)
        yield Section(f"{title} Module", (table,))


# ------------------------------------------------------------------------------------------------ codes


CODE_COLUMNS = ("Code Value", "Coding Scheme Designator", "Code Meaning")


def _codes(profile: Profile) -> tuple[Block, ...]:
    blocks: list[Block] = [Paragraph("Codes of procedures and protocols are those of the worklist, unchanged.")]
    fixed = tuple(sorted(set(_fixed_codes(profile))))
    if fixed:
        blocks.append(Table("Fixed codes", ("Attribute Name", *CODE_COLUMNS), fixed))
    if any(row.source == "image.gaze" for module in profile.module.values() for row in module.attributes):
        blocks.append(_code_table("Direction of gaze, of PS3.16 CID 4201", GAZES.values()))
    if profile.mpps is not None:
        blocks.append(_code_table("Reasons of a discontinued step, PS3.16 CID 9301", REASONS.values()))
    return tuple(blocks)


def _code_table(caption: str, codes: Iterable[Code]) -> Table:
    return Table(caption, CODE_COLUMNS, tuple((code.value, code.scheme, code.meaning) for code in codes))


def _fixed_codes(profile: Profile) -> Iterator[tuple[str, str, str, str]]:
    for module in profile.module.values():
        values = {row.path: row.value for row in module.attributes}
        for path, value in values.items():
            parent, _, keyword = path.rpartition(".")
            if keyword == "CodeValue" and value:
                scheme = values.get(f"{parent}.CodingSchemeDesignator", "")
                meaning = values.get(f"{parent}.CodeMeaning", "")
                yield (attribute_name(parent).lstrip(">"), value, scheme, meaning)


# ------------------------------------------------------------------------------------------------ deviations


def _deviations(profile: Profile) -> Section:
    title = "Deviations from the Printed Statement"
    if not profile.statement.deviations:
        printed = profile.statement.source
        return Section(title, (Paragraph(f"None from {printed}." if printed else "There is no printed statement."),))
    rows = tuple((each.clause, each.printed, each.ours, each.reason) for each in profile.statement.deviations)
    return Section(
        title,
        (
            Paragraph(f"Where this differs on purpose from {profile.statement.source or 'the statements behind it'}:"),
            Table("Deliberate deviations", ("Clause", "Printed", "Ours", "Reason"), rows),
        ),
    )
