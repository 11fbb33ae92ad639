"""`specular commit` against an archive of another toolkit: where the report comes, what it says, that none comes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commitment_peer import Archive, Asked, archive, report_on
from delivery_peer import Archive as StorageArchive
from delivery_peer import dicom_instance
from records_material import SC_CLASS, uid_of

from firmware_app.cli import main

Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.dcm" for number in (1, 2, 3)]
    for number, path in enumerate(paths, start=1):
        path.write_bytes(dicom_instance(number))
    return paths


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], port: int) -> Run:
    def commit(peer: Archive, *words: object) -> tuple[int, list[dict[str, Any]], str]:
        node = f"{peer.ae_title}@127.0.0.1:{peer.port}"
        command = ["commit", node, "--calling", "INSTRUMENT", "--json", "--listen", str(port), "--timeout", "10"]
        status = main([*command, *map(str, words)])
        captured = capsys.readouterr()
        return status, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return commit


def test_committed_on_a_new_association(files: list[Path], port: int, run: Run) -> None:
    """And the archive may end its association in its own time."""
    with archive() as peer:

        def on_action(asked: Asked) -> int:
            peer.later(peer.report_there, port, report_on(asked), 1, None, 0.3)
            return 0

        peer.on_action = on_action
        status, rows, errors = run(peer, *files)
        peer.join()
    assert (status, errors) == (0, "")
    assert [row["result"] for row in rows] == ["committed"] * 3
    assert [row["file"] for row in rows] == [str(path) for path in files]
    (asked,) = peer.asked
    assert {row["transaction_uid"] for row in rows} == {asked.transaction_uid}
    assert asked.references == [(SC_CLASS, uid_of(number)) for number in (1, 2, 3)]
    assert (asked.action_type, asked.instance) == (1, "1.2.840.10008.1.20.1.1")
    assert rows[0]["reported_by"] == "ARCHIVE at 127.0.0.1"
    assert (peer.statuses, peer.released) == ([0x0000], [True])


@pytest.mark.timeout(30)
def test_a_report_there_ends_the_waiting_here(files: list[Path], port: int, tmp_path: Path, run: Run) -> None:
    """On the association of the request it would be waited for up to a minute."""
    config = tmp_path / "specular.toml"
    config.write_text('network.interface = "lo"\n[commitment]\nsame_association_wait_s = 60\n')
    with archive() as peer:

        def on_action(asked: Asked) -> int:
            peer.later(peer.report_there, port, report_on(asked))
            return 0

        peer.on_action = on_action
        status, rows, _ = run(peer, "--config", config, "--wait", 60, files[0])
    assert (status, rows[0]["result"]) == (0, "committed")


def on_same(peer: Archive, failed: dict[str, int] | None = None) -> None:
    peer.on_action = lambda asked: (peer.later(peer.report_here, asked, report_on(asked, failed)), 0)[1]


def test_refused_is_a_failure_with_its_reason(files: list[Path], run: Run) -> None:
    with archive() as peer:
        on_same(peer, {uid_of(2): 0x0112})
        status, rows, errors = run(peer, *files)
    assert status == 1
    assert errors == f"specular commit: {files[1]}: refused: 0112H no such object instance\n"
    assert [row["result"] for row in rows] == ["committed", "refused", "committed"]
    assert [row["failure_reason"] for row in rows] == [None, "0112", None]
    assert rows[1]["reason"] == "0112H no such object instance"


def test_lines_for_people(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with archive() as peer:
        on_same(peer, {uid_of(1): 0x0213})
        node = f"ARCHIVE@127.0.0.1:{peer.port}"
        status = main(["commit", node, "--calling", "INSTRUMENT", "--listen", "0", str(files[0]), str(files[1])])
    assert status == 1
    assert capsys.readouterr().out.splitlines() == [
        f"refused     {files[0]}: 0213H resource limitation",
        f"committed   {files[1]}",
    ]


def test_no_report_in_time_says_which(files: list[Path], run: Run) -> None:
    with archive() as peer:
        status, rows, errors = run(peer, "--wait", "0.2", *files[:2])
    assert status == 1
    assert {row["result"] for row in rows} == {"unanswered"}
    assert errors == f"specular commit: {files[0]}: unanswered: no report within 0.2 s (and 1 more)\n"


def test_a_report_on_another_transaction_is_refused_and_told(files: list[Path], port: int, run: Run) -> None:
    with archive() as peer:

        def on_action(asked: Asked) -> int:
            peer.later(both, asked)
            return 0

        def both(asked: Asked) -> None:
            peer.report_there(port, report_on(asked, transaction_uid="1.2.3.99"))
            peer.report_there(port, report_on(asked))

        peer.on_action = on_action
        status, rows, _ = run(peer, files[0])
        peer.join()
    assert (status, rows[0]["result"]) == (0, "committed")
    assert peer.statuses == [0x0115, 0x0000]


def test_a_report_that_overtakes_the_answer(files: list[Path], port: int, run: Run) -> None:
    with archive() as peer:
        peer.on_action = lambda asked: (peer.report_there(port, report_on(asked)), 0)[1]
        status, rows, _ = run(peer, files[0])
    assert (status, rows[0]["result"]) == (0, "committed")


def test_what_is_missing_from_the_report_is_not_committed(files: list[Path], run: Run) -> None:
    with archive() as peer:

        def on_action(asked: Asked) -> int:
            information = report_on(asked)
            information.ReferencedSOPSequence = information.ReferencedSOPSequence[:1]
            peer.later(peer.report_here, asked, information)
            return 0

        peer.on_action = on_action
        status, rows, errors = run(peer, *files[:2])
    assert status == 1
    assert [row["result"] for row in rows] == ["committed", "unanswered"]
    assert "missing from the report" in errors


def test_the_same_instance_in_two_files_is_asked_for_once(files: list[Path], tmp_path: Path, run: Run) -> None:
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(files[0].read_bytes())
    with archive() as peer:
        on_same(peer)
        status, rows, _ = run(peer, files[0], copy)
    assert (status, len(rows), len(peer.asked[0].references)) == (0, 2, 1)


def test_a_refused_request(files: list[Path], run: Run) -> None:
    with archive() as peer:
        peer.on_action = lambda asked: 0x0213
        status, (row,), errors = run(peer, files[0])
    assert (status, row["result"], row["failure_reason"]) == (1, "refused", None)
    assert "N-ACTION failed with status 0213H resource limitation" in row["reason"]
    assert errors == f"specular commit: {files[0]}: refused: {row['reason']}\n"


def test_a_refused_request_does_not_stop_the_others(
    files: list[Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_app.services.commit_rows.MAX_INSTANCES", 1)
    with archive() as peer:

        def on_action(asked: Asked) -> int:
            if len(peer.asked) == 2:
                return 0x0110
            peer.later(peer.report_here, asked, report_on(asked))
            return 0

        peer.on_action = on_action
        status, rows, _ = run(peer, *files)
    assert (status, [row["result"] for row in rows]) == (1, ["committed", "refused", "committed"])


def test_an_archive_that_goes_away_leaves_the_question_open(files: list[Path], run: Run) -> None:
    with archive() as peer:
        peer.on_action = lambda asked: asked.association.abort() or 0
        status, rows, errors = run(peer, files[0])
    assert (status, [row["result"] for row in rows]) == (1, ["unanswered"])
    assert f"{files[0]}: unanswered: node (ARCHIVE at " in errors


def test_a_file_that_is_no_instance(files: list[Path], tmp_path: Path, run: Run) -> None:
    (tmp_path / "text.dcm").write_text("no")
    with archive() as peer:
        on_same(peer)
        status, rows, errors = run(peer, tmp_path / "text.dcm", files[0])
    assert status == 1
    assert [row["result"] for row in rows] == ["unreadable", "committed"]
    assert errors == f"specular commit: {tmp_path / 'text.dcm'}: no DICM prefix: not a DICOM file\n"


def test_a_port_that_is_taken_is_named_and_nothing_is_asked(files: list[Path], port: int, run: Run) -> None:
    with archive() as peer, socket.create_server(("127.0.0.1", port)):
        status, rows, errors = run(peer, files[0])
        assert peer.associations == 0
    assert (status, [row["result"] for row in rows]) == (1, ["not asked"])
    assert (
        f"{files[0]}: not asked: our port {port} cannot be listened on: it is taken, as by the running service"
        in errors
    )
    assert errors.count("\n") == 1


def test_no_file_that_is_an_instance_asks_nobody(tmp_path: Path, run: Run) -> None:
    with archive() as peer:
        status, rows, errors = run(peer, tmp_path / "gone.dcm")
        assert peer.associations == 0
    assert (status, [row["result"] for row in rows]) == (1, ["unreadable"])
    assert "gone.dcm: No such file" in errors


def test_a_node_that_does_no_commitment(files: list[Path], tmp_path: Path, run: Run) -> None:
    archive_without = StoringOnly()
    archive_without.start()
    try:
        status, rows, errors = run(archive_without, *files[:2])  # type: ignore[arg-type]
    finally:
        archive_without.stop()
    assert (status, [row["result"] for row in rows]) == (1, ["not asked"] * 2)
    assert errors.endswith(" (and 1 more)\n")
    assert "Storage Commitment Push Model" in errors and "abstract syntax not supported" in errors


class StoringOnly(StorageArchive):
    ae_title = "ARCHIVE"


@pytest.mark.parametrize("word", ["65536", "-1", "x", "100000000000000000000"])
def test_a_port_that_is_none(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["commit", "A@127.0.0.1:1", "--listen", word, "a.dcm"])
    assert caught.value.code == 2
    assert "--listen" in capsys.readouterr().err


def test_a_profile_without_commitment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "specular.toml"
    path.write_text('profile = "sp-1p"\n')
    status = main(["commit", "A@127.0.0.1:1", "--config", str(path), "a.dcm"])
    assert status == 2
    assert "the profile sp-1p declares no service commitment" in capsys.readouterr().err
