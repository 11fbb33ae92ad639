"""Console and verb of the delivery queue: what is shown, what is decided, what is refused in words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from records_material import StandingClock, exam_of, instance, uid_of

from firmware_app.cli import build_parser
from firmware_app.console.commands import CommandContext, CommandFailed, CommandTable, CommandUsage
from firmware_app.console.protocol import Reply
from firmware_app.model import Event
from firmware_app.records.store import Records, open_records
from firmware_app.services.queue_commands import QueueCommands
from firmware_app.verbs.queue import line_of

NODES = ("storage", "second_storage")


@dataclass
class Bench:
    records: Records
    table: CommandTable
    events: list[Event] = field(default_factory=list)
    woken: list[None] = field(default_factory=list)

    async def say(self, line: str) -> Reply:
        called = self.table.parse(line)
        return await called.command.handler(CommandContext(self.table, lambda text: None), called.arguments)

    async def changed(self, line: str) -> int:
        count: int = ((await self.say(line)).data or {})["changed"]
        return count

    async def standings(self, words: str = "") -> list[str]:
        return [each["standing"] for each in ((await self.say(f"queue {words}")).data or {})["deliveries"]][::-1]


@asynccontextmanager
async def bench(state: Path, *counts: int) -> AsyncIterator[Bench]:
    """Exams 1, 2, ... with so many instances queued for the first node."""
    async with open_records(state, clock=StandingClock()) as records:
        number = 0
        for exam, count in enumerate(counts, start=1):
            await records.begin_exam(exam_of(exam))
            for _ in range(count):
                number += 1
                await records.save_object(f"exam-{exam}", None, **instance(number), enqueue_for="storage")
        there = Bench(records, CommandTable([]))
        there.table = CommandTable(
            [*QueueCommands(records, NODES, lambda: there.woken.append(None), there.events.append).table()]
        )
        yield there


async def test_hold_and_release_of_an_exam_an_instance_and_a_node(tmp_path: Path) -> None:
    async with bench(tmp_path, 2, 1) as there:
        assert await there.changed("queue hold exam-1") == 2
        assert await there.standings() == ["held", "held", "queued"]
        assert await there.changed(f"queue release {uid_of(2)}") == 1
        assert await there.standings() == ["held", "queued", "queued"]
        assert (await there.say("queue hold storage")).data == {"held_nodes": ["storage"]}
        assert await there.standings() == ["held"] * 3
        reply = await there.say("queue release storage")
        assert reply.text == "storage is released; 1 instance released"
        assert await there.standings() == ["queued"] * 3
        assert [event.kind for event in there.events] == [
            "delivery.held", "delivery.held", "delivery.released", "delivery.node_held", "delivery.node_released",
            "delivery.released",
        ]  # fmt: skip
        assert [event.data.get("standing") for event in there.events[:3]] == ["held", "held", "queued"]
        assert there.woken


async def test_everything_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path, 1, 1) as there:
        assert (await there.say("queue hold all")).data == {"held_nodes": list(NODES)}
        assert list(await there.records.steering.held_nodes()) == sorted(NODES)
        assert "storage is released; second_storage is released" in (await there.say("queue release all")).text
        await there.records.mark_failed(uid_of(1), "storage", 0xC000, "no")
        assert (await there.say("queue retry all")).data == {"queued": 1}
        assert (await there.say("queue retry all")).data == {"queued": 0}


async def test_redirect_and_what_is_shown_of_a_node_that_is_gone(tmp_path: Path) -> None:
    async with bench(tmp_path, 2) as there:
        await there.records.enqueue(uid_of(1), "old_archive")
        shown = (await there.say("queue")).text
        assert "1 instances are for old_archive, which is not configured" in shown
        assert await there.changed("queue redirect old_archive second_storage") == 1
        assert await there.changed("queue redirect exam-1 second_storage --node storage") == 2
        rows = (await there.say("queue")).data or {}
        assert {each["node"] for each in rows["deliveries"]} == {"second_storage"}
        assert "old_archive" not in (await there.say("queue --counts")).text
        with pytest.raises(CommandFailed, match="nothing there can be queued"):
            await there.say("queue redirect exam-1 second_storage")


async def test_filters_and_counts(tmp_path: Path) -> None:
    async with bench(tmp_path, 2, 1) as there:
        await there.records.mark_sending(uid_of(1), "storage")
        await there.records.mark_stored(uid_of(1), "storage", 0xB006, "storage: B006H elements discarded ('the peer')")
        assert await there.standings("--exam exam-1") == ["stored", "queued"]
        assert await there.standings("--state queued") == ["queued"] * 2
        assert await there.standings("--node second_storage") == []
        assert await there.standings("--limit 1") == ["queued"]
        (stored,) = ((await there.say("queue --state stored")).data or {})["deliveries"]
        assert stored["words"] == "stored with a warning: storage: B006H elements discarded ('the peer')"
        (row,) = ((await there.say("queue --counts")).data or {})["nodes"]
        assert row["node"] == "storage"
        assert {word: count for word, count in row["counts"].items() if count} == {"queued": 2, "stored": 1}
        assert "nothing like that" in (await there.say("queue --exam exam-9")).text


async def test_a_retry_at_a_held_node_says_that_it_stays(tmp_path: Path) -> None:
    async with bench(tmp_path, 1) as there:
        await there.records.mark_failed(uid_of(1), "storage", None, "why")
        await there.say("queue hold storage")
        reply = await there.say("queue retry exam-1")
        assert reply.text == "1 instances queued again; storage is held and gets nothing (queue release storage)"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("queue hold exam-9", "exam-9 is no instance, no exam and no storage node (storage, second_storage)"),
        ("queue redirect exam-1 storag", "storag is no configured storage node (storage, second_storage)"),
        ("queue release exam-1", "nothing there can be released"),
        ("queue retry exam-1", "nothing of exam-1 has failed or is waiting"),
        ("queue hold storage --node second_storage", "storage and second_storage are two nodes: which is meant?"),
    ],
)
async def test_refused_in_words(tmp_path: Path, line: str, words: str) -> None:
    async with bench(tmp_path, 1) as there:
        with pytest.raises(CommandFailed) as refused:
            await there.say(line)
        assert words in str(refused.value)
        assert await there.standings() == ["queued"]


async def test_what_is_being_sent_is_left_and_said(tmp_path: Path) -> None:
    async with bench(tmp_path, 2) as there:
        await there.records.mark_sending(uid_of(1), "storage")
        assert (
            await there.say("queue hold exam-1")
        ).text == "1 instance held; 1 are being sent right now and were left"
        with pytest.raises(CommandFailed, match="nothing there can be held: 1 are being sent right now"):
            await there.say(f"queue hold {uid_of(1)}")


async def test_wrong_usage(tmp_path: Path) -> None:
    async with bench(tmp_path) as there:
        with pytest.raises(CommandUsage, match="captured, queued, held"):
            there.table.parse("queue --state lost")


# ------------------------------------------------------------------------------------------- the verb


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "queue"),
        (["--counts", "--json"], "queue --counts"),
        (["--exam", "e 1", "--state", "failed", "--limit", "7"], "queue --exam 'e 1' --state failed --limit 7"),
        (["redirect", "1.2.3", "backup", "--node", "storage"], "queue redirect 1.2.3 backup --node storage"),
    ],
)
def test_the_verb_says_to_the_console(arguments: list[str], line: str) -> None:
    assert line_of(build_parser().parse_args(["queue", *arguments])) == line


def test_the_verb_without_a_service_says_so(tmp_path: Path) -> None:
    configuration = tmp_path / "specular.toml"
    configuration.write_text(f'[paths]\nruntime = "{tmp_path}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "firmware_app", "queue", "--config", str(configuration)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"specular queue: no service answers on {tmp_path}/console.sock: ")
