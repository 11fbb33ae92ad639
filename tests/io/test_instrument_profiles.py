"""The instrument as each profile makes it: what it says of services that the profile has not got, and its commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_app.config.reading import default_config
from firmware_app.instrument import Instrument
from firmware_app.profiles import load_profile
from firmware_app.profiles.loader import available_profiles
from firmware_app.records.store import open_records
from hw.errors import Refused

SERVICES = {
    "patient_query": "patient query",
    "mpps": "performed procedure steps",
    "commitment": "storage commitment",
    "print": "printer",
}


@pytest.mark.parametrize("name", available_profiles())
async def test_the_status_tells_a_service_without_a_node_from_one_that_is_not_declared(
    name: str, tmp_path: Path
) -> None:
    profile = load_profile(name)
    async with open_records(tmp_path) as records:
        status = await Instrument(default_config(profile), profile, "127.0.0.1", records).status.read()
    for service, shown in SERVICES.items():
        not_declared = f"the profile {name} declares no" in status.services[shown]
        assert not_declared == (service not in profile.application_entity), status.services[shown]


async def test_to_print_where_nothing_is_printed_names_the_profile(tmp_path: Path) -> None:
    profile = load_profile("sp-1p")
    async with open_records(tmp_path) as records:
        instrument = Instrument(default_config(profile), profile, "127.0.0.1", records)
        with pytest.raises(Refused, match="the profile sp-1p declares no print"):
            await instrument.printing.print_pictures(["exam-1"])


async def test_connectivity_is_verified_from_the_console(tmp_path: Path) -> None:
    profile = load_profile("sp-1p")
    async with open_records(tmp_path) as records:
        table = Instrument(default_config(profile), profile, "127.0.0.1", records).commands()
    assert table.parse("echo storage").arguments == {"node": "storage"}
