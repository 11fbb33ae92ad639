"""What builds the virtual machines of the benches: the archive as the kernel reads it, modules in order."""

from __future__ import annotations

import io
import marshal
import os
import py_compile
import stat
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.virtual_machine.archive import Initramfs
from deploy.virtual_machine.bytecode import cache_name, unchecked
from deploy.virtual_machine.kernel import add_with_needs, module_name, needs_of


def entries(data: bytes) -> dict[str, tuple[int, tuple[int, int], bytes]]:
    """Name to (mode, device, content), by the format's description alone."""
    found, place = {}, 0
    while True:
        head = data[place : place + 110]
        assert head[:6] == b"070701"
        fields = [int(head[6 + 8 * field : 14 + 8 * field], 16) for field in range(13)]
        mode, size, device, name_size = fields[1], fields[6], (fields[9], fields[10]), fields[11]
        name = data[place + 110 : place + 110 + name_size - 1].decode()
        place += (110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert place == len(data)
            return found
        assert name not in found
        found[name] = (mode, device, data[place : place + size])
        place += (size + 3) // 4 * 4


def test_files_folders_links_and_devices_each_once() -> None:
    file = io.BytesIO()
    with Initramfs(file) as archive:
        archive.add("/a/b/odd", b"12345", 0o755)
        archive.add("/a/b/odd", b"again")
        archive.add("a/four", b"1234")
        archive.link("a/link", "b/odd")
        archive.character_device("dev/console", 5, 1)
    found = entries(file.getvalue())
    assert list(found) == ["a", "a/b", "a/b/odd", "a/four", "a/link", "dev", "dev/console"]
    assert found["a/b/odd"] == (stat.S_IFREG | 0o755, (0, 0), b"12345")
    assert found["a/link"] == (stat.S_IFLNK | 0o777, (0, 0), b"b/odd")
    assert found["dev/console"] == (stat.S_IFCHR | 0o600, (5, 1), b"")
    assert stat.S_ISDIR(found["a/b"][0])
    assert archive.size == len(file.getvalue())


def module(*needs: str) -> bytes:
    return b"\x7fELF...\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=x\0"


def test_a_module_comes_after_what_it_needs_and_without_what_is_built_in() -> None:
    files = {
        "vivid": module("videodev", "v4l2-tpg", "cec"),
        "videodev": module("mc"),
        "v4l2_tpg": module("videodev"),
        "mc": module(),
        "other": module(),
    }
    ordered: dict[str, bytes] = {}
    add_with_needs("vivid", files, ordered)
    assert list(ordered) == ["mc", "videodev", "v4l2_tpg", "vivid"]
    assert needs_of(b"no modinfo") == []
    assert module_name(Path("drivers/usb/class/cdc-acm.ko.xz")) == "cdc_acm"


def value_of(bytecode: bytes | None) -> object:
    assert bytecode is not None
    assert int.from_bytes(bytecode[4:8], "little") == 1, "PEP 552: by hash, and not to be checked"
    names: dict[str, object] = {}
    exec(marshal.loads(bytecode[16:]), names)
    return names["value"]


def test_bytecode_is_of_the_source_as_it_is_now(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("value = 1")
    assert value_of(unchecked(source)) == 1
    py_compile.compile(str(source), doraise=True)
    assert Path(cache_name(str(source))).exists() and value_of(unchecked(source)) == 1
    source.write_text("value = 22")
    os.utime(source, (1, 1))
    assert value_of(unchecked(source)) == 22, "what was compiled of another source is not taken"
    source.write_text("value =")
    assert unchecked(source) is None
