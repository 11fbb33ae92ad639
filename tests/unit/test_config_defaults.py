"""What holds without a file: the parameter table of the SP-1P statement, and a light import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli
from msgspec.structs import replace
from printed_statements import SP_1P_PARAMETERS

from firmware_app.config import (
    CameraConfig,
    Config,
    ListenerTlsConfig,
    NodeConfig,
    NodeTlsConfig,
    StageConfig,
    check_config,
    load_config,
)
from firmware_app.config.declared_services import PRINT_ATTRIBUTES
from firmware_app.config.devices import KINDS
from firmware_app.config.light import FixationConfig, LampConfig
from firmware_app.config.reading import default_config
from firmware_app.config.schema import PrintConfig
from firmware_app.profiles import ProfileError, load_profile

# SP-1P DICOM conformance statement, clause 4.7.2.
STATEMENT_CHOICES = {
    "modality": ("SC", "OP", "XC", "OT"),
    "transfer_syntax": ("implicit-vr-little-endian", "explicit-vr-little-endian", "jpeg-baseline"),
}
EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"


def test_defaults_are_those_of_the_statement() -> None:
    config = load_config(None)
    found = {(table, key): getattr(getattr(config, table), key) for table, key in SP_1P_PARAMETERS}
    assert found == SP_1P_PARAMETERS


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in STATEMENT_CHOICES.items() for value in values]
)
def test_every_choice_of_the_statement_is_accepted(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "choice.toml"
    path.write_text(f'[storage]\n{key} = "{value}"\n')
    assert getattr(load_config(path).storage, key) == value


def test_without_a_file_no_motor_no_camera_no_node() -> None:
    config = load_config(None)
    assert config == default_config(load_profile()) == Config()
    assert (config.stage, config.camera, config.nodes()) == (None, None, {})


def test_a_profile_has_defaults_of_its_own_beneath_the_file(tmp_path: Path) -> None:
    path = tmp_path / "radiography.toml"
    path.write_text("profile = 'kodakqc'\n")
    config = load_config(path)
    assert config == default_config(load_profile("kodakqc"))
    assert (config.instrument.port, config.storage.modality, config.print.crop) == (104, "CR", "CROP")
    assert config.camera is None
    path.write_text("profile = 'kodakqc'\n[instrument]\nport = 4104\n[print]\ncrop = ''\n[camera]\num_per_px = 0.85\n")
    config = load_config(path)
    assert (config.instrument.port, config.instrument.ae_title) == (4104, "KODAKQC")
    assert (config.print.crop, config.print.automatic) == ("", True)
    assert config.camera is not None
    assert (config.camera.bits_stored, config.camera.um_per_px) == (12, 0.85)
    path.write_text("profile = 'kodakqc'\n[camera]\nbits_stored = 8\n")
    camera = load_config(path).camera
    assert camera is not None
    assert camera.bits_stored == 8


def test_a_table_of_the_wrong_type_is_told_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("profile = 'kodakqc'\nstorage = 5\ncamera = []\n")
    assert [problem.split(": ")[1] for problem in check_config(path)] == ["storage", "camera"]


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("storage", {"modality": "CT"}, r'storage.modality: "CT" is not allowed'),
        ("storage", {"colour": True}, "storage.colour: unknown key"),
        ("xyzzy", {"a": 1}, "xyzzy: unknown table"),
        ("storage", {"modality": "CR"}, r'storage.modality: "CR" is not what the profile sp-1p declares'),
        ("mpps", {"retry_max_s": 9.0}, "mpps: the profile sp-1p declares no service mpps"),
        ("print", {"min_density": "9", "max_density": "1"}, "print.min_density: 9 is more than"),
    ],
)
def test_a_default_of_a_profile_that_is_not_allowed(
    table: str, values: dict[str, str | int | float | bool], message: str
) -> None:
    profile = replace(load_profile("sp-1p"), configuration_defaults={table: values})
    with pytest.raises(ProfileError, match=f"sp-1p.toml: configuration_defaults.{message}"):
        default_config(profile)


def test_nodes_are_the_configured_ones_with_their_timeouts(tmp_path: Path) -> None:
    path = tmp_path / "nodes.toml"
    path.write_text(
        '[worklist]\nip_address="10.0.0.2"\nport=105\nae_title="RIS"\n[worklist.timeouts]\nconnect_s=1.5\n'
        '[storage]\nip_address="10.0.0.3"\nport=104\nae_title="PACS"\nmodality="OP"\n'
    )
    config = load_config(path)
    assert list(config.nodes()) == ["worklist", "storage"]
    assert config.nodes()["storage"] is config.storage
    assert config.worklist.timeouts.connect_s == 1.5
    assert config.storage.timeouts.connect_s == 5.0


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_are_good_configurations(example: Path) -> None:
    assert check_config(example) == []


def test_the_reference_example_is_the_defaults_and_names_every_key() -> None:
    """`reference.toml` shows each key with its default: whoever changes one has to change the other."""
    config = load_config(EXAMPLES / "reference.toml")
    assert config.stage is not None
    assert config.camera is not None
    defaults = Config(stage=type(config.stage)(), camera=type(config.camera)())
    assert config == defaults
    text = (EXAMPLES / "reference.toml").read_text()
    # What only some have is written out and commented out.
    named = tomli.loads(re.sub(r"^# (\[\w+\.\w+\]|\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert keys_of(named) == keys_of(msgspec.to_builtins(defaults)) | {
        *(f"instrument.tls.{key}" for key in ListenerTlsConfig.__struct_fields__),
        *(f"worklist.tls.{key}" for key in NodeTlsConfig.__struct_fields__),
        *(f"light.{lamp}.{key}" for lamp in ("illumination", "flash") for key in LampConfig.__struct_fields__),
        *(f"light.fixation.{key}" for key in FixationConfig.__struct_fields__),
    }


@pytest.mark.parametrize("example", ["sangaboard-v4l2.toml", "asi-folder.toml"])
def test_the_examples_of_the_other_kinds_are_their_defaults_and_name_every_key(example: str) -> None:
    config = load_config(EXAMPLES / example)
    assert config.stage is not None
    assert config.camera is not None
    defaults = {"stage": type(config.stage)(), "camera": type(config.camera)()}
    assert (config.stage, config.camera) == (defaults["stage"], defaults["camera"])
    named = tomli.loads((EXAMPLES / example).read_text())
    for table, values in defaults.items():
        assert set(named[table]) == set(values.__struct_fields__)


def test_there_is_an_example_of_every_kind() -> None:
    shown = {
        (base, type(table))
        for example in EXAMPLES.glob("*.toml")
        for base, table in ((StageConfig, load_config(example).stage), (CameraConfig, load_config(example).camera))
    }
    for base, kinds in KINDS.items():
        for kind, struct in kinds.items():
            assert struct().kind == kind  # type: ignore[attr-defined]
            assert (base, struct) in shown


def keys_of(table: dict[str, Any], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for key, value in table.items():
        if isinstance(value, dict):
            keys |= keys_of(value, f"{prefix}{key}.")
        elif key != "tls" and value is not None:
            keys.add(prefix + key)
    return keys


def test_every_print_key_is_an_attribute_of_the_film() -> None:
    nodes = set(NodeConfig.__struct_fields__) | {"automatic", "caption", "layout", "retry_first_s", "retry_max_s"}
    assert set(PRINT_ATTRIBUTES) == set(PrintConfig.__struct_fields__) - nodes


def test_importing_the_configuration_is_light() -> None:
    heavy = "{'pydicom', 'trio', 'numpy', 'PIL', 'structlog', 'serial'}"
    code = f"import sys, firmware_app.config; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
