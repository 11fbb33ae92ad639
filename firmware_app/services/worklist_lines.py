"""Worklist items as `specular worklist --json` printed them: what one verb found is what another works on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from firmware_app.model import WorklistItem
from firmware_app.services.exam_requests import check_group
from hw.errors import Refused

_ITEM_MAX = 1 << 20  # a worklist item is a few kB


class BadWorklistItem(ValueError):
    """The text names the source, the line and what is wrong with it."""


def read_items(lines: Sequence[str], source: str) -> tuple[WorklistItem, ...]:
    """The items that one exam of one patient answers. Raises `BadWorklistItem`."""
    items = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > _ITEM_MAX:
            raise BadWorklistItem(f"{source}: line {number} is longer than {_ITEM_MAX} characters")
        try:
            items.append(msgspec.json.decode(line, type=WorklistItem))
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeEncodeError) as error:
            raise BadWorklistItem(f"{source}: line {number} is no worklist item: {error}") from error
    if not items:
        raise BadWorklistItem(f"{source}: holds no worklist item")
    try:
        check_group(items)
    except Refused as error:
        raise BadWorklistItem(f"{source}: {error}") from error
    return tuple(items)
