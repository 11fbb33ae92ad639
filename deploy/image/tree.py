"""The device's root as a tree, and the squashfs, kernel and initramfs of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.image import contents, trimming, wheels
from deploy.image.architecture import Architecture
from deploy.image.commands import run
from deploy.image.isolation import GUEST, run_inside
from deploy.image.signing import SigningKeys
from deploy.image.steps import CannotBuild, say, step

HERE = Path(__file__).parent
UNPACKED_MAX_BYTES = 450 * 10**6  # of the issue
COMPRESSION = ("-comp", "zstd", "-Xcompression-level", "10", "-b", "256K")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a tree is made of: Debian's part, the product's wheel and the others' folder, and who may update it."""

    repository: Path
    base: Path
    product: Path
    wheels: Path
    keys: SigningKeys
    release: str
    native: Path | None = None  # Debian's part for the processor that is here, where the device has another


class Tree:
    """In `folder`, of one architecture; everything in it is dated `epoch`."""

    def __init__(self, folder: Path, architecture: Architecture, log: Path, epoch: int) -> None:
        self.folder, self.architecture, self.log, self.epoch = folder, architecture, log, epoch
        self.packages = ""  # dpkg's table: name, version, architecture, source, source's version, size
        self.wheels: list[wheels.Wheel] = []

    def unpack(self, base: Path) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        run(["tar", "--extract", "--file", base, "--numeric-owner", "--xattrs", "--xattrs-include=*",
             "--exclude=./dev/*", "--directory", self.folder], self.log)  # fmt: skip
        self.packages = (self.folder / "packages.tsv").read_text()

    def make_initramfs(self, kernel_folder: Path) -> None:
        """vmlinuz and initrd.img into `kernel_folder`, the modules cut down to the device's."""
        kept = trimming.trim_modules(self.folder)
        (modules,) = (self.folder / "usr/lib/modules").iterdir()
        run_inside(self.folder, ["depmod", modules.name], self.log)
        self._initramfs_configuration(modules)
        self._same_dates()
        run_inside(
            self.folder,
            ["mkinitramfs", "-o", "/boot/initrd.img", modules.name],
            self.log,
            variables={"SOURCE_DATE_EPOCH": str(self.epoch)},
        )
        kernel_folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / "boot/initrd.img", kernel_folder / "initrd.img")
        shutil.copyfile(self.folder / f"boot/vmlinuz-{modules.name}", kernel_folder / "vmlinuz")
        size_mib = (kernel_folder / "initrd.img").stat().st_size / 2**20
        say(f"kernel {modules.name}, {kept} modules, initramfs {size_mib:.0f} MiB")

    def _initramfs_configuration(self, modules: Path) -> None:
        target = self.folder / "etc/initramfs-tools"
        shutil.copytree(HERE / "initramfs", target, dirs_exist_ok=True)
        watchdog = HERE / "root/etc/modprobe.d/watchdog.conf"
        shutil.copyfile(watchdog, self.folder / "etc/modprobe.d/watchdog.conf")
        present = {trimming.module_name(str(path)) for path in modules.rglob("*.ko*")}
        lines = [line for line in (target / "modules").read_text().splitlines() if not line.startswith("#")]
        (target / "modules").write_text("".join(f"{line}\n" for line in lines if line in present))

    def _same_dates(self) -> None:
        """mkinitramfs only takes back dates that are later: what a package made when it was set up has the build's."""
        for path in (self.folder, *self.folder.rglob("*")):
            os.utime(path, (self.epoch, self.epoch), follow_symlinks=False)

    def install(self, inputs: Inputs) -> None:
        contents.install(inputs.repository, self.folder, self.architecture, self.log)
        contents.name_release(self.folder, self.architecture, inputs.release, inputs.keys)
        self.wheels = wheels.install(inputs.product, inputs.wheels, self.architecture, self.folder, self.log)

    def finish(self, native: Path | None) -> None:
        """Leave what the device needs, bytecode made anew. `native`: Debian's part for the processor that is here."""
        trimming.remove_unused(self.folder)
        trimming.remove_bytecode(self.folder)
        contents.empty_files(self.folder)
        self._compile(native)
        self._same_dates_of_passwords()
        clock = self.folder / "usr/lib/clock-epoch"  # systemd's clock never begins before it
        clock.touch()
        os.utime(clock, (self.epoch, self.epoch))
        size = self.unpacked_bytes()
        say(f"the root is {size / 1e6:.0f} MB unpacked (at most {UNPACKED_MAX_BYTES / 1e6:.0f})")
        if size > UNPACKED_MAX_BYTES:
            raise CannotBuild(
                f"{self.folder}: {size / 1e6:.0f} MB, more than the {UNPACKED_MAX_BYTES / 1e6:.0f} MB allowed"
            )

    def _compile(self, native: Path | None) -> None:
        """Bytecode is the same on every processor: an emulated Python would take ten times as long for it."""
        if native is None:
            run_inside(self.folder, wheels.compile_command(), self.log)
            return
        other = Tree(self.folder.parent / "native", self.architecture, self.log, self.epoch)
        other.unpack(native)
        run_inside(other.folder, wheels.compile_command(GUEST), self.log, guest=self.folder)
        shutil.rmtree(other.folder)

    def _same_dates_of_passwords(self) -> None:
        """/etc/shadow says on which day a password, which nobody here has, was changed."""
        shadow = self.folder / "etc/shadow"
        rows = [line.split(":") for line in shadow.read_text().splitlines()]
        day = str(self.epoch // 86400)
        shadow.write_text("".join(":".join([*row[:2], day, *row[3:]]) + "\n" for row in rows))

    def unpacked_bytes(self) -> int:
        return sum(path.lstat().st_size for path in _files(self.folder))

    def pack(self, target: Path) -> None:
        """The squashfs, the same for the same tree: no date but `epoch` goes into it."""
        target.unlink(missing_ok=True)
        dates = ["-all-time", str(self.epoch), "-mkfs-time", str(self.epoch)]
        run(["mksquashfs", self.folder, target, *COMPRESSION, *dates, "-noappend", "-no-progress"], self.log)


def build(tree: Tree, inputs: Inputs, kernel_folder: Path) -> None:
    with step("unpacking Debian's part"):
        tree.unpack(inputs.base)
    with step("kernel modules and initramfs"):
        tree.make_initramfs(kernel_folder)
    with step("the product, its wheels and the device's files"):
        tree.install(inputs)
    with step("trimming and compiling"):
        tree.finish(inputs.native)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path
