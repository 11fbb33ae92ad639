"""Whether each part of the service gets on: what it waits for or works on, since when, and how long that may last.

A part is a tree of activities. Only its leaves are judged: what a piece of work is inside of gets on with it, and its
own time begins again when the inner one ends. An activity with a limit that is over is hung; one without a limit is
idle and may last for ever. What nobody declares is work of the part itself and has a limit too: an await that never
returns is found without anybody having thought of it.

A context variable and not a parameter, as in `hw.watched`: a wait is deep inside the network or the records, each of
which knows what it waits for, and nobody but the watchdog and the health screen wants to know. Tasks that a part starts
are of that part. Pure: the clock is given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

# What a service does between the waits that it declares is over in milliseconds.
SERVICE_S = 120.0
# A worn card takes half a minute for a flush; a disk that takes longer than this is dead.
DISK_S = 120.0
# The longest picture that is measured, on the smallest board, and the heaviest import from the slowest card.
COMPUTE_S = 300.0
# Each wait on a peer has a bound of its own, which the configuration limits to an hour: what lasts longer lost it.
PEER_S = 2 * 3600.0

T = TypeVar("T")
Doing = Literal["idle", "working", "hung", "done", "died"]


@dataclass(slots=True, eq=False)
class Activity:
    what: str
    limit_s: float | None  # None: idle, for however long it takes
    is_wait: bool
    since_s: float
    part: Part
    inside: Activity | None = None
    inner: int = 0  # activities that are open inside of this one


@dataclass(slots=True, eq=False)
class Part:
    name: str
    open: dict[int, Activity] = field(default_factory=dict)
    steps: int = 0
    finished: str = ""  # why there is nothing to do any more
    ended_s: float | None = None
    is_over: bool = False  # ended, and nobody expects it to go on


@dataclass(frozen=True, slots=True)
class PartState:
    """One part at one moment. `for_s` is how long it has been so, in seconds; `steps` grow as it gets on."""

    name: str
    doing: Doing
    what: str
    for_s: float
    steps: int
    limit_s: float | None = None

    @property
    def is_trouble(self) -> bool:
        return self.doing in ("hung", "died")

    @property
    def why(self) -> str:
        """Of a part in trouble, for the log."""
        if self.doing == "died":
            return f"{self.name} has ended by itself {self.for_s:.0f} s ago ({self.what})"
        return f"{self.name} hangs: {self.what} for {self.for_s:.0f} s, longer than {self.limit_s or 0:.0f} s"


_current: ContextVar[Activity | None] = ContextVar("_current", default=None)


class ProgressTable:
    """The parts of one service. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._parts: dict[str, Part] = {}
        self.is_ending = False  # the service ends: parts that end are no news

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """The body is the life of this part. Left with no exception and without `finished`, it has died."""
        part = self._parts[name] = Part(name)
        try:
            with _opened(self, Activity("its own work", SERVICE_S, False, self.clock(), part)):
                yield
        except BaseException:
            part.is_over = True  # cancelled, or the nursery hears of it
            raise
        finally:
            part.ended_s = self.clock()

    def states(self) -> tuple[PartState, ...]:
        """In the order in which the parts began."""
        return tuple(self._state(part) for part in self._parts.values())

    def troubles(self) -> tuple[PartState, ...]:
        """What hangs or has died; nothing while the service ends."""
        return () if self.is_ending else tuple(state for state in self.states() if state.is_trouble)

    def _state(self, part: Part) -> PartState:
        now_s = self.clock()
        if part.ended_s is not None:
            is_done = bool(part.finished) or part.is_over or self.is_ending
            return PartState(
                part.name, "done" if is_done else "died", part.finished or "ended", now_s - part.ended_s, part.steps
            )
        leaves = [activity for activity in part.open.values() if not activity.inner]
        for leaf in leaves:
            for_s = now_s - leaf.since_s
            if leaf.limit_s is not None and for_s > leaf.limit_s:
                return PartState(part.name, "hung", leaf.what, for_s, part.steps, leaf.limit_s)
        latest = leaves[-1]
        doing: Doing = "idle" if latest.is_wait else "working"
        return PartState(part.name, doing, latest.what, now_s - latest.since_s, part.steps, latest.limit_s)


@contextmanager
def _opened(table: ProgressTable, activity: Activity) -> Iterator[None]:
    part, inside = activity.part, activity.inside
    part.open[id(activity)] = activity
    if inside is not None:
        inside.inner += 1
    token = _current.set(activity)
    table_token = _table.set(table)
    try:
        yield
    finally:
        _table.reset(table_token)
        _current.reset(token)
        del part.open[id(activity)]
        part.steps += 1
        if inside is not None:
            inside.inner -= 1
            inside.since_s = table.clock()


_table: ContextVar[ProgressTable | None] = ContextVar("_table", default=None)


@contextmanager
def _inside(what: str, limit_s: float | None, is_wait: bool) -> Iterator[None]:
    table, outer = _table.get(), _current.get()
    if table is None or outer is None:
        yield
        return
    with _opened(table, Activity(what, limit_s, is_wait, table.clock(), outer.part, outer)):
        yield


def idle(what: str) -> AbstractContextManager[None]:
    """Within the scope the part waits for `what`, as long as it takes. Nothing happens outside of a part."""
    return _inside(what, None, True)


def waiting(what: str, limit_s: float = PEER_S) -> AbstractContextManager[None]:
    """Within the scope it waits for something with a bound of its own, which is over long before `limit_s`."""
    return _inside(what, limit_s, True)


def working(what: str, limit_s: float = SERVICE_S) -> AbstractContextManager[None]:
    """Within the scope it works on `what`, and hangs when that takes longer than `limit_s`."""
    return _inside(what, limit_s, False)


class Arriving(Generic[T]):
    """`async for` over what comes from `source`; until the next one comes the part waits for `what`.

    No generator: one that is left before its end has to be closed by whoever left it.
    """

    def __init__(self, source: AsyncIterator[T], what: str) -> None:
        self._source = source
        self._what = what

    def __aiter__(self) -> Arriving[T]:
        return self

    async def __anext__(self) -> T:
        with idle(self._what):
            return await anext(self._source)


def step() -> None:
    """It got on, inside the activity that is open."""
    table, current = _table.get(), _current.get()
    if table is not None and current is not None:
        current.part.steps += 1
        current.since_s = table.clock()


def finished(why: str) -> None:
    """The part has nothing to do, or nothing more: it may end, and `why` is shown."""
    current = _current.get()
    if current is not None:
        current.part.finished = why
