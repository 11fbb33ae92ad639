"""What holds without a file: the parameter table of the SP-1P statement, and a light import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firmware_app.config import Config, check_config, load_config

# SP-1P DICOM conformance statement, clause 4.7.2; its "None" is the empty string here.
STATEMENT_DEFAULTS = {
    ("instrument", "ip_address"): "",
    ("instrument", "port"): 64001,
    ("instrument", "ae_title"): "TP_AM_SP1P_001",
    ("worklist", "ip_address"): "",
    ("worklist", "port"): 0,
    ("worklist", "ae_title"): "",
    ("storage", "ip_address"): "",
    ("storage", "port"): 0,
    ("storage", "ae_title"): "",
    ("storage", "modality"): "SC",
    ("storage", "transfer_syntax"): "implicit-vr-little-endian",
    ("patient_query", "ip_address"): "",
    ("patient_query", "port"): 0,
    ("patient_query", "ae_title"): "",
}
STATEMENT_CHOICES = {
    "modality": ("SC", "OP", "XC", "OT"),
    "transfer_syntax": ("implicit-vr-little-endian", "explicit-vr-little-endian", "jpeg-baseline"),
}
EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"


def test_defaults_are_those_of_the_statement() -> None:
    config = load_config(None)
    found = {(table, key): getattr(getattr(config, table), key) for table, key in STATEMENT_DEFAULTS}
    assert found == STATEMENT_DEFAULTS


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in STATEMENT_CHOICES.items() for value in values]
)
def test_every_choice_of_the_statement_is_accepted(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "choice.toml"
    path.write_text(f'[storage]\n{key} = "{value}"\n')
    assert getattr(load_config(path).storage, key) == value


def test_without_a_file_no_motor_no_camera_no_node() -> None:
    config = load_config(None)
    assert config == Config()
    assert (config.stage, config.camera, config.nodes()) == (None, None, {})


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
    tables = [defaults, *(value for value in (getattr(defaults, name) for name in defaults.__struct_fields__))]
    missing = [
        field
        for table in tables
        for field in getattr(table, "__struct_fields__", ())
        if f"\n{field} = " not in text and f"[{field}" not in text and f".{field}]" not in text
    ]
    assert missing == []


def test_importing_the_configuration_is_light() -> None:
    heavy = "{'pydicom', 'trio', 'numpy', 'PIL', 'structlog', 'serial'}"
    code = f"import sys, firmware_app.config; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
