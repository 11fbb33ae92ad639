"""One thread imports pydicom and Pillow; no service, command or worker thread imports more of them later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# In a process of its own, where nothing has been imported yet.
START = """
import sys
import trio
import firmware_app.app
from firmware_app.services.late_imports import LateImports

def heavy():
    return {name for name in sys.modules if name.partition(".")[0] in {"pydicom", "PIL", "openjpeg", "pylibjpeg"}}

before = heavy()
trio.run(LateImports().run)
there, ours = heavy(), {name: module for name, module in sys.modules.items() if name.startswith("firmware_app.")}
"""
IMPORTS = """
import ast
from pathlib import Path
count = 0
for name, module in ours.items():
    tree = ast.parse(Path(module.__file__).read_text())
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = [each for inner in functions for each in ast.walk(inner) if isinstance(each, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(late, []), name, "exec"), {})
    count += len(late)
missed = {name for name in sys.modules if name.startswith("firmware_app.")} - set(ours)
print(count, "|", *sorted(before), "|", *sorted(missed), "|", *sorted(heavy() - there))
"""
WORK = """
from dataclasses import replace
import msgspec
from mpps_samples import ENDED_AT, SCHEDULED_STEP, composer
from objects_samples import CREATED_AT, WITH_MPPS, capture
from report_samples import mosaic_measurement, pixels
from firmware_app.config.reading import default_config
from firmware_app.model import Eye, Frame, ReferencedInstance
from firmware_app.net.attributes import encode_attributes, kept_attributes
from firmware_app.net.commitment import action_information
from firmware_app.net.query import build_identifier, checked_character_set
from firmware_app.objects.film_settings import FilmSettings
from firmware_app.objects.mpps import performed_series
from firmware_app.profiles import load_profile
from firmware_app.services.analysis import Analysed
from firmware_app.services.capture import Captured
from firmware_app.services.decompression import decompress
from firmware_app.services.deliverables import build_deliverables
from firmware_app.services.film_pages import compose_film

IMPLICIT = "1.2.840.10008.1.2"
profile = load_profile()
exam = replace(WITH_MPPS, patient=replace(WITH_MPPS.patient, name="Müller^Иван=山田"))
analysed = Analysed(Captured(capture(um_per_px=3.0), Frame(pixels(), 8, 1, 1)), mosaic_measurement())
for syntax in ("implicit-vr-little-endian", "jpeg-baseline", "rle-lossless", "jpeg-2000-lossless"):
    config = default_config(profile)
    config = msgspec.structs.replace(config, storage=msgspec.structs.replace(config.storage, transfer_syntax=syntax))
    sent, _ = build_deliverables(config, profile, exam, {Eye.RIGHT: analysed}, CREATED_AT)
    for each in sent:
        file.write_bytes(each.data)
        decompress(file, IMPLICIT)
        compose_film(profile.print, FilmSettings(), [file])
files = [each.data for each in sent]
performed_series(files)
for message in (composer().begin(exam), composer().end(exam, "COMPLETED", ENDED_AT, files)):
    kept_attributes(encode_attributes(message.dataset, IMPLICIT), IMPLICIT)
encode_attributes(action_information("1.2.3", [ReferencedInstance("1.2", "1.3")]), IMPLICIT)
terms = checked_character_set({"PatientName": "Иван*"}, profile.patient_keys, profile.character_sets)
build_identifier({"PatientName": "Иван*"}, profile.patient_keys, explicit_vr=True, character_set=terms)
print(len(sent), "|", *sorted(heavy() - there))
"""


def told(program: str) -> list[set[str]]:
    """What the program prints, in parts between bars."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", START + program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [set(part.split()) for part in done.stdout.split("|")]


def test_every_import_inside_a_function_finds_its_module_there() -> None:
    count, too_early, missed, heavy = told(IMPORTS)
    assert int(*count) > 20
    assert not any(name.startswith("pydicom") for name in too_early)
    assert missed == set()
    assert heavy == set()


def test_work_brings_no_further_module(tmp_path: Path) -> None:
    count, heavy = told(f"from pathlib import Path\nfile = Path({str(tmp_path / 'instance')!r})\n{WORK}")
    assert count == {"2"}
    assert heavy == set()
