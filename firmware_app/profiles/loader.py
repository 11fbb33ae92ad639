"""Profile files -> Profile. A profile that cannot be read whole is not used at all."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import tomli

from firmware_app.profiles.profile import Profile


class ProfileError(ValueError):
    """A profile does not exist or its file is wrong; the text names the file and the key."""


FOLDER = Path(__file__).parent  # importlib.resources would import zipfile and tempfile: 5 ms of every start


def available_profiles() -> tuple[str, ...]:
    return tuple(sorted(entry.stem for entry in FOLDER.iterdir() if entry.suffix == ".toml"))


@cache
def load_profile(name: str = "specular") -> Profile:
    """The profile of that name. Raises ProfileError."""
    if name not in available_profiles():
        raise ProfileError(f"profile {name!r} does not exist; there is {', '.join(available_profiles())}")
    file_name = f"{name}.toml"
    text = (FOLDER / file_name).read_text(encoding="utf-8")
    return parse_profile(text, file_name)


def parse_profile(text: str, file_name: str) -> Profile:
    """A profile from the text of its file; `file_name` is for error messages. Raises ProfileError."""
    try:
        return msgspec.convert(tomli.loads(text), Profile)
    except (tomli.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"{file_name}: {error}") from error
