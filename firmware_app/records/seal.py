"""The checksum of a JSON object as its own last key: a changed bit is noticed, and older releases read on."""

from __future__ import annotations

import re

from firmware_app.records.files import digest

_SEALED = re.compile(rb"(?s)(?P<content>.*),\"sha256\":\"(?P<sha256>[0-9a-f]{64})\"\}")


class SealBroken(ValueError):
    pass


def sealed(document: bytes) -> bytes:
    """The JSON object, which has keys, with a last key `sha256`: the checksum of all octets before it."""
    content = document.removesuffix(b"}")
    return b'%b,"sha256":"%b"}' % (content, digest(content).encode("ascii"))


def check_seal(document: bytes) -> None:
    """`SealBroken` where the octets are not those that were sealed. The first releases sealed nothing."""
    match = _SEALED.fullmatch(document)
    if match and digest(match["content"]).encode("ascii") != match["sha256"]:
        raise SealBroken("is not what was written: the checksum differs")
