"""What the schema says of a key: which table it holds, or which values it may have, in words."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec


def hints_of(struct: type[Any]) -> dict[str, Any]:
    """Key to annotated type, in the order of the schema."""
    return get_type_hints(struct, include_extras=True)


def table_in(hint: Any) -> type[msgspec.Struct] | None:
    """The table type behind `Table` or `Table | None`; None for a plain value."""
    candidates = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def allowed_words(hint: Any) -> str:
    """What a value of this type may be."""
    for note in getattr(hint, "__metadata__", ()):
        if isinstance(note, msgspec.Meta) and note.description:
            return note.description
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(msgspec.json.encode(choice).decode() for choice in get_args(hint))
    return "true or false"
