"""The configuration parameters (PS3.2 A.4.4), read from the schema that the configuration file is checked against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from firmware_app.config.declared_services import declared_choices
from firmware_app.config.keys import allowed_words, hints_of, table_in
from firmware_app.config.schema import Config, NodeConfig, service_of
from firmware_app.conformance.document import Block, Paragraph, Section, Table
from firmware_app.conformance.parameters import DESCRIPTIONS
from firmware_app.profiles.profile import Profile

COLUMNS = ("Parameter", "Default", "Allowed", "Description")
COLUMNS_HERE = ("Parameter", "Default", "Here", "Allowed", "Description")
# Tables about this machine and not about DICOM: the manual has them.
NOT_DICOM = ("retention", "stage", "camera", "light", "calibration", "capture", "reflex", "paths", "log")
EMPTY = "None"  # as both statements write it
# Of our own port, where the profile accepts no association.
OWN_PORT = ("instrument.port", "instrument.accepted_ae_titles", "instrument.accepted_addresses")
NO_PORT = "without effect under this profile: no association request is accepted"


@dataclass(frozen=True, slots=True)
class Values:
    """A table of the configuration: by default, and of the installation that the statement is written for, if any."""

    default: Any
    here: Any

    def of(self, key: str) -> Values:
        return Values(getattr(self.default, key), None if self.here is None else getattr(self.here, key))


def configuration(profile: Profile, defaults: Config, here: Config | None) -> Section:
    """`defaults` are the profile's; `here` is one installation's."""
    return Section(
        "Configuration",
        parts=(
            Section("AE Title/Presentation Address Mapping", (_local(here or defaults), _remote(profile, here))),
            Section(
                "Parameters",
                (
                    Paragraph("Every parameter is a key of one TOML file; an unknown key or a bad value is refused."),
                    *_tables(profile, Values(defaults, here)),
                ),
            ),
        ),
    )


def _local(config: Config) -> Table:
    return Table(
        "Local AE title and port, for every AE",
        ("Item", "Value"),
        (
            ("AE title", config.instrument.ae_title),
            ("TCP port", str(config.instrument.port)),
            ("IP address", config.instrument.ip_address or "that of network.interface"),
        ),
    )


def _remote(profile: Profile, here: Config | None) -> Table:
    nodes = here.nodes() if here else {}
    return Table(
        "Remote AEs",
        ("Table", "AE title", "Address", "TCP port"),
        tuple(
            (name, nodes[name].ae_title, nodes[name].host, str(nodes[name].port))
            if name in nodes
            else (name, "configured on site" if here is None else "not configured", "", "")
            for name in Config().node_tables()
            if service_of(name) in profile.application_entity
        ),
    )


def _tables(profile: Profile, values: Values) -> Iterator[Block]:
    columns = COLUMNS if values.here is None else COLUMNS_HERE
    yield Table(
        "General parameters", columns, (_row(profile, "profile", hints_of(Config)["profile"], values.of("profile")),)
    )
    of_nodes: dict[str, tuple[tuple[str, ...], ...]] = {}
    for name, hint in hints_of(Config).items():
        struct = table_in(hint)
        if struct is None or name in NOT_DICOM:
            continue
        is_node = issubclass(struct, NodeConfig)
        if is_node and service_of(name) not in profile.application_entity:
            continue
        yield Table(f"Parameters of [{name}]", columns, tuple(_rows(profile, name, struct, values.of(name))))
        for part, part_hint in hints_of(struct).items():
            inner = table_in(part_hint)
            if inner is None or (part == "tls" and not profile.tls):
                continue
            if is_node:
                inner_rows = _rows(profile, f"NODE.{part}", inner, Values(inner(), None))
                of_nodes.setdefault(f"NODE.{part}", tuple(inner_rows))
            else:
                rows = _rows(profile, f"{name}.{part}", inner, Values(inner(), None))
                yield Table(f"Parameters of [{name}.{part}]", COLUMNS, tuple(rows))
    for owner, nodes_rows in of_nodes.items():
        yield Table(f"Parameters of [{owner}], where NODE is any table of a remote AE", COLUMNS, nodes_rows)


def _rows(profile: Profile, table: str, struct: type[Any], values: Values) -> Iterator[tuple[str, ...]]:
    for key, hint in hints_of(struct).items():
        if table_in(hint) is None:
            yield _row(profile, f"{table}.{key}", hint, values.of(key))


def _row(profile: Profile, key: str, hint: Any, values: Values) -> tuple[str, ...]:
    description = DESCRIPTIONS.get(key) or DESCRIPTIONS.get(f"NODE.{key.rpartition('.')[2]}")
    if description is None:
        raise ValueError(f"the parameter {key} has no description")
    if key in OWN_PORT and "listener" not in profile.application_entity:
        description = NO_PORT
    here = () if values.here is None else (value_words(values.here),)
    return (key, value_words(values.default), *here, _allowed(profile, key, hint), description)


def _allowed(profile: Profile, key: str, hint: Any) -> str:
    """What the schema allows, and of its choices only those that the profile declares."""
    declared = declared_choices(profile).get(key)
    if declared is None:
        return allowed_words(hint)
    choices = [choice for choice in get_args(hint) if choice == "" or choice in declared]
    if isinstance(get_args(hint)[0], type):  # a number: the choices are the profile's alone
        return f"only {declared[0]}" if len(declared) == 1 else f"one of {', '.join(declared)}"
    words = ", ".join(msgspec.json.encode(choice).decode() for choice in choices)
    return f"one of {words}" if len(choices) > 1 else f"only {words}"


def value_words(value: object) -> str:
    if value in ("", ()):
        return EMPTY
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
