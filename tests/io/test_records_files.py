from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_app.records import files
from firmware_app.records.errors import FileDamaged, StateLocked, StorageFault


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_written_whole_and_private(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "a" / "b")
    files.write_files(tmp_path / "a" / "b", {"one": b"1" * 100_000, "two": b""})
    assert names(tmp_path / "a" / "b") == ["one", "two"]
    assert (tmp_path / "a" / "b" / "one").read_bytes() == b"1" * 100_000
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "one").stat().st_mode) == 0o600


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:7]))
    files.write_files(tmp_path, {"one": b"0123456789" * 5})
    assert (tmp_path / "one").read_bytes() == b"0123456789" * 5


def test_everything_is_flushed_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    flush, rename = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        log.append("flush " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        flush(descriptor)

    def replace(source: Path, target: Path) -> Path:
        log.append("rename " + target.name)
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    files.write_files(tmp_path, {"one": b"1", "two": b"2"})
    files.make_folder(tmp_path / "new")
    folder = f"flush {tmp_path.name}"
    assert log == ["flush one.tmp", "flush two.tmp", "rename one", "rename two", folder, folder]


def failing(call: Callable[..., object], at: int, code: int) -> Callable[..., object]:
    calls = iter(range(1, 1000))

    def wrapped(*arguments: object, **keywords: object) -> object:
        if next(calls) == at:
            raise OSError(code, os.strerror(code))
        return call(*arguments, **keywords)

    return wrapped


# Two files and the folder: two of each but the rename's descriptor-less call, and three flushes.
STEPS = [
    *[("open", at) for at in (1, 2, 3)],
    *[("write", at) for at in (1, 2)],
    *[("fsync", at) for at in (1, 2, 3)],
    *[("rename", at) for at in (1, 2)],
]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(("step", "at"), STEPS)
def test_a_fault_at_any_step_leaves_nothing_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, at: int, code: int
) -> None:
    with monkeypatch.context() as patch:
        if step == "rename":
            patch.setattr(Path, "replace", failing(Path.replace, at, code))
        else:
            patch.setattr(os, step, failing(getattr(os, step), at, code))
        with pytest.raises(StorageFault) as caught:
            files.write_files(tmp_path, {"one": b"1", "two": b"2"})
    assert names(tmp_path) == []
    assert caught.value.reason == os.strerror(code)
    assert str(tmp_path) in str(caught.value)
    files.write_files(tmp_path, {"one": b"1", "two": b"2"})
    assert names(tmp_path) == ["one", "two"]


def test_descriptors_are_closed_after_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for step in ("write", "fsync"):
        with monkeypatch.context() as patch, pytest.raises(StorageFault):
            patch.setattr(os, step, failing(getattr(os, step), 1, errno.EIO))
            files.write_files(tmp_path, {"one": b"1"})
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_fault_stays_the_fault_when_cleaning_up_fails_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 1, errno.EIO))
    monkeypatch.setattr(Path, "unlink", failing(Path.unlink, 1, errno.EROFS))
    with pytest.raises(StorageFault, match=r"one\.tmp: Input/output error"):
        files.write_files(tmp_path, {"one": b"1"})
    files.remove_temporary_files(tmp_path)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFault, match="file"):
        files.make_folder(tmp_path / "file" / "below")


def test_temporary_files_of_a_crash_are_removed_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "one.png.tmp").write_bytes(b"half")
    (tmp_path / "one.png").write_bytes(b"whole")
    files.remove_temporary_files(tmp_path)
    files.remove_temporary_files(tmp_path / "missing")
    assert names(tmp_path) == ["one.png"]


def test_a_file_is_checked_against_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "one"
    files.write_files(tmp_path, {"one": b"content"})
    sha256 = files.digest(b"content")
    files.verify(path, sha256)
    assert files.read_verified(path, sha256) == b"content"
    path.write_bytes(b"Content")
    for check in (files.verify, files.read_verified):
        with pytest.raises(FileDamaged, match="one: is not what was written"):
            check(path, sha256)
    path.unlink()
    for check in (files.verify, files.read_verified):
        with pytest.raises(FileDamaged, match="one: cannot be read: No such file"):
            check(path, sha256)


def test_two_holders_of_one_lock_are_not_possible(tmp_path: Path) -> None:
    with (
        files.folder_lock(tmp_path / "lock"),
        pytest.raises(StateLocked, match=f"already in use by process {os.getpid()}"),
        files.folder_lock(tmp_path / "lock"),
    ):
        pass
    with files.folder_lock(tmp_path / "lock"):
        pass


def test_the_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from firmware_app.records.files import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateLocked, match=f"process {holder.pid}"), files.folder_lock(tmp_path / "lock"):
            pass
        holder.kill()
    with files.folder_lock(tmp_path / "lock"):
        pass


def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFault, match="missing/lock"), files.folder_lock(tmp_path / "missing" / "lock"):
        pass
