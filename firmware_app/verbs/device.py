"""Verbs for the machine that the service runs on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, read_config, show, stopping

if TYPE_CHECKING:
    from firmware_app.config import Config
    from firmware_app.device.openings import Surroundings
    from firmware_app.device.system_settings import SystemSettings
    from firmware_app.verbs.options import Parents, Verbs

RESOLVERS = Path("/etc/resolv.conf")
RESOLVERS_MAX_BYTES = 64 << 10


def add(verbs: Verbs, parents: Parents) -> None:
    text = "what of the machine follows from the configuration: packet filter, unit limits, interface, device names"
    verb = add_verb(verbs, "device-rules", text, parents.configured, parents.printed)
    verb.description = (
        "Writes files below DIR, as they belong below /run at boot (specular-rules.service), or lists every port that "
        "they open with its reason. With a wrong configuration the interface's file is written all the same."
    )
    verb.add_argument(
        "--system", type=Path, metavar="FILE", help="the machine's own settings, if they are ours to make"
    )
    verb.add_argument("--whole-machine", action="store_true", help="the machine is all ours: close everything else too")
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="where the files go")
    what.add_argument("--explain", action="store_true", help="list the ports instead")
    verb.set_defaults(run=device_rules)


def device_rules(arguments: argparse.Namespace) -> int:
    from firmware_app.device.rendering import Disagreement, configured_files, interface_files
    from firmware_app.device.system_settings import SettingsError
    from firmware_app.profiles import load_profile

    with stopping(EXIT_USAGE, SettingsError):
        settings = _settings(arguments.system)
    if arguments.explain:
        return _explain(arguments, settings)
    with stopping(EXIT_FAILED, OSError):
        _write(arguments.out, interface_files(settings))
    config = read_config(arguments)
    around = _surroundings(config, settings)
    with stopping(EXIT_USAGE, Disagreement):
        files = configured_files(config, load_profile(config.profile), around, whole_machine=arguments.whole_machine)
    with stopping(EXIT_FAILED, OSError):
        written = _write(arguments.out, files | interface_files(settings), remove_others=True)
    for path in written:
        show(arguments.json, {"file": str(path)}, str(path))
    return EXIT_DONE


def _explain(arguments: argparse.Namespace, settings: SystemSettings | None) -> int:
    from firmware_app.device.rendering import all_openings, explained
    from firmware_app.profiles import load_profile

    config = read_config(arguments)
    around = _surroundings(config, settings)
    opened = all_openings(config, load_profile(config.profile), around, whole_machine=arguments.whole_machine)
    for row, line in explained(opened):
        show(arguments.json, row, line)
    if not arguments.json and not opened:
        print("no port is open", file=sys.stderr)
    return EXIT_DONE


def _settings(path: Path | None) -> SystemSettings | None:
    """None where the machine's network is not ours: no file is named, or there is none."""
    from firmware_app.device.system_settings import read_settings

    return None if path is None or not path.exists() else read_settings(path)


def _surroundings(config: Config, settings: SystemSettings | None) -> Surroundings:
    from firmware_app.device.openings import Surroundings, resolvers_of

    try:
        with RESOLVERS.open(encoding="utf-8", errors="replace") as file:
            resolvers = resolvers_of(file.read(RESOLVERS_MAX_BYTES))
    except OSError:
        resolvers = ()
    return Surroundings(settings, resolvers)


def _write(folder: Path, files: dict[str, str], *, remove_others: bool = False) -> list[Path]:
    """`remove_others`: what an earlier configuration had and this one has not."""
    from firmware_app.device.rendering import ALL_FILES

    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if remove_others:
        for name in set(ALL_FILES) - set(files):
            (folder / name).unlink(missing_ok=True)
    return [folder / name for name in files]
