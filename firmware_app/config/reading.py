"""TOML file -> Config, or every problem of the file."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import tomli
from msgspec.structs import replace

from firmware_app.config.declared_services import declared_findings
from firmware_app.config.devices import KINDS
from firmware_app.config.keys import allowed_words, hints_of, table_in
from firmware_app.config.rules import Finding, findings
from firmware_app.config.schema import Config
from firmware_app.config.tls_files import expiry_findings, tls_findings
from firmware_app.profiles.loader import ProfileError, available_profiles, load_profile
from firmware_app.profiles.profile import Profile

FILE_MAX_BYTES = 1 << 20  # a configuration with every key explained has 6 kB
SHOWN_VALUE_MAX = 60  # characters of a bad value that an error message repeats
# Their presence says something: a stage, a camera is fitted.
OPTIONAL_TABLES = frozenset(name for name in Config.__struct_fields__ if getattr(Config(), name) is None)
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML: any other key has to be quoted


class ConfigError(Exception):
    """A configuration nobody may start with: one line naming the file, the key and what is allowed.

    `problems` holds all of them, one line each.
    """

    def __init__(self, path: Path, problems: list[str]) -> None:
        more = f" (and {len(problems) - 1} more: specular check-config {path})" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
        self.path = path
        self.problems = problems


def load_config(path: Path | None, *, with_files: bool = False) -> Config:
    """The configuration in `path`, or the defaults of the default profile without one. Raises `ConfigError`.

    `with_files`: only if the files that it names can be used too. Who merely wants to know where the console is may
    not be allowed to read them.
    """
    if path is None:
        return default_config(load_profile())
    config, problems = _examine(path, tls_findings if with_files else None)
    if problems:
        raise ConfigError(path, problems)
    return config


def check_config(path: Path) -> list[str]:
    """Every problem of the file, one line each; empty when a service may start with it."""
    now = datetime.now(UTC)
    # An expired certificate is told here, and does not stop the service: the instrument can still examine.
    return _examine(path, lambda config: [*tls_findings(config), *expiry_findings(config, now)])[1]


def default_config(profile: Profile) -> Config:
    """What holds under this profile without a file. Raises `ProfileError` for a default that is not allowed."""
    reading = _Reading()
    defaults = profile.configuration_defaults
    config: Config = _table(Config, {"profile": profile.name, **defaults}, "", reading)
    for finding in chain(findings(config), declared_findings(config, profile, defaults)):
        reading.refuse(finding.key, finding.text)
    if reading.problems:
        key, text = reading.problems[0]
        raise ProfileError(f"{profile.name}.toml: configuration_defaults.{key}: {text}")
    return replace(config, **dict.fromkeys(OPTIONAL_TABLES, None))  # no device is fitted by default


@dataclass(slots=True)
class _Reading:
    """What reading the tables found: problems in file order, and the keys that have no usable value."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    bad_keys: set[str] = field(default_factory=set)

    def refuse(self, key_path: str, text: str) -> None:
        self.problems.append((key_path, text))
        self.bad_keys.add(key_path)


def _examine(path: Path, files: Callable[[Config], Iterable[Finding]] | None) -> tuple[Config, list[str]]:
    try:
        document = _document(path)
    except _Unreadable as error:
        return Config(), [f"{path}: {error}"]
    reading = _Reading()
    profile = _profile(document)
    defaults = profile.configuration_defaults if profile else {}
    config = _table(Config, _beneath(document, defaults), "", reading)
    declared = declared_findings(config, profile, document) if profile else ()
    for finding in chain(findings(config), declared, files(config) if files else ()):
        # A rule about a key whose value was refused would judge the default that stands in for it.
        keys = (finding.key, *finding.also)
        if reading.bad_keys.isdisjoint((*keys, *(key.partition(".")[0] for key in keys))):
            reading.refuse(finding.key, finding.text)
    if profile is None and "profile" not in reading.bad_keys:
        known = ", ".join(available_profiles())
        reading.refuse("profile", f"there is no profile {_shown(config.profile)}; one of {known}")
    return config, [f"{path}: {key_path}: {text}" for key_path, text in reading.problems]


def _profile(document: Mapping[str, object]) -> Profile | None:
    """None where the file names none that exists: its tables can still be read."""
    name = document.get("profile", Config().profile)
    return load_profile(name) if isinstance(name, str) and name in available_profiles() else None


def _beneath(document: Mapping[str, object], defaults: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """The document, with the profile's defaults for keys that it leaves out. They fit no device that it leaves out."""
    merged = dict(document)
    for name, values in defaults.items():
        table = document.get(name, None if name in OPTIONAL_TABLES else {})
        if isinstance(table, dict):
            merged[name] = {**table, **{key: value for key, value in values.items() if key not in table}}
    return merged


class _Unreadable(Exception):
    pass


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror or error}") from error
    if len(content) > FILE_MAX_BYTES:
        raise _Unreadable(f"is longer than {FILE_MAX_BYTES} bytes: not a configuration")
    try:
        return tomli.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(f"line {line}: not UTF-8") from error
    except tomli.TOMLDecodeError as error:
        raise _Unreadable(f"line {error.lineno}, column {error.colno}: not TOML: {error.msg}") from error
    except ValueError as error:
        raise _Unreadable(f"holds a number of more than {sys.get_int_max_str_digits()} digits") from error
    except RecursionError as error:
        raise _Unreadable("is nested too deeply: not a configuration") from error


def _table(struct: type[Any], values: Mapping[str, object], prefix: str, reading: _Reading) -> Any:
    """The struct of one table; a refused key keeps its default so that the rest can still be judged."""
    kinds = KINDS.get(struct, {})
    struct = _of_kind(struct, kinds, values)
    hints = hints_of(struct)
    accepted: dict[str, object] = {}
    for key, value in values.items():
        key_path = prefix + (key if BARE_KEY.fullmatch(key) else _shown(key))
        if key not in hints:
            others = [f'"{kind}"' for kind, other in kinds.items() if key in hints_of(other)]
            reading.refuse(key_path, _unknown(key, value, list(hints), struct().kind if others else "", others))
            continue
        table = table_in(hints[key])
        if table is None:
            try:
                accepted[key] = msgspec.convert(value, hints[key])
            except msgspec.ValidationError:
                reading.refuse(key_path, f"{_shown(value)} is not allowed; allowed: {allowed_words(hints[key])}")
        elif isinstance(value, dict):
            accepted[key] = _table(table, value, f"{key_path}.", reading)
        else:
            reading.refuse(key_path, f"{_shown(value)} is not allowed; allowed: a table, [{key_path}]")
    return struct(**accepted)


def _of_kind(struct: type[Any], kinds: Mapping[str, type[Any]], values: Mapping[str, object]) -> type[Any]:
    """The table that `kind` chooses among several; the first where it is left out, or refused later."""
    if not kinds:
        return struct
    kind = values.get("kind")
    return kinds.get(kind if isinstance(kind, str) else "", next(iter(kinds.values())))


def _unknown(key: str, value: object, known: list[str], kind: str = "", others: Sequence[str] = ()) -> str:
    if others:
        return f'is no key of the kind "{kind}", but of {" and ".join(others)}; known here: {", ".join(known)}'
    what = "unknown table" if isinstance(value, dict) else "unknown key"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f'{what}; did you mean "{near[0]}"?'
    return f"{what}; known here: {', '.join(known)}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, str):
        text = msgspec.json.encode(value).decode()
    else:
        try:
            text = " ".join(repr(value).split())
        except ValueError:  # Python refuses to write long numbers out, but reads hexadecimal ones of any length
            text = f"a number of more than {sys.get_int_max_str_digits()} digits"
    return text if len(text) <= SHOWN_VALUE_MAX else text[: SHOWN_VALUE_MAX - 3] + "..."
