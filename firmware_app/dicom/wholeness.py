"""Whether a native little endian data set ends where its elements end: a copy that broke off does not.

Only lengths are followed, so that octets that are merely odd are none of its business: a peer may still take them.
"""

from __future__ import annotations

import struct

from firmware_app.dicom.elements import (
    ITEM,
    ITEM_DELIMITATION,
    LONG_VRS,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    tag_words,
)

_IMPLICIT, _EXPLICIT = struct.Struct("<HHI"), struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")
_DELIMITERS = frozenset({ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION})


def break_in(octets: bytes | memoryview, *, explicit_vr: bool) -> str:
    """Where the data set breaks off, in words; empty where it does not.

    Values of undefined length are entered, and everything in them is walked like what stands beside them: delimiters
    are elements without a value here. One that is encapsulated or of another VR than around it is not followed.
    """
    offset, end = 0, len(octets)
    while offset < end:
        if end - offset < _IMPLICIT.size:
            return f"it ends inside the header of an element, {end - offset} octets after the last"
        group, element, vr, length = _EXPLICIT.unpack_from(octets, offset)
        tag = group << 16 | element
        offset += _EXPLICIT.size
        if tag in _DELIMITERS or not explicit_vr:
            length = _LONG.unpack_from(octets, offset - 4)[0]
        elif vr in LONG_VRS:
            if end - offset < _LONG.size:
                return f"it ends inside the header of {tag_words(tag)}"
            length = _LONG.unpack_from(octets, offset)[0]
            offset += _LONG.size
            if length == UNDEFINED_LENGTH and vr != b"SQ":
                return ""  # UN holds Implicit VR (PS3.5 6.2.2 note 4)
        elif not (vr.isalpha() and vr.isupper()):
            return ""  # no Explicit VR: what follows would be guessed
        if length == UNDEFINED_LENGTH:
            continue
        if length > end - offset:
            return f"{tag_words(tag)} announces {length} octets, {end - offset} are left"
        offset += length
    return ""
