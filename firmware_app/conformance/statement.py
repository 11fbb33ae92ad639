"""The whole statement of a profile, or of one installation under it."""

from __future__ import annotations

from firmware_app.config.schema import Config
from firmware_app.conformance.annexes import annexes
from firmware_app.conformance.closing import character_sets, media_interchange, security
from firmware_app.conformance.document import Document
from firmware_app.conformance.networking import networking
from firmware_app.conformance.overview import contents, cover, introduction, overview
from firmware_app.profiles.profile import Profile


def write_statement(profile: Profile, defaults: Config, here: Config | None = None) -> Document:
    """`defaults` are the configuration's under this profile; `here` is an installation's, shown beside them."""
    return Document(
        f"DICOM Conformance Statement: {profile.statement.product}",
        cover(profile),
        (
            overview(profile),
            contents(),
            introduction(profile),
            networking(profile, defaults, here),
            media_interchange(),
            character_sets(profile),
            security(profile),
            annexes(profile),
        ),
    )
