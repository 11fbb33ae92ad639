"""Options that several verbs share, and what a word on the command line may be."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # PS3.5 9.1

TIMEOUT_MAX_S = 3600.0  # the same bound as the timeouts of a node in the configuration


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line, like every other failure: the usage of some verbs would be a page above it."""

    def error(self, message: str) -> NoReturn:
        from firmware_app.console.text import printable

        told = printable(message).replace("\n", " ")
        self.exit(2, f"{self.prog}: {told} (see {self.prog} --help)\n")


@dataclass(frozen=True, slots=True)
class Parents:
    """Parsers whose options a verb takes over."""

    configured: argparse.ArgumentParser
    printed: argparse.ArgumentParser
    networked: argparse.ArgumentParser

    @property
    def peer(self) -> tuple[argparse.ArgumentParser, ...]:
        """Of a verb that asks a NODE something."""
        return (self.configured, self.printed, self.networked)


def parents() -> Parents:
    """Before the verb or after it: what is not given after it must not undo what was given before it."""
    made = Parents(*(argparse.ArgumentParser(add_help=False) for _ in range(3)))
    add_config_option(made.configured, argparse.SUPPRESS)
    add_json_option(made.printed, argparse.SUPPRESS)
    add_network_options(made.networked)
    return made


def add_verb(verbs: Verbs, name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text, parents=list(parents), allow_abbrev=False)
    verb.set_defaults(parser=verb)
    return verb


def add_config_option(parser: argparse.ArgumentParser, default: str | None) -> None:
    text = "the configuration; without it, the built-in defaults"
    parser.add_argument("--config", type=Path, default=default, metavar="FILE", help=text)


def add_json_option(parser: argparse.ArgumentParser, default: str | bool) -> None:
    parser.add_argument("--json", action="store_true", default=default, help="one JSON object a line, UTF-8")


def add_profile_option(parser: argparse._ActionsContainer, text: str) -> None:
    """Instead of --config: then the built-in defaults of that profile hold (`outcome.read_config`)."""
    parser.add_argument("--profile", dest="of_profile", metavar="NAME", help=text)


def add_network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE", help="a node of the configuration, or AET@HOST:PORT")
    add_profile_option(parser, "what we are on the wire (default: the configuration's)")
    parser.add_argument("--calling", metavar="AET", help="our AE title (default: the configuration's)")
    text = "bounds each wait on the peer (default: the configuration's)"
    parser.add_argument("--timeout", type=seconds, metavar="S", help=text)


def seconds(word: str) -> float:
    return number(word, TIMEOUT_MAX_S, "seconds above 0, at most 3600")


def um_per_px(word: str) -> float:
    return number(word, 100.0, "um per pixel above 0, at most 100")


def number(word: str, high: float, allowed: str) -> float:
    with suppress(ValueError):
        value = float(word)
        if 0 < value <= high:
            return value
    raise argparse.ArgumentTypeError(f"{word!r} is not {allowed}")


def count(word: str) -> int:
    if word.isascii() and word.isdigit() and 1 <= int(word) <= 1_000_000:
        return int(word)
    raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1 to 1000000")


def seed(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 9):
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0 to 999999999")
    return int(word)


def typed(rule: str) -> Callable[[str], str]:
    """A word about a patient, by its rule in services.typed_patient."""

    def convert(word: str) -> str:
        from firmware_app.services import typed_patient

        try:
            checked: str = getattr(typed_patient, rule)(word)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{word!r} is not {error}") from None
        return checked

    return convert


def matching(pattern: str, allowed: str) -> Callable[[str], str]:
    def convert(word: str) -> str:
        if not re.fullmatch(pattern, word):
            raise argparse.ArgumentTypeError(f"{word!r} is not {allowed}")
        return word

    return convert


def text(limit: int) -> Callable[[str], str]:
    return matching(
        rf"[^\\\x00-\x1f\x7f]{{1,{limit}}}", f"1 to {limit} characters without backslash and control characters"
    )


def uid(word: str) -> str:
    if len(word) > 64 or not _UID.fullmatch(word):
        raise argparse.ArgumentTypeError(f"{word!r} is not a UID: at most 64 digits and dots")
    return word
