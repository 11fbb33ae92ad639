"""Which Specific Character Set (0008,0005) can hold a text without loss (PS3.3 C.12.1.1.2, PS3.5 6.1.2).

A character that the declared sets lack would change a patient's name without a word, so every text is tried here before
anything is encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from firmware_app.dicom.text_encoder import TextEncoder

DEFAULT_REPERTOIRE = ("", "ISO_IR 6", "ISO 2022 IR 6")


def is_default(terms: Sequence[str]) -> bool:
    """Whether these terms mean the default repertoire, for which the attribute is left out."""
    return all(term in DEFAULT_REPERTOIRE for term in terms)


def is_known(terms: Sequence[str]) -> bool:
    return _encoder(tuple(terms)).known


def can_hold(text: str, terms: Sequence[str]) -> bool:
    """Whether the sets hold every character of the text, and give the same text back."""
    return _encoder(tuple(terms)).holds(text)


def choose(
    texts: Iterable[str], preferred: Sequence[str], accepted: Sequence[Sequence[str]], fallback: Sequence[str]
) -> tuple[str, ...]:
    """The first that can hold every text: the preferred sets if accepted, the default repertoire, then the accepted
    ones in their order. `fallback` where none can.
    """
    texts = tuple(texts)
    allowed = [tuple(terms) for terms in accepted]
    wanted = tuple(preferred)
    for terms in [*([wanted] if wanted in allowed else []), ("ISO_IR 6",), *allowed]:
        if all(can_hold(text, terms) for text in texts):
            return terms
    return tuple(fallback)


@lru_cache(maxsize=64)
def _encoder(terms: tuple[str, ...]) -> TextEncoder:
    return TextEncoder(terms)
