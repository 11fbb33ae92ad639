"""A TOML text as the tables of a schema; what is wrong with it is said as `specular check-config` says it."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
import tomli

from firmware_app.config.keys import allowed_words, hints_of, table_in

Tables = TypeVar("Tables", bound=msgspec.Struct)


class NoSuchTables(Exception):
    """One line: the key and what is allowed, or why it is no TOML."""


def tables_of(text: str, schema: type[Tables]) -> Tables:
    """Raises `NoSuchTables`."""
    try:
        document = tomli.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, a number of thousands of digits, nested too deeply
        raise NoSuchTables(f"not TOML: {error}") from error
    try:
        return msgspec.convert(document, schema)
    except msgspec.ValidationError as error:
        raise NoSuchTables(_with_key(str(error), schema)) from error


def _with_key(error: str, schema: type[msgspec.Struct]) -> str:
    """msgspec says where at the end: "Expected `bool` - at `$.again`"; we begin with the key, and for an expression
    say what it stands for."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", error)
    if not found or not found[2]:
        return error
    words = f"not allowed; allowed: {_allowed(found[2], schema)}" if "matching regex" in found[1] else found[1]
    return f"{found[2]}: {words}"


def _allowed(key_path: str, schema: type[msgspec.Struct]) -> str:
    hint: Any = schema
    for key in re.sub(r"\[[^]]*\]", "", key_path).split("."):
        hint = hints_of(table_in(hint) or hint)[key]
    return allowed_words(hint)
