"""Unique identifiers under 2.25, which needs no registered root (PS3.5 B.2)."""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid4, uuid5


def new_uid() -> str:
    return f"2.25.{uuid4().int}"


def derived_uid(parent_uid: str, name: str) -> str:
    """The same UID for the same parent and name, always."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'{parent_uid}/{name}').int}"
