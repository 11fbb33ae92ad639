"""What the profile's conformance statement allows a configuration to ask for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from firmware_app.config.rules import Finding
from firmware_app.config.schema import SERVICE_OF_TABLE, Config, service_of
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    RLE_LOSSLESS,
)
from firmware_app.profiles.profile import EntityName, PrintAttribute, PrintTables, Profile

# The tables of peers are named like the services that they are peers of; the others are in SERVICE_OF_TABLE.
NODE_TABLES: tuple[EntityName, ...] = ("worklist", "storage", "patient_query", "mpps", "commitment", "print")
TRANSFER_SYNTAXES = {
    "implicit-vr-little-endian": IMPLICIT_VR_LITTLE_ENDIAN,
    "explicit-vr-little-endian": EXPLICIT_VR_LITTLE_ENDIAN,
    "jpeg-baseline": JPEG_BASELINE,
    "rle-lossless": RLE_LOSSLESS,
    "jpeg-2000-lossless": JPEG_2000_LOSSLESS,
}
# Key of [print] and the attribute that it becomes.
PRINT_ATTRIBUTES = {
    "copies": "NumberOfCopies",
    "priority": "PrintPriority",
    "medium": "MediumType",
    "destination": "FilmDestination",
    "orientation": "FilmOrientation",
    "film_size": "FilmSizeID",
    "magnification": "MagnificationType",
    "smoothing": "SmoothingType",
    "border_density": "BorderDensity",
    "empty_image_density": "EmptyImageDensity",
    "min_density": "MinDensity",
    "max_density": "MaxDensity",
    "trim": "Trim",
    "configuration_information": "ConfigurationInformation",
    "polarity": "Polarity",
    "requested_image_size_mm": "RequestedImageSize",
    "crop": "RequestedDecimateCropBehavior",
}


def declared_findings(config: Config, profile: Profile, tables: Collection[str]) -> Iterator[Finding]:
    """What `config`, whose file has these `tables`, asks for beyond the profile."""
    for table in (*NODE_TABLES, *SERVICE_OF_TABLE):
        service = service_of(table)
        if table in tables and service not in profile.application_entity:
            yield Finding(table, f"{_declares_no(profile, service)}", ("profile",))
    yield from _modality(config, profile)
    yield from _transfer_syntax(config, profile)
    yield from _query_model(config, profile)
    yield from _print(config, profile)
    yield from _tls(config, profile)


def declared_choices(profile: Profile) -> dict[str, tuple[str, ...]]:
    """Per key what the profile leaves of the schema's choices, where they are a list; "" among them is not asked."""
    entity = profile.application_entity.get("storage")
    syntaxes = {uid for context in (entity.contexts if entity else ()) for uid in context.transfer_syntaxes}
    choices = {
        "storage.modality": tuple(profile.storage_modality),
        "storage.transfer_syntax": tuple(word for word, uid in TRANSFER_SYNTAXES.items() if uid in syntaxes),
        "patient_query.model": tuple(profile.patient_query_models),
    }
    if profile.print is not None:
        rows = {row.path: row for row in _print_rows(profile.print)}
        for key, keyword in PRINT_ATTRIBUTES.items():
            if keyword in rows and rows[keyword].values and rows[keyword].low is None:
                choices[f"print.{key}"] = rows[keyword].values
    return choices


def _print_rows(tables: PrintTables) -> Iterator[PrintAttribute]:
    yield from (*tables.film_session, *tables.film_box, *tables.image_box)


def _declares_no(profile: Profile, what: str) -> str:
    return f"the profile {profile.name} declares no service {what.replace('_', ' ')}"


def _modality(config: Config, profile: Profile) -> Iterator[Finding]:
    if config.storage.modality not in profile.storage_modality:
        yield _not_declared(profile, "storage.modality", config.storage.modality, profile.storage_modality)


def _transfer_syntax(config: Config, profile: Profile) -> Iterator[Finding]:
    """Of every object that the setting makes: of frames at the camera's depth, and of reports."""
    target = profile.storage_modality.get(config.storage.modality)
    entity = profile.application_entity.get("storage")
    if target is None or entity is None:
        return
    proposed: dict[str, set[str]] = {}
    for context in entity.contexts:
        proposed.setdefault(context.abstract_syntax, set()).update(context.transfer_syntaxes)
    # JPEG Baseline has 8 bits, and frames that have more lose them.
    deep = (
        config.camera is not None
        and config.camera.bits_stored > 8
        and config.storage.transfer_syntax != "jpeg-baseline"
    )
    names = {target.iod_above_8_bits or target.iod if deep else target.iod}
    if "report" in profile.storage_pictures:
        names.add(target.report_iod or target.iod)
    chosen = TRANSFER_SYNTAXES[config.storage.transfer_syntax]
    for definition in (profile.iod[name] for name in sorted(names)):
        allowed = proposed.get(definition.sop_class_uid, set())
        if chosen not in allowed:
            words = [word for word, uid in TRANSFER_SYNTAXES.items() if uid in allowed]
            yield _not_declared(
                profile,
                "storage.transfer_syntax",
                config.storage.transfer_syntax,
                words,
                f" for {definition.name}",
                ("storage.modality", "camera.bits_stored"),
            )


def _query_model(config: Config, profile: Profile) -> Iterator[Finding]:
    if "patient_query" in profile.application_entity and config.patient_query.model not in profile.patient_query_models:
        yield _not_declared(profile, "patient_query.model", config.patient_query.model, profile.patient_query_models)


def _print(config: Config, profile: Profile) -> Iterator[Finding]:
    if profile.print is None:
        return
    rows = {row.path: row for row in _print_rows(profile.print)}
    for key, keyword in PRINT_ATTRIBUTES.items():
        value = getattr(config.print, key)
        if not value:  # not sent
            continue
        row = rows.get(keyword)
        if row is None:
            yield Finding(f"print.{key}", f"the profile {profile.name} declares no {keyword}", ("profile",))
        elif not _is_allowed(row, str(value)):
            yield _not_declared(profile, f"print.{key}", str(value), _allowed(row))


def _is_allowed(row: PrintAttribute, value: str) -> bool:
    bounded = row.low is not None and row.high is not None
    if not row.values and not bounded:
        return True
    if value in row.values:
        return True
    return row.low is not None and row.high is not None and value.isdecimal() and row.low <= int(value) <= row.high


def _allowed(row: PrintAttribute) -> list[str]:
    return [*row.values, *([f"{row.low} to {row.high}"] if row.low is not None and row.high is not None else [])]


def _tls(config: Config, profile: Profile) -> Iterator[Finding]:
    if profile.tls:
        return
    named = [("instrument", config.instrument.tls), *((name, node.tls) for name, node in config.nodes().items())]
    for name, table in named:
        if table is not None:
            yield Finding(f"{name}.tls", f"the profile {profile.name} declares no TLS", ("profile",))


def _not_declared(
    profile: Profile, key: str, value: str, allowed: Collection[str], where: str = "", also: tuple[str, ...] = ()
) -> Finding:
    choices = ", ".join(f'"{word}"' for word in allowed) or "nothing"
    text = f'"{value}" is not what the profile {profile.name} declares{where}; one of {choices}'
    return Finding(key, text, ("profile", *also))
