"""Commands of the console: their names, arguments and help; a typed line -> which handler with what. Pure.

A command's name is one or more words ("help", "stage move"). Arguments that begin with `--` are options and may stand
anywhere, all others are taken in order, so that negative numbers need no quoting: `stage move -82000 -20000 0`.
"""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firmware_app.console.protocol import Reply


class CommandUsage(Exception):
    """The line asks for something that no command offers; the text says what is allowed."""


class CommandFailed(Exception):
    """The command could not do it; the text is the reason in words."""


class CommandBusy(Exception):
    """Not now: something else is going on, which the text names."""


REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: positional (`EYE`) or an option (`--burst`). `convert` raises ValueError saying what is allowed.

    A flag takes no value and is True when given. A repeated positional stands last and gives a tuple.
    """

    name: str
    help: str = ""
    convert: Callable[[str], object] = str
    choices: tuple[str, ...] = ()
    default: Any = REQUIRED
    flag: bool = False
    repeated: bool = False

    @property
    def is_option(self) -> bool:
        return self.name.startswith("--")

    @property
    def key(self) -> str:
        """Where the handler finds the value: `--max-frames` is `max_frames`, `EYE` is `eye`."""
        return self.name.removeprefix("--").replace("-", "_").lower()

    @property
    def usage(self) -> str:
        if self.flag:
            return f"[{self.name}]"
        value = "|".join(self.choices) or (self.key.upper() if self.is_option else self.name)
        text = f"{self.name} {value}" if self.is_option else value
        if self.repeated:
            text += "..."
        return text if self.default is REQUIRED else f"[{text}]"

    def value(self, word: str) -> object:
        """The value of `word`. Raises `CommandUsage`."""
        if self.choices:
            for choice in self.choices:
                if word.lower() == choice.lower():
                    return self.convert(choice)
            raise CommandUsage(f'{self.name}: "{word}" is not one of {", ".join(self.choices)}')
        try:
            return self.convert(word)
        except ValueError as error:
            raise CommandUsage(f'{self.name}: "{word}" is not {error}') from error


def number(low: float = -math.inf, high: float = math.inf) -> Callable[[str], float]:
    """A converter for a finite number from `low` to `high`."""

    def convert(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError("a number" + _range_words(low, high))
        return value

    return convert


def whole_number(low: float = -math.inf, high: float = math.inf) -> Callable[[str], int]:
    """A converter for a whole number from `low` to `high`."""

    def convert(word: str) -> int:
        digits = word.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18 and low <= int(word) <= high):
            raise ValueError("a whole number" + _range_words(low, high))
        return int(word)

    return convert


def _range_words(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" of at least {low:g}"
    if math.isinf(low):
        return f" of at most {high:g}"
    return f" from {low:g} to {high:g}"


class CommandContext:
    """What a running command may use of the console."""

    def __init__(self, table: CommandTable, progress: Callable[[str], None]) -> None:
        self.table = table
        self._progress = progress

    def progress(self, text: str) -> None:
        """Show a line while the command runs. Never waits; a client that does not read loses progress, not results."""
        self._progress(text)


Handler = Callable[[CommandContext, Mapping[str, Any]], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    help: str
    handler: Handler
    arguments: tuple[Argument, ...] = ()

    @property
    def usage(self) -> str:
        return " ".join([self.name, *(argument.usage for argument in self.arguments)])

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """The handler's arguments by key, defaults filled in. Raises `CommandUsage`."""
        try:
            return _parse(self.arguments, words)
        except CommandUsage as error:
            raise CommandUsage(f"{self.name}: {error} (usage: {self.usage})") from error


@dataclass(frozen=True, slots=True)
class Invocation:
    command: Command
    arguments: dict[str, Any]


class CommandTable:
    """Every command by its name. Adding the same name twice is a programming error."""

    def __init__(self, commands: Iterable[Command] = ()) -> None:
        self._commands: dict[str, Command] = {}
        self.add(*commands)

    def add(self, *commands: Command) -> None:
        for command in commands:
            if command.name in self._commands:
                raise ValueError(f"command {command.name!r} is there already")
            self._commands[command.name] = command

    def __iter__(self) -> Iterator[Command]:
        return iter([self._commands[name] for name in sorted(self._commands)])

    def under(self, words: Sequence[str]) -> list[Command]:
        """The commands whose name begins with `words`, in alphabetical order."""
        wanted = list(words)
        names = sorted(self._commands)
        return [self._commands[name] for name in names if name.split()[: len(wanted)] == wanted]

    def parse(self, line: str) -> Invocation:
        """Which command a typed line means, with its arguments. Raises `CommandUsage`."""
        words = split_words(line)
        for count in range(len(words), 0, -1):
            command = self._commands.get(" ".join(words[:count]))
            if command is not None:
                return Invocation(command, command.parse(words[count:]))
        raise CommandUsage(self._unknown(words))

    def help_text(self, words: Sequence[str] = ()) -> str:
        """One line per command under `words`; one command alone with its arguments. Raises `CommandUsage`."""
        commands = self.under(words)
        if not commands:
            raise CommandUsage(self._unknown(words))
        if len(commands) > 1:
            width = min(max(len(command.usage) for command in commands), 44)
            return "\n".join(f"{command.usage:{width}}  {command.help}" for command in commands)
        (command,) = commands
        described = [argument for argument in command.arguments if argument.help]
        width = max((len(argument.name) for argument in described), default=0)
        return "\n".join(
            [command.usage, f"  {command.help}", *(f"  {each.name:{width}}  {each.help}" for each in described)]
        )

    def _unknown(self, words: Sequence[str]) -> str:
        if not words:
            return 'no command given ("help" lists all)'
        longer = self.under(words[:1])
        if longer:
            return f'"{words[0]}" needs one of: {", ".join(command.name for command in longer)}'
        first_words = {name.split()[0] for name in self._commands}
        near = difflib.get_close_matches(words[0], sorted(first_words), n=1)
        hint = f'did you mean "{near[0]}"?' if near else '"help" lists all'
        return f'unknown command "{words[0]}": {hint}'


def split_words(line: str) -> list[str]:
    """The words of a line as a shell would see them. Raises `CommandUsage` for an open quote."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise CommandUsage(f"the line cannot be split into words: {error}") from error


def _parse(arguments: Sequence[Argument], words: Sequence[str]) -> dict[str, Any]:
    options = {argument.name: argument for argument in arguments if argument.is_option}
    values: dict[str, Any] = {}
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":  # as in every Unix command: what follows is no option
            rest += queue
            break
        if not word.startswith("--"):
            rest.append(word)
            continue
        name, equals, attached = word.partition("=")
        option = _option(options, name)
        if option.key in values:
            raise CommandUsage(f"{name} is given twice")
        values[option.key] = _option_value(option, attached if equals else None, queue)
    _take_positionals([argument for argument in arguments if not argument.is_option], rest, values)
    for option in options.values():
        if option.key not in values:
            values[option.key] = _default(option)
    return values


def _option(options: Mapping[str, Argument], name: str) -> Argument:
    if name in options:
        return options[name]
    near = difflib.get_close_matches(name, list(options), n=1)
    raise CommandUsage(f"unknown option {name}" + (f"; did you mean {near[0]}?" if near else ""))


def _option_value(option: Argument, attached: str | None, queue: list[str]) -> object:
    if option.flag:
        if attached is not None:
            raise CommandUsage(f"{option.name} takes no value")
        return True
    if attached is None:
        if not queue:
            raise CommandUsage(f"{option.name} needs a value")
        attached = queue.pop(0)
    return option.value(attached)


def _take_positionals(positionals: Sequence[Argument], words: list[str], values: dict[str, Any]) -> None:
    for argument in positionals:
        if argument.repeated:
            if not words and argument.default is REQUIRED:
                raise CommandUsage(f"{argument.name} is missing")
            values[argument.key] = tuple(argument.value(word) for word in words)
            words = []
        elif words:
            values[argument.key] = argument.value(words[0])
            words = words[1:]
        else:
            values[argument.key] = _default(argument)
    if words:
        raise CommandUsage(f'"{words[0]}" is too much')


def _default(argument: Argument) -> Any:
    if argument.flag:
        return False
    if argument.default is REQUIRED:
        raise CommandUsage(f"{argument.name} is missing")
    return argument.default
