"""Compiled Python that is taken as it is, whatever the times of the files in the machine say.

An initramfs knows no times worth comparing, and emulated processors need a minute to compile what a service imports.
"""

from __future__ import annotations

import importlib.util
import py_compile
import tempfile
from pathlib import Path

# The header (PEP 552): magic number, flags, then the time and size of the source, or with this flag its hash.
_HEADER_BYTES, _FLAGS_AT = 16, 4
_UNCHECKED_HASH = (1).to_bytes(4, "little")


def cache_name(name: str) -> str:
    """Where the interpreter looks for the bytecode of that source."""
    return importlib.util.cache_from_source(name)


def unchecked(source: Path) -> bytes | None:
    """The source's bytecode, from the host's cache where that is fresh; None where it cannot be compiled."""
    cached = Path(cache_name(str(source)))
    if cached.is_file() and _is_fresh(cached, source):
        return as_unchecked(cached.read_bytes())
    with tempfile.NamedTemporaryFile(suffix=".pyc") as made:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        try:
            py_compile.compile(str(source), made.name, dfile=str(source), doraise=True, invalidation_mode=mode)
        except (py_compile.PyCompileError, ValueError, UnicodeDecodeError):
            return None
        return Path(made.name).read_bytes()


def as_unchecked(bytecode: bytes) -> bytes:
    return bytecode[:_FLAGS_AT] + _UNCHECKED_HASH + bytes(8) + bytecode[_HEADER_BYTES:]


def _is_fresh(cached: Path, source: Path) -> bool:
    with cached.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    status = source.stat()
    expected = int(status.st_mtime).to_bytes(8, "little")[:4] + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    return header[:8] == importlib.util.MAGIC_NUMBER + bytes(4) and header[8:] == expected
