"""Taking patients out of what leaves the clinic. Pure.

What goes into a bundle carries no patient data by its own contracts. This is the second line: every text is searched
for the words that name a patient on record, and such a word is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

REMOVED = "[removed]"
# Shorter words name nobody, and would make the rest unreadable.
WORD_MIN = 3
_APART = re.compile(r"""([\s"'`,;:()<>\[\]{}=^/\\|]+)""")
# faulthandler's own lines: where every thread was, and nothing else.
_FAULT = re.compile(
    r'(Fatal Python error: |Current thread 0x|Thread 0x|Extension modules: |  File "[^"]*", line \d+ in )'
)


class Remover:
    """`values` are names, IDs, birth dates ... as they stand in the records; parts of a name count by themselves."""

    def __init__(self, values: Iterable[str]) -> None:
        whole = {value.strip() for value in values if len(value.strip()) >= WORD_MIN}
        # Once: a bundle asks tens of thousands of times, of every patient on record.
        self._of_several_words = tuple(value for value in whole if " " in value)
        self._words = frozenset(
            word
            for value in whole
            for word in (value.casefold(), *map(str.casefold, _APART.split(value)))
            if len(word) >= WORD_MIN or (word and not word.isascii())
        )

    def text(self, text: str) -> str:
        for value in self._of_several_words:
            text = text.replace(value, REMOVED)
        return "".join(self._word(part) for part in _APART.split(text))

    def value(self, value: Any) -> Any:
        """The same of every text in a JSON value, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(each) for each in value]
        return value

    def _word(self, word: str) -> str:
        bare = word.strip(".-_!?").casefold()
        return REMOVED if bare in self._words or word.casefold() in self._words else word


def log_line(line: str, remover: Remover) -> str:
    """One line of the log as it may leave: what is not the service's own JSON says nothing of itself."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if isinstance(said, dict) and "event" in said:
        said.pop("patient", None)
        return json.dumps(remover.value(said), ensure_ascii=False)
    if _FAULT.match(line):
        return remover.text(line)
    return json.dumps({"event": "log.foreign", "text": f"a line of {len(line)} characters that is not the service's"})


def configuration(value: Any, key: str = "") -> Any:
    """Without what names a person or opens something."""
    if isinstance(value, Mapping):
        return {name: configuration(each, name) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [configuration(each, key) for each in value]
    is_secret = any(word in key for word in ("operator", "password", "secret", "passphrase", "token"))
    return REMOVED if is_secret and value else value
