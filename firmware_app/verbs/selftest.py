"""The verb that looks whether everything is there and answers."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, Stop, read_config, show, show_progress

if TYPE_CHECKING:
    from firmware_app.services.selftest import Bench, Check, Result
    from firmware_app.verbs.options import Parents, Verbs

NAME_WIDTH = 18


def add(verbs: Verbs, parents: Parents) -> None:
    text = "devices, disk, clock, interface, port, fonts and nodes: pass or fail with a reason each"
    verb = add_verb(verbs, "selftest", text, parents.configured, parents.printed)
    verb.epilog = "Moves nothing. Exit status 1 if any check failed; what is not configured is skipped."
    verb.set_defaults(run=selftest)


def selftest(arguments: argparse.Namespace) -> int:
    config = read_config(arguments)
    import trio

    from firmware_app.profiles import load_profile
    from firmware_app.services.selftest import Bench, checks_of

    profile = load_profile(config.profile)
    checks = checks_of(config, profile)
    results = trio.run(_run, checks, Bench(config, profile), arguments.json)
    failures = [result.name for result in results if result.verdict == "fail"]
    if failures:
        raise Stop(EXIT_FAILED, f"{len(failures)} of {len(results)} checks failed: {', '.join(failures)}")
    return EXIT_DONE


async def _run(checks: tuple[Check, ...], bench: Bench, as_json: bool) -> list[Result]:
    from firmware_app.services.selftest import run_checks

    results: list[Result] = []
    show_progress(checks[0].name)
    async with contextlib.aclosing(run_checks(checks, bench)) as running:
        async for result in running:
            show_progress("")
            results.append(result)
            row = {"name": result.name, "result": result.verdict, "reason": result.reason}
            show(as_json, row, f"{result.verdict}  {result.name:{NAME_WIDTH}}  {result.reason}")
            if len(results) < len(checks):
                show_progress(checks[len(results)].name)
    return results
