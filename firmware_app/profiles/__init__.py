"""What a conformance statement declares, as data. `load_profile` reads a TOML file of this package."""

from __future__ import annotations

from firmware_app.profiles.loader import ProfileError, load_profile, parse_profile
from firmware_app.profiles.profile import Profile, QueryKey

__all__ = ["Profile", "ProfileError", "QueryKey", "load_profile", "parse_profile"]
