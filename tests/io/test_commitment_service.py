"""Storage commitment against an archive of another toolkit: every way a report comes, fails to come, or says no."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from commitment_bench import BRISK, SAME, STORAGE, Bench, bench, unused_port
from commitment_peer import Archive, Asked, archive, report_on
from failing_sqlite import make_sqlite_fail
from pydicom.dataset import Dataset
from records_material import SC_CLASS, uid_of

from firmware_app.console.commands import CommandContext, CommandFailed, CommandTable
from firmware_app.console.protocol import Reply
from firmware_app.model import CommitmentState, DeliveryState
from firmware_app.net.listener import ListenerRules
from firmware_app.net.node import Timeouts
from firmware_app.records.commitment_answers import MAX_STORED_AGAIN
from firmware_app.records.commitment_states import TransactionState
from firmware_app.services import queue_screen
from firmware_app.services.commitment_commands import CommitmentCommands

NONE, REQUESTED, COMMITTED, REFUSED = CommitmentState


@pytest.fixture(scope="module")
def shared_peer() -> Iterator[Archive]:
    with archive() as peer:
        yield peer


@pytest.fixture
def peer(shared_peer: Archive) -> Iterator[Archive]:
    """One server for all tests: pynetdicom takes half a second to end one."""
    shared_peer.forget()
    yield shared_peer
    shared_peer.join()


def answering(peer: Archive, there: Bench, *, times: int = 1, failed: dict[str, int] | None = None) -> None:
    """The archive reports on a new association, after its answer."""

    def on_action(asked: Asked) -> int:
        peer.later(peer.report_there, there.port, report_on(asked, failed), times)
        return 0x0000

    peer.on_action = on_action


async def joined(peer: Archive) -> None:
    await trio.to_thread.run_sync(peer.join)


# ------------------------------------------------------------------ how a report comes


async def test_on_a_new_association(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        answering(peer, there)
        await there.store(1, 2)
        (event,) = await there.until("committed")
        await joined(peer)
        assert await there.commitments(1, 2) == [COMMITTED, COMMITTED]
        (asked,) = peer.asked
        assert asked.references == [(SC_CLASS, uid_of(1)), (SC_CLASS, uid_of(2))]
        assert event.data == {
            "transaction_uid": asked.transaction_uid,
            "instances": [uid_of(1), uid_of(2)],
            "node": "commitment",
            "stored_at": STORAGE,
            "standing": "committed",
        }
        assert peer.statuses == [0x0000] and peer.associations == 1
        (transaction,) = await there.records.commitments.newest()
        assert transaction.state is TransactionState.ANSWERED
        assert transaction.answered_by == "ARCHIVE at 127.0.0.1"
        assert [row["commitment"] for row in (queue_screen.queue([await there.delivery(1)]).data or {})["deliveries"]]
        assert "committed" in queue_screen.queue([await there.delivery(1)]).text


async def test_on_the_same_association(tmp_path: Path, peer: Archive) -> None:
    peer.on_action = lambda asked: (peer.later(peer.report_here, asked, report_on(asked)), 0)[1]
    async with bench(tmp_path, peer, SAME) as there:
        await there.store(1)
        await there.until("committed")
        await joined(peer)
        assert await there.commitments(1) == [COMMITTED]
    assert peer.statuses == [0x0000]


async def test_what_is_reported_elsewhere_is_not_waited_for_here(tmp_path: Path, peer: Archive) -> None:
    """On the association of the request a report is waited for up to a minute, longer than this test waits."""
    async with bench(tmp_path, peer, SAME) as there:
        answering(peer, there)
        await there.store(1)
        await there.until("committed")
        await there.store(2, exam=2)
        await there.until("committed", 2)
        await joined(peer)


@pytest.mark.parametrize("same", [True, False], ids=["same", "new"])
async def test_it_may_overtake_the_answer_to_the_request(tmp_path: Path, peer: Archive, same: bool) -> None:
    async with bench(tmp_path, peer) as there:

        def on_action(asked: Asked) -> int:
            if same:
                peer.report_here(asked, report_on(asked))
            else:
                peer.report_there(there.port, report_on(asked))
            return 0x0000

        peer.on_action = on_action
        await there.store(1)
        await there.until("requested")
        assert await there.commitments(1) == [COMMITTED]
        (transaction,) = await there.records.commitments.newest()
        assert transaction.state is TransactionState.ANSWERED
    assert peer.statuses == [0x0000]


async def test_an_overtaking_report_stands_though_the_request_then_fails(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:

        def on_action(asked: Asked) -> int:
            peer.report_there(there.port, report_on(asked))
            return 0x0110

        peer.on_action = on_action
        await there.store(1)
        await there.until("waiting")
        await there.later(4000)
        assert await there.commitments(1) == [COMMITTED]
        assert len(await there.records.commitments.newest()) == 1


async def test_twice_is_answered_with_success_twice_and_told_once(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        answering(peer, there, times=2)
        await there.store(1)
        await there.until("committed")
        await joined(peer)
        assert peer.statuses == [0x0000, 0x0000]
        assert len(there.events("committed")) == 1
        assert not there.events("remark")


async def test_an_unknown_transaction_is_refused_and_told(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        (asked,) = peer.asked
        stranger = report_on(asked, transaction_uid="1.2.3.99")
        await trio.to_thread.run_sync(peer.report_there, there.port, stranger)
        assert peer.statuses == [0x0115]
        (event,) = there.events("report_refused")
        assert "1.2.3.99" in event.text and event.level == "warning"
        assert await there.commitments(1) == [REQUESTED]
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(asked))
        assert peer.statuses == [0x0115, 0x0000]
        assert await there.commitments(1) == [COMMITTED]


async def test_a_transaction_that_was_never_sent_is_unknown(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer, node=replace(peer.node, port=unused_port())) as there:
        await there.store(1)
        await there.until("waiting")
        (transaction,) = await there.records.commitments.newest()
        guessed = Asked(transaction.transaction_uid, [(SC_CLASS, uid_of(1))], None, 1, "")
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(guessed))
        assert peer.statuses == [0x0115]
        assert await there.commitments(1) == [NONE]


async def test_hours_later_after_a_restart(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
    async with bench(tmp_path, peer, clock=there.clock) as after:
        await trio.to_thread.run_sync(peer.report_there, after.port, report_on(peer.asked[0]))
        assert await after.commitments(1) == [COMMITTED]
        assert len(peer.asked) == 1
    assert peer.statuses == [0x0000]


async def test_from_another_ae_title_it_is_taken_and_told(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        other = Archive("STGCMT", port=peer.port)
        await trio.to_thread.run_sync(other.report_there, there.port, report_on(peer.asked[0]))
        assert other.statuses == [0x0000]
        assert await there.commitments(1) == [COMMITTED]
        (event,) = there.events("reporter")
        assert "asked of ARCHIVE and reported by STGCMT at 127.0.0.1" in event.text and event.level == "warning"
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[0]))
        (transaction,) = await there.records.commitments.newest()
        assert transaction.answered_by == "STGCMT at 127.0.0.1"  # the first


async def test_from_an_ae_title_that_may_not_call_us_it_is_not_taken(tmp_path: Path, peer: Archive) -> None:
    rules = ListenerRules(accepted_ae_titles=frozenset({"ARCHIVE"}))
    async with bench(tmp_path, peer, rules=rules) as there:
        await there.store(1)
        await there.until("requested")
        other = Archive("STGCMT", port=peer.port)
        await trio.to_thread.run_sync(other.report_there, there.port, report_on(peer.asked[0]))
        assert other.statuses == [None]
        assert await there.commitments(1) == [REQUESTED]


@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT", "UPDATE commitment_instances"])
async def test_what_cannot_be_recorded_is_answered_with_a_failure(
    tmp_path: Path, peer: Archive, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    fail = make_sqlite_fail(monkeypatch)
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        fail(statement, sqlite3.SQLITE_IOERR)
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[0]))
        fail("", 0)
        assert peer.statuses == [0x0110]
        assert there.events("report_failed")[0].level == "error"
        assert await there.commitments(1) == [REQUESTED]
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[0]))
        assert peer.statuses == [0x0110, 0x0000]
        assert await there.commitments(1) == [COMMITTED]


# ------------------------------------------------------------------ what a report says


async def test_only_what_was_asked_for_is_believed_and_what_is_missing_is_asked_for_again(
    tmp_path: Path, peer: Archive
) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1, 2, 3)
        await there.until("requested")
        first = peer.asked[0]
        information = report_on(first)
        of_one, of_two, _ = information.ReferencedSOPSequence
        of_two.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        stranger = Dataset()
        stranger.ReferencedSOPClassUID, stranger.ReferencedSOPInstanceUID = SC_CLASS, "1.2.3.77"
        information.ReferencedSOPSequence = [of_one, of_two, stranger]
        await trio.to_thread.run_sync(peer.report_there, there.port, information)
        assert peer.statuses == [0x0000]
        assert await there.commitments(1, 2, 3) == [COMMITTED, REQUESTED, REQUESTED]
        remarks = " ".join(event.text for event in await there.until("remark", 4))
        assert "1.2.3.77 was not asked for" in remarks
        assert f"{uid_of(2)} is reported as 1.2.840.10008.5.1.4.1.1.1" in remarks
        assert f"{uid_of(3)} is missing from the report" in remarks
        await there.later(2)
        await there.until("requested", 2)
        second = peer.asked[1]
        assert second.references == [(SC_CLASS, uid_of(2)), (SC_CLASS, uid_of(3))]
        assert second.transaction_uid != first.transaction_uid


async def test_a_second_report_fills_in_what_the_first_left_out_and_changes_nothing_else(
    tmp_path: Path, peer: Archive
) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1, 2)
        await there.until("requested")
        one = report_on(peer.asked[0], {uid_of(1): 0x0119})
        del one.ReferencedSOPSequence
        await trio.to_thread.run_sync(peer.report_there, there.port, one)
        assert await there.commitments(1, 2) == [REFUSED, REQUESTED]
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[0]))
        assert await there.commitments(1, 2) == [REFUSED, COMMITTED]
        assert f"{uid_of(1)} was reported otherwise before" in there.events("remark")[-1].text
        await there.later(4000)
        await there.until("committed")
        assert len(peer.asked) == 1  # nothing is left to ask for


async def test_a_second_report_that_says_less_changes_nothing(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1, 2)
        await there.until("requested")
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[0]))
        less = report_on(peer.asked[0])
        less.ReferencedSOPSequence = less.ReferencedSOPSequence[:1]
        await trio.to_thread.run_sync(peer.report_there, there.port, less)
        assert peer.statuses == [0x0000, 0x0000]
        assert await there.commitments(1, 2) == [COMMITTED, COMMITTED]
        assert len(await there.records.commitments.newest()) == 1


@pytest.mark.parametrize("reason", [0x0213, 0x0110, 0x0131])
async def test_failures_that_pass_are_asked_for_later_under_a_new_uid(
    tmp_path: Path, peer: Archive, reason: int
) -> None:
    async with bench(tmp_path, peer) as there:
        answering(peer, there, failed={uid_of(1): reason})
        await there.store(1, 2)
        (event,) = await there.until("asked_again")
        await joined(peer)
        assert event.level == "warning" and f"{reason:04X}H" in event.text
        assert await there.commitments(1, 2) == [REQUESTED, COMMITTED]
        assert (await there.delivery(1)).commitment_reason.startswith(f"{reason:04X}H")
        answering(peer, there)
        await there.later(1.9)
        assert len(peer.asked) == 1
        await there.later(0.1)
        await there.until("committed", 2)
        await joined(peer)
        assert await there.commitments(1, 2) == [COMMITTED, COMMITTED]
        first, second = peer.asked
        assert second.references == [(SC_CLASS, uid_of(1))]
        assert first.transaction_uid != second.transaction_uid
    assert not there.stored_again


async def test_what_a_report_asks_for_is_done_without_being_told(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer, BRISK) as there:
        answering(peer, there, failed={uid_of(1): 0x0213})
        await there.store(1)
        await there.until("asked_again")
        await joined(peer)
        there.clock.advance(2)  # the clock alone: nobody wakes the service
        await there.until("requested", 2)
        await joined(peer)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (0x0122, "0122H referenced SOP class not supported"),
        (0x0119, "0119H class and instance conflict"),
        (0xC001, "C001H a reason that the standard does not define"),
    ],
)
async def test_failures_that_stay_are_refused_and_somebody_is_called(
    tmp_path: Path, peer: Archive, reason: int, words: str
) -> None:
    async with bench(tmp_path, peer) as there:
        answering(peer, there, failed={uid_of(1): reason})
        await there.store(1)
        (event,) = await there.until("refused")
        await joined(peer)
        assert event.level == "alert" and words in event.text
        delivery = await there.delivery(1)
        assert (delivery.state, delivery.commitment) == (DeliveryState.STORED, REFUSED)
        assert delivery.commitment_reason == words
        assert "commitment refused" in queue_screen.queue([delivery]).text
        await there.later(10_000)
        await there.store(2, exam=2)
        await there.until("requested", 2)
        assert [len(asked.references) for asked in peer.asked] == [1, 1]
        assert await there.service.retry(uid_of(1)) == 1  # by hand
        await there.until("requested", 3)
        assert peer.asked[2].references == [(SC_CLASS, uid_of(1))]


async def test_what_is_not_there_is_stored_again_and_asked_for_again_but_not_for_ever(
    tmp_path: Path, peer: Archive
) -> None:
    async with bench(tmp_path, peer) as there:
        answering(peer, there, failed={uid_of(1): 0x0112})
        await there.store(1, 2)
        for round_number in range(1, MAX_STORED_AGAIN + 1):
            await there.until("stored_again", round_number)
            await joined(peer)
            delivery = await there.delivery(1)
            assert (delivery.state, delivery.commitment) == (DeliveryState.QUEUED, NONE)
            assert f"({round_number} of {MAX_STORED_AGAIN} times)" in delivery.commitment_reason
            assert len(there.stored_again) == len(peer.asked) == round_number
            there.clock.advance(1)
            await there.deliver(1)
        (event,) = await there.until("refused")
        await joined(peer)
        assert event.level == "alert" and "although stored again 3 times" in event.text
        assert await there.commitments(1, 2) == [REFUSED, COMMITTED]
        assert (await there.delivery(1)).state is DeliveryState.STORED
        assert [len(asked.references) for asked in peer.asked] == [2, 1, 1, 1]
        assert await there.service.retry(uid_of(1)) == 1  # by hand: it is not there, so it is stored again first
        delivery = await there.delivery(1)
        assert (delivery.state, delivery.commitment) == (DeliveryState.QUEUED, NONE)
        assert len(there.stored_again) == 1 + MAX_STORED_AGAIN


async def test_a_complaint_about_what_has_been_stored_again_since_the_request(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        await there.later(3600)
        await there.until("expired")
        await there.later(2)
        await there.until("requested", 2)
        first, second = peer.asked
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(first, {uid_of(1): 0x0112}))
        assert (await there.delivery(1)).state is DeliveryState.QUEUED
        there.clock.advance(1)
        await there.deliver(1)
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(second, {uid_of(1): 0x0112}))
        assert (await there.delivery(1)).state is DeliveryState.STORED
        await there.until("requested", 3)
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[2]))
        assert await there.commitments(1) == [COMMITTED]


# ------------------------------------------------------------------ no report, no association, no answer


async def test_no_report_in_time_expires_and_a_late_one_still_counts(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        await there.later(3599)
        assert not there.events("expired")
        await there.later(1)
        (event,) = await there.until("expired")
        assert "no report within 3600 s" in event.text and event.level == "warning"
        await there.later(2)
        await there.until("requested", 2)
        first, second = peer.asked
        assert first.references == second.references and first.transaction_uid != second.transaction_uid
        states = [each.state for each in await there.records.commitments.newest()]
        assert states == [TransactionState.REQUESTED, TransactionState.EXPIRED]
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(first))
        assert await there.commitments(1) == [COMMITTED]
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(second))
        assert peer.statuses == [0x0000, 0x0000]
        states = [each.state for each in await there.records.commitments.newest()]
        assert states == [TransactionState.ANSWERED] * 2
        await there.later(10_000)
        assert await there.commitments(1) == [COMMITTED]
    assert len(peer.asked) == 2


async def test_a_late_report_spares_the_request_that_waits(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        await there.later(3600)
        await there.until("expired")
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[0]))
        await there.until("committed")
        await there.later(10)
        await there.store(2, exam=2)
        await there.until("requested", 2)
        assert [asked.references[0][1] for asked in peer.asked] == [uid_of(1), uid_of(2)]
        newest = await there.records.commitments.newest()
        assert [each.state for each in newest].count(TransactionState.ANSWERED) == 2


async def test_what_is_being_asked_for_already_is_not_asked_for_twice(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1, 2)
        await there.until("requested")
        await there.later(3600)
        await there.until("expired")
        await there.later(2)
        await there.until("requested", 2)
        late = report_on(peer.asked[0], {uid_of(1): 0x0213})
        del late.ReferencedSOPSequence  # and nothing is said of the other
        await trio.to_thread.run_sync(peer.report_there, there.port, late)
        await there.later(100)
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[1]))
        assert await there.commitments(1, 2) == [COMMITTED, COMMITTED]
        assert len(peer.asked) == len(await there.records.commitments.newest()) == 2


async def test_the_newer_answer_counts(tmp_path: Path, peer: Archive) -> None:
    """The archive lost the image after it had been asked the first time: what it said then is history."""
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        await there.later(3600)
        await there.until("expired")
        await there.later(2)
        await there.until("requested", 2)
        first, second = peer.asked
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(second, {uid_of(1): 0x0119}))
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(first))
        assert await there.commitments(1) == [REFUSED]
    assert peer.statuses == [0x0000, 0x0000]


async def test_after_three_requests_in_vain_somebody_is_called(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        for count in (1, 2, 3):
            await there.until("requested", count)
            await there.later(3600)
            await there.until("expired", count)
            await there.later(2.0**count)
        assert [event.level for event in there.events("expired")] == ["warning", "warning", "alert"]


@pytest.mark.parametrize("status", [0x0110, 0x0122, 0x0211])
async def test_a_refused_request_is_dead_and_asked_anew(tmp_path: Path, peer: Archive, status: int) -> None:
    async with bench(tmp_path, peer, BRISK) as there:
        peer.on_action = lambda asked: status
        await there.store(1)
        (event,) = await there.until("expired")
        assert f"{status:04X}H" in event.text
        assert await there.commitments(1) == [REQUESTED]
        answering(peer, there)
        await there.later(10)
        await there.until("committed")
        await joined(peer)
        assert await there.commitments(1) == [COMMITTED]
        uids = [asked.transaction_uid for asked in peer.asked]
        assert len(set(uids)) == len(uids) >= 2
        assert there.events("recovered")


async def test_an_answer_that_never_came_is_no_answer(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer, BRISK) as there:
        peer.on_action = lambda asked: (asked.association.abort(), 0)[1]
        await there.store(1)
        await there.until("expired")
        answering(peer, there)
        await there.later(10)
        await there.until("committed")
        await joined(peer)
        assert peer.asked[0].transaction_uid != peer.asked[-1].transaction_uid


async def test_an_answer_that_takes_too_long_is_none_and_what_is_reported_counts(tmp_path: Path, peer: Archive) -> None:
    answer = threading.Event()
    async with bench(tmp_path, peer, BRISK, node=replace(peer.node, timeouts=Timeouts.all(0.3))) as there:

        def on_action(asked: Asked) -> int:
            answer.wait(20)
            return 0x0000

        peer.on_action = on_action
        await there.store(1)
        (event,) = await there.until("expired")
        assert "no N-ACTION-RSP within 0.3 s" in event.text
        with trio.fail_after(10):
            while "A_ABORT_RQ" not in peer.pdus:
                await trio.lowlevel.checkpoint()
        assert "A_RELEASE_RQ" not in peer.pdus
        answer.set()
        await trio.to_thread.run_sync(peer.report_there, there.port, report_on(peer.asked[0]))
        assert await there.commitments(1) == [COMMITTED]
        await there.later(10)
        assert len(peer.asked) == 1


async def test_what_waits_for_its_report_can_be_asked_again_by_hand(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        table = CommandTable(CommitmentCommands((there.service,), there.records).table())
        await there.store(1)
        await there.until("requested")
        assert "requested" in (await said(table, "commitment")).text
        reply = await said(table, f"commitment retry {uid_of(1)}")
        assert reply.data == {"asked_again": 1}
        (event,) = await there.until("expired")
        assert "asked again by hand" in event.text
        await there.later(2)
        await there.until("requested", 2)
        reply = await said(table, "commitment --limit 1")
        assert [each["transaction_uid"] for each in (reply.data or {})["transactions"]] == [
            peer.asked[1].transaction_uid
        ]
        with pytest.raises(CommandFailed, match="waits for no answer"):
            await said(table, "commitment retry 1.2.3.99")
        assert (await said(table, "commitment retry all")).data == {"asked_again": 1}


async def said(table: CommandTable, line: str) -> Reply:
    called = table.parse(line)
    return await called.command.handler(CommandContext(table, lambda text: None), called.arguments)


async def test_an_archive_that_is_away_is_asked_when_it_is_back(tmp_path: Path, peer: Archive) -> None:
    away = replace(peer.node, port=unused_port())
    async with bench(tmp_path, None, BRISK, node=away) as there:
        await there.store(1)
        await there.until("waiting", 3)
        (transaction,) = await there.records.commitments.newest()
        assert (transaction.state, transaction.attempts) == (TransactionState.QUEUED, 0)
        assert "cannot connect" in transaction.reason
        delivery = await there.delivery(1)
        assert delivery.commitment is NONE and "cannot connect" in delivery.commitment_reason
        assert [event.level for event in there.events("waiting")][:2] == ["warning", "debug"]
        assert "cannot connect" in there.service.detail
    async with bench(tmp_path, peer, clock=there.clock) as after:
        await after.until("requested")
        assert peer.asked[0].transaction_uid == transaction.transaction_uid  # it was never sent before


async def test_killed_while_asking_it_asks_anew_and_the_old_report_counts(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        (transaction,) = await there.records.commitments.newest()
    database = sqlite3.connect(tmp_path / "records.sqlite3")
    with database:  # as the kill between request and answer leaves it
        database.execute("UPDATE commitment_transactions SET state = 'requesting'")
    database.close()
    async with bench(tmp_path, peer, clock=there.clock) as after:
        await after.until("expired")
        await after.later(2)
        await after.until("requested")
        first, second = peer.asked
        assert first.transaction_uid == transaction.transaction_uid != second.transaction_uid
        await trio.to_thread.run_sync(peer.report_there, after.port, report_on(first))
        assert await after.commitments(1) == [COMMITTED]


async def test_a_disk_that_refuses_is_waited_for(
    tmp_path: Path, peer: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = make_sqlite_fail(monkeypatch)
    async with bench(tmp_path, peer, BRISK) as there:
        fail("SELECT * FROM commitment_transactions", sqlite3.SQLITE_IOERR)
        await there.store(1)
        events = await there.until("waiting", 3)
        assert "said SQLite" in events[0].text
        assert [event.level for event in events[:3]] == ["warning", "debug", "debug"]
        fail("", 0)
        await there.until("requested")
        assert "asked of commitment (ARCHIVE at" in there.service.detail


# ------------------------------------------------------------------ what is asked for, and when


async def test_an_exam_is_asked_for_in_one_piece(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1, leave=[2])
        await there.store(3, exam=2)
        await there.until("requested")
        await there.deliver(2)
        await there.until("requested", 2)
    assert [[uid for _, uid in asked.references] for asked in peer.asked] == [[uid_of(3)], [uid_of(1), uid_of(2)]]


async def test_an_exam_that_is_open_is_not_complete(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1, finished=False)
        await there.store(2, exam=2)
        await there.until("requested")
        await there.records.finish_exam("exam-1")
        there.service.wake()
        await there.until("requested", 2)
    assert [[uid for _, uid in asked.references] for asked in peer.asked] == [[uid_of(2)], [uid_of(1)]]


async def test_but_not_later_than_its_patience(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1, leave=[2])
        await there.later(59)
        await there.store(3, exam=2)
        await there.until("requested")
        await there.later(1)
        await there.until("requested", 2)
    assert [[uid for _, uid in asked.references] for asked in peer.asked] == [[uid_of(3)], [uid_of(1)]]


async def test_many_requests_share_one_association_at_a_time(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer, node=replace(peer.node, port=unused_port())) as there:
        for number in range(1, 21):
            await there.store(number, exam=number)
        await there.until("waiting")
    async with bench(tmp_path, peer, clock=there.clock) as after:
        await after.until("requested", 20)
    assert peer.associations == 2  # at most 16 on one


async def test_a_clock_that_is_set_back_stops_nothing(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, peer) as there:
        await there.store(1)
        await there.until("requested")
        await there.store(2, exam=2, leave=[3])
        await there.later(-1e6)
        await there.until("expired")
        await there.until("requested", 2)
        assert peer.asked[1].references == [(SC_CLASS, uid_of(2))]  # the rest of its exam is not waited for
        await there.later(1e6)
        await there.until("requested", 3)


async def test_without_a_node_nothing_is_asked_and_the_words_stay_stored(tmp_path: Path, peer: Archive) -> None:
    async with bench(tmp_path, None) as there:
        await there.store(1)
        await there.service.run()  # nothing to run
        text = queue_screen.queue([await there.delivery(1)]).text
        assert "stored" in text and "commit" not in text
        assert there.service.detail == "not asked for: no commitment node is configured"
        assert await there.records.commitments.newest() == []
