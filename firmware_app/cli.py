"""The command line: what may be typed, and which room does it. No work is done here.

Exit status: 0 done; 1 the operation failed (the peer, the device or the image refused), the reason on stderr in one
line; 2 wrong usage or configuration; 130 interrupted. Everything heavy is imported by the verb that needs it.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app import __version__
from firmware_app.services.causes import causes, in_one_line

if TYPE_CHECKING:
    from firmware_app.config import Config
    from firmware_app.services.network_verbs import Row, Rows

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
TIMEOUT_MAX_S = 3600.0  # the same bound as the timeouts of a node in the configuration
# These verbs have a command line of their own in the room that does the work.
PASSED_ON = ("sim", "hospital")


class Stop(Exception):
    """An expected end without success: the exit status and the one line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status; wrong usage ends with SystemExit(2) as argparse does it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stream that somebody replaced
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    parser = build_parser()
    arguments, others = parser.parse_known_args(argv)
    if others and arguments.verb not in PASSED_ON:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    arguments.others = others
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except Stop as stop:
        print(f"specular {arguments.verb}: {stop}", file=sys.stderr)
        return stop.status
    except BrokenPipeError:
        # Whoever read our output has seen enough. The interpreter would complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except BaseException as error:
        if all(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
            return EXIT_INTERRUPTED
        raise


@contextmanager
def stopping(status: int, *expected: type[BaseException]) -> Iterator[None]:
    """Turn errors of these kinds, alone or in groups, into `Stop` with their text in one line."""
    try:
        yield
    except BaseException as error:
        if not all(isinstance(cause, expected) for cause in causes(error)):
            raise
        raise Stop(status, in_one_line(error)) from error


@contextmanager
def importing() -> Iterator[None]:
    """For the imports of a short verb: not searched for garbage, now or at the exit: 34 of the 155 ms of an echo."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def needing_demo() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise Stop(EXIT_FAILED, f"needs the extra `demo` (pip install specular[demo]): {error}") from error


def seed(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 9):
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0 to 999999999")
    return int(word)


# ------------------------------------------------------------------------------------------------ what may be typed


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="specular",
        description="Instrument software of a corneal-endothelium specular microscope. Not for clinical use.",
        epilog="Exit status: 0 done, 1 the operation failed (reason on stderr), 2 wrong usage or configuration.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"specular {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_config_option(parser, None)
    _add_json_option(parser, False)
    # Before the verb or after it: what is not given after it must not undo what was given before it.
    configured, printed, networked = (argparse.ArgumentParser(add_help=False) for _ in range(3))
    _add_config_option(configured, argparse.SUPPRESS)
    _add_json_option(printed, argparse.SUPPRESS)
    _add_network_options(networked)

    verb = _verb(verbs, "run", "the service (systemd starts this)", configured)
    verb.set_defaults(run=run_service)

    verb = _verb(
        verbs, "console", "operate the instrument by hand; reads commands from a file or pipe too", configured, printed
    )
    verb.description = (
        "The debug console. Without -c an interactive session, or, where standard input is no terminal, one command "
        "a line until the first that does not succeed; empty lines and lines beginning with # are skipped."
    )
    verb.add_argument("-c", dest="command", metavar="COMMAND", help='run one command ("help" lists them) and leave')
    verb.set_defaults(run=run_console)

    verb = _verb(verbs, "demo", "a whole exam with the simulated instrument and the embedded hospital")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where report, images and instances are put")
    verb.add_argument("--seed", type=seed, default=1, metavar="N", help="which simulated eyes (default 1)")
    verb.add_argument("--keep", action="store_true", help="leave everything running afterwards, to play with")
    verb.set_defaults(run=run_demo)

    for name, text in (
        ("sim", "only the simulated instrument: prints the ports, takes faults on stdin"),
        ("hospital", "only the embedded hospital: a worklist and an archive on loopback"),
    ):
        verb = verbs.add_parser(name, help=text, add_help=False)
        verb.set_defaults(run=run_sim if name == "sim" else run_hospital)

    _add_analyze(verbs, printed)
    _add_network_verbs(verbs, configured, printed, networked)

    verb = _verb(verbs, "check-config", "all problems of a configuration file at once", printed)
    verb.add_argument("file", type=Path, metavar="FILE")
    verb.set_defaults(run=check_config)
    return parser


def _verb(verbs: Verbs, name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=text, description=text, parents=list(parents), allow_abbrev=False)


def _add_config_option(parser: argparse.ArgumentParser, default: str | None) -> None:
    text = "the configuration; without it, the built-in defaults"
    parser.add_argument("--config", type=Path, default=default, metavar="FILE", help=text)


def _add_json_option(parser: argparse.ArgumentParser, default: str | bool) -> None:
    parser.add_argument("--json", action="store_true", default=default, help="one JSON object a line, UTF-8")


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE", help="a node of the configuration, or AET@HOST:PORT")
    parser.add_argument("--calling", metavar="AET", help="our AE title (default: the configuration's)")
    parser.add_argument("--timeout", type=_seconds, metavar="S", help="bounds each wait on the peer")


def _add_analyze(verbs: Verbs, printed: argparse.ArgumentParser) -> None:
    verb = _verb(verbs, "analyze", "measure image files (PNG, TIFF, JPEG, DICOM)", printed)
    verb.epilog = "Exit status 1 if any image was refused; every image is answered all the same."
    verb.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    verb.add_argument(
        "--um-per-px", type=_um_per_px, metavar="X", help="the scale (default: the file's, if it has one)"
    )
    verb.add_argument("--labels", type=Path, metavar="DIR", help="write DIR/<stem>.png: 16 bits, one id per cell")
    verb.add_argument("--overlay", type=Path, metavar="DIR", help="write DIR/<stem>.png: the cells drawn on the image")
    verb.set_defaults(run=analyze)


def _add_network_verbs(verbs: Verbs, *parents: argparse.ArgumentParser) -> None:
    verb = _verb(verbs, "echo", "C-ECHO: does the node answer?", *parents)
    verb.add_argument("--count", type=_count, default=1, metavar="N", help="so many on one association (default 1)")
    verb.set_defaults(run=echo)

    verb = _verb(verbs, "worklist", "Modality Worklist C-FIND", *parents)
    verb.add_argument("--date", default="", help="YYYYMMDD, a range YYYYMMDD-YYYYMMDD, or today")
    verb.add_argument("--modality", metavar="CS", help="such as OP (default: the configuration's)")
    verb.add_argument("--station", metavar="AET", help="scheduled station AE title (default: the configuration's)")
    verb.add_argument("--name", default="", help="patient's name; * and ? are wildcards")
    verb.add_argument("--id", default="", help="patient ID")
    verb.add_argument("--accession", default="", help="accession number")
    verb.set_defaults(run=worklist)

    verb = _verb(verbs, "store", "C-STORE: one line per instance with its status", *parents)
    verb.add_argument("files", nargs="+", type=Path, metavar="FILE")
    verb.set_defaults(run=store)


def _seconds(word: str) -> float:
    return _number(word, TIMEOUT_MAX_S, "seconds above 0, at most 3600")


def _um_per_px(word: str) -> float:
    return _number(word, 100.0, "um per pixel above 0, at most 100")


def _number(word: str, high: float, allowed: str) -> float:
    with suppress(ValueError):
        value = float(word)
        if 0 < value <= high:
            return value
    raise argparse.ArgumentTypeError(f"{word!r} is not {allowed}")


def _count(word: str) -> int:
    if word.isascii() and word.isdigit() and 1 <= int(word) <= 1_000_000:
        return int(word)
    raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1 to 1000000")


# ------------------------------------------------------------------------------------------------ which room does it


def _config(arguments: argparse.Namespace, *, with_files: bool = False) -> Config:
    from firmware_app.config import ConfigError, load_config

    with stopping(EXIT_USAGE, ConfigError):
        return load_config(arguments.config, with_files=with_files)


def run_service(arguments: argparse.Namespace) -> int:
    config = _config(arguments, with_files=True)  # first: its problems are told before anything heavy is imported
    from firmware_app import app
    from firmware_app.console.listening import ConsoleUnavailable
    from firmware_app.records.errors import RecordsError

    with stopping(EXIT_USAGE, app.CannotStart), stopping(EXIT_FAILED, ConsoleUnavailable, RecordsError):
        return app.run_service(config)


def run_console(arguments: argparse.Namespace) -> int:
    from firmware_app.console import client

    socket_path = Path(_config(arguments).paths.runtime) / "console.sock"
    return client.run_console(socket_path, arguments.command, arguments.json)


def run_demo(arguments: argparse.Namespace) -> int:
    with needing_demo():
        from firmware_app.demo.exam import run_demo
    return run_demo(out=arguments.out, seed=arguments.seed, keep=arguments.keep)


def run_sim(arguments: argparse.Namespace) -> int:
    from hw.sim.__main__ import main

    return main(arguments.others)


def run_hospital(arguments: argparse.Namespace) -> int:
    with needing_demo():
        from firmware_app.demo import hospital
    return hospital.main(arguments.others)


def analyze(arguments: argparse.Namespace) -> int:
    from firmware_app.services.image_files import OutputClash, analyze_files

    refusals: list[str] = []
    with stopping(EXIT_USAGE, OutputClash), stopping(EXIT_FAILED, OSError):
        results = analyze_files(
            arguments.images,
            um_per_px=arguments.um_per_px,
            labels_dir=arguments.labels,
            overlay_dir=arguments.overlay,
        )
    if not arguments.json:
        print(f"{'CD/mm2':>8} {'area px':>8} {'CV %':>6} {'HEX %':>6} {'N':>5}  Q  file")
    for number, result in enumerate(_until_output_fails(results), start=1):
        _show(arguments.json, result, _analysis_line(result))
        _progress(f"{number}/{len(arguments.images)}")
        if result["status"] != "ok":
            refusals.append(f"{result['file']}: {result['reason']}")
    _progress("")
    if refusals:
        more = f" (and {len(refusals) - 1} more refused)" if len(refusals) > 1 else ""
        raise Stop(EXIT_FAILED, refusals[0] + more)
    return EXIT_DONE


def _until_output_fails(results: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    """The results; labels or overlays that cannot be written are an expected end."""
    with stopping(EXIT_FAILED, OSError):
        yield from results


def _analysis_line(result: dict[str, object]) -> str:
    """Without a scale there is no density: the mean cell area in pixels then stands for it."""
    forms = (
        ("cd_per_mm2", ".0f", 8),
        ("mean_area_px", ".0f", 8),
        ("cv_percent", ".1f", 6),
        ("hex_percent", ".1f", 6),
        ("n", "d", 5),
    )
    numbers = " ".join(("-" if result[key] is None else format(result[key], form)).rjust(w) for key, form, w in forms)
    reason = f": {result['reason']}" if result["reason"] else ""
    quality = result["quality"] or "-"
    return f"{numbers}  {quality}  {result['file']}{reason}"


def echo(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.services import network_verbs

    return _network_verb(arguments, network_verbs.echo_rows(arguments.count))


def worklist(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.services import network_verbs

    keys = network_verbs.WorklistKeys(
        arguments.date,
        arguments.modality,
        arguments.station,
        arguments.name,
        arguments.id,
        arguments.accession,
    )
    with stopping(EXIT_USAGE, network_verbs.BadQuery):
        rows = network_verbs.worklist_rows(keys)
    return _network_verb(arguments, rows)


def store(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.net import storage  # noqa: F401
        from firmware_app.services import network_verbs

    return _network_verb(arguments, network_verbs.store_rows(arguments.files))


def _network_verb(arguments: argparse.Namespace, rows: Rows) -> int:
    """Ask the peer and print each row as it comes. A row that is a failure makes the exit status 1."""
    from firmware_app.services import network_verbs
    from firmware_app.services.peers import BadPeer

    config = _config(arguments)
    bound = arguments.config is not None
    with stopping(EXIT_USAGE, BadPeer), stopping(EXIT_FAILED, *network_verbs.EXPECTED):
        peer = network_verbs.find_peer(arguments.node, config, bound, arguments.calling, arguments.timeout)
    failures: list[str] = []

    def show(row: Row) -> None:
        if row.data is not None or not arguments.json:
            _show(arguments.json, row.data, row.text)
        if row.failure:
            failures.append(row.failure)

    with stopping(EXIT_FAILED, *network_verbs.EXPECTED):
        network_verbs.run(rows, peer, show)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise Stop(EXIT_FAILED, failures[0] + more)
    return EXIT_DONE


def check_config(arguments: argparse.Namespace) -> int:
    """Problems go to stderr, one a line; with --json to stdout as well, in one object."""
    from firmware_app import config

    problems = config.check_config(arguments.file)
    _show(arguments.json, {"file": str(arguments.file), "problems": problems}, "" if problems else "no problems")
    for problem in problems:
        print(f"specular check-config: {problem}", file=sys.stderr)
    return EXIT_USAGE if problems else EXIT_DONE


# ------------------------------------------------------------------------------------------------ what is printed


def _show(as_json: bool, data: object, text: str) -> None:
    """One line, whatever a peer's names hold: a line break in one would read as a row of its own."""
    import msgspec

    from firmware_app.console.text import printable

    if as_json:
        print(msgspec.json.encode(data).decode(), flush=True)
    elif text:
        print(printable(text).replace("\n", " "), flush=True)


def _progress(text: str) -> None:
    """Where somebody watches; a log or a pipe gets only the errors."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
