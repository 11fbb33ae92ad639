"""What an archive takes only uncompressed, for the storage client: it knows no pixels."""

from __future__ import annotations

from pathlib import Path


def decompress(path: Path, transfer_syntax_uid: str) -> bytes:
    """The file in an uncompressed transfer syntax, SOP Instance UID and lossy marking kept. Raises ValueError."""
    from firmware_app.objects.transcoding import transcode  # pydicom and its decoders: 0.3 s, and seldom needed

    return transcode(path, transfer_syntax_uid)
