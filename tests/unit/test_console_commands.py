"""What a typed line means: which command, which arguments, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from firmware_app.console.commands import (
    Argument,
    Command,
    CommandContext,
    CommandTable,
    CommandUsage,
    number,
    whole_number,
)
from firmware_app.console.protocol import Reply
from firmware_app.model import Eye


async def nothing(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
    return Reply()


TABLE = CommandTable(
    [
        Command("status", "how the instrument is", nothing),
        Command(
            "capture",
            "photograph one eye",
            nothing,
            (
                Argument("EYE", "the patient's own", Eye, choices=("R", "L")),
                Argument("--burst", "frames", whole_number(1, 50), default=5),
                Argument("--keep-all", "keep every frame", flag=True),
            ),
        ),
        Command("stage home", "find the machine frame", nothing),
        Command(
            "stage move",
            "go there",
            nothing,
            (Argument("X_UM", convert=number(-1e5, 0)), Argument("Y_UM", convert=number(), default=0.0)),
        ),
        Command("send", "send instances", nothing, (Argument("UID", repeated=True),)),
        Command("note", "write into the log", nothing, (Argument("WORD", repeated=True, default=()),)),
    ]
)

UNDERSTOOD = [
    ("status", "status", {}),
    ("  status  ", "status", {}),
    ("capture R", "capture", {"eye": Eye.RIGHT, "burst": 5, "keep_all": False}),
    ("capture l --burst 9", "capture", {"eye": Eye.LEFT, "burst": 9, "keep_all": False}),
    ("capture --keep-all --burst=9 R", "capture", {"eye": Eye.RIGHT, "burst": 9, "keep_all": True}),
    ("stage home", "stage home", {}),
    ("stage move -82000 -20000.5", "stage move", {"x_um": -82000.0, "y_um": -20000.5}),
    ("stage move -1e3", "stage move", {"x_um": -1000.0, "y_um": 0.0}),
    ("send 1.2.3 1.2.4", "send", {"uid": ("1.2.3", "1.2.4")}),
    ("note", "note", {"word": ()}),
    ("note 'two words' \"it's\" 山田", "note", {"word": ("two words", "it's", "山田")}),
    ("note -- --burst", "note", {"word": ("--burst",)}),
]

NOT_UNDERSTOOD = [
    ("", 'no command given ("help" lists all)'),
    ("   ", "no command given"),
    ("captur R", 'unknown command "captur": did you mean "capture"?'),
    ("xyzzy", 'unknown command "xyzzy": "help" lists all'),
    ("stage", '"stage" needs one of: stage home, stage move'),
    ("stage fly", '"stage" needs one of: stage home, stage move'),
    ("capture", "capture: EYE is missing (usage: capture R|L [--burst BURST] [--keep-all])"),
    ("capture Q", 'capture: EYE: "Q" is not one of R, L'),
    ("capture R L", 'capture: "L" is too much'),
    ("capture R --burts 5", "capture: unknown option --burts; did you mean --burst?"),
    ("capture R --burst", "capture: --burst needs a value"),
    ("capture R --burst 51", 'capture: --burst: "51" is not a whole number from 1 to 50'),
    ("capture R --burst 5.0", '"5.0" is not a whole number from 1 to 50'),
    ("capture R --burst ٣", "is not a whole number"),
    ("capture R --burst " + "9" * 5000, "is not a whole number from 1 to 50"),
    ("capture R --burst 5 --burst 6", "capture: --burst is given twice"),
    ("capture R --keep-all=yes", "capture: --keep-all takes no value"),
    ("stage move east", 'stage move: X_UM: "east" is not a number from -100000 to 0'),
    ("stage move nan", '"nan" is not a number from -100000 to 0'),
    ("stage move 1", '"1" is not a number from -100000 to 0'),
    ("stage move 0 inf", 'stage move: Y_UM: "inf" is not a number'),
    ("send", "send: UID is missing (usage: send UID...)"),
    ("note 'open", "the line cannot be split into words"),
]


@pytest.mark.parametrize(("line", "name", "arguments"), UNDERSTOOD)
def test_a_line_finds_its_command_and_arguments(line: str, name: str, arguments: dict[str, Any]) -> None:
    invocation = TABLE.parse(line)
    assert (invocation.command.name, invocation.arguments) == (name, arguments)


@pytest.mark.parametrize(("line", "explanation"), NOT_UNDERSTOOD)
def test_a_wrong_line_is_explained(line: str, explanation: str) -> None:
    with pytest.raises(CommandUsage) as caught:
        TABLE.parse(line)
    assert explanation in str(caught.value)


def test_help_lists_all_or_those_under_a_word_or_one_in_full() -> None:
    assert [line.split()[0] for line in TABLE.help_text().splitlines()] == [
        "capture",
        "note",
        "send",
        "stage",
        "stage",
        "status",
    ]
    assert TABLE.help_text(["stage"]).splitlines() == [
        "stage home              find the machine frame",
        "stage move X_UM [Y_UM]  go there",
    ]
    one = TABLE.help_text(["capture"])
    assert one.splitlines()[0] == "capture R|L [--burst BURST] [--keep-all]"
    assert "photograph one eye" in one
    assert "keep every frame" in one


def test_help_for_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(CommandUsage, match="did you mean"):
        TABLE.help_text(["statu"])


def test_one_name_twice_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="status"):
        CommandTable([*TABLE]).add(Command("status", "", nothing))
