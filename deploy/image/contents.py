"""Our own files into the tree: the image's, and what stands in systemd/, each where systemd looks for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.image.architecture import Architecture
from deploy.image.commands import run
from deploy.image.isolation import run_inside
from deploy.image.signing import SigningKeys
from deploy.image.steps import CannotBuild

HERE = Path(__file__).parent
UNITS = "usr/lib/systemd/system"
UNIT_SUFFIXES = (".service", ".socket", ".timer", ".path", ".target", ".mount")
# Folder of systemd/ -> folder of the tree. Units themselves stand at the top.
PLACES = {
    "modules-load.d": "usr/lib/modules-load.d",
    "sysusers.d": "usr/lib/sysusers.d",
    "tmpfiles.d": "usr/lib/tmpfiles.d",
    "sysctl.d": "usr/lib/sysctl.d",
    "udev": "usr/lib/udev/rules.d",
    "journald.conf.d": "usr/lib/systemd/journald.conf.d",
    "timesyncd.conf.d": "usr/lib/systemd/timesyncd.conf.d",
    "network": "usr/lib/systemd/network",
    "ssh": "etc/ssh/sshd_config.d",
    "pam-configs": "usr/share/pam-configs",
    "sudoers.d": "etc/sudoers.d",
    "nftables": "usr/lib/specular/nftables",
}
SECRET_FOLDERS = ("sudoers.d",)  # who may become root is nobody else's to know: as Debian has them
# Made once, empty: mount points, and files that the data partition lends.
FOLDERS = ("data", "boot", "usr/share/doc/specular")
LINKS = {
    "etc/specular": "/data/config",
    "etc/mtab": "../proc/self/mounts",
    # Started by nobody and asked for by nobody: there is no password to log in with.
    "etc/systemd/system/serial-getty@.service": "/dev/null",
    "etc/systemd/system/getty@.service": "/dev/null",
    "etc/systemd/system/autovt@.service": "/dev/null",
    # The initramfs has done it: the machine's identity is on the data partition.
    "etc/systemd/system/systemd-machine-id-commit.service": "/dev/null",
    "etc/systemd/system/systemd-firstboot.service": "/dev/null",
    # Catalogues of what never changes on a read-only root, and /var forgets that they were made.
    "etc/systemd/system/systemd-journal-catalog-update.service": "/dev/null",
    "etc/systemd/system/systemd-update-done.service": "/dev/null",
    "etc/systemd/system/systemd-hwdb-update.service": "/dev/null",
    "etc/systemd/system/ldconfig.service": "/dev/null",
    # File systems and drivers that nothing here asks for.
    "etc/systemd/system/proc-sys-fs-binfmt_misc.automount": "/dev/null",
    "etc/systemd/system/sys-kernel-debug.mount": "/dev/null",
    "etc/systemd/system/sys-kernel-tracing.mount": "/dev/null",
    "etc/systemd/system/sys-fs-fuse-connections.mount": "/dev/null",
    "etc/systemd/system/dev-hugepages.mount": "/dev/null",
    "etc/systemd/system/modprobe@drm.service": "/dev/null",
    "etc/systemd/system/modprobe@fuse.service": "/dev/null",
    "etc/systemd/system/local-fs.target.wants/systemd-growfs@data.service": f"/{UNITS}/systemd-growfs@.service",
}
DEBIAN_UNITS = ("systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service")


@dataclass(frozen=True, slots=True)
class Placed:
    source: Path
    target: str  # in the tree


def placed_files(systemd: Path) -> list[Placed]:
    """Where each file of systemd/ and systemd/image/ goes. Raises `CannotBuild` for one that nobody has a place for."""
    found: list[Placed] = []
    for path in sorted(systemd.rglob("*")):
        if not path.is_file():
            continue
        parts = path.relative_to(systemd).parts
        parts = parts[1:] if parts[0] == "image" else parts
        place = PLACES.get("/".join(parts[:-1]))
        if place is not None:
            found.append(Placed(path, f"{place}/{parts[-1]}"))
        elif len(parts) == 1 and path.suffix in UNIT_SUFFIXES:
            found.append(Placed(path, f"{UNITS}/{parts[0]}"))
        elif len(parts) == 2 and parts[0].endswith(".d") and Path(parts[0][:-2]).suffix in UNIT_SUFFIXES:
            found.append(Placed(path, f"{UNITS}/{parts[0]}/{parts[1]}"))
        else:
            raise CannotBuild(f"{path}: no place in the image is declared for it (deploy/image/contents.py)")
    return found


def install(repository: Path, tree: Path, architecture: Architecture, log: Path) -> None:
    """Files, folders, links, users, and which units start."""
    for folder in FOLDERS:
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for source in (HERE / "root", HERE / architecture.debian):
        if source.is_dir():
            shutil.copytree(source, tree, dirs_exist_ok=True, copy_function=_copy)
    placed = placed_files(repository / "systemd")
    for file in placed:
        target = tree / file.target
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(file.source, target)
    for name, target_of_link in LINKS.items():
        link = tree / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target_of_link)
    for document in ("README.md", "CHANGELOG.md", "LICENSE"):
        _copy(repository / document, tree / "usr/share/doc/specular" / document)
    run(["systemd-sysusers", f"--root={tree}"], log)
    # From here on who comes over SSH is noted by PAM: its own program joins systemd/pam-configs into common-session.
    run_inside(tree, ["pam-auth-update", "--package", "--enable", "specular"], log)
    enable(tree, [file.target for file in placed], log)


def name_release(tree: Path, release: str, keys: SigningKeys) -> None:
    """What the device says that it is, and whose updates it takes."""
    with (tree / "usr/lib/os-release").open("a") as file:
        file.write(f'IMAGE_ID=specular\nIMAGE_VERSION="{release}"\n')
    (tree / "etc/rauc").mkdir(parents=True, exist_ok=True)
    _copy(keys.keyring, tree / "etc/rauc/keyring.pem")
    banner = f"Specular {release}\n" + (f"{keys.words}\n" if keys.words else "")
    for name in ("etc/issue", "etc/issue.net", "etc/motd"):
        (tree / name).write_text(banner)
    (tree / "usr/lib/specular").mkdir(parents=True, exist_ok=True)
    (tree / "usr/lib/specular/image").write_text(f"{keys.words}\n" if keys.words else "")


def empty_files(tree: Path) -> None:
    """What Debian's packages made for the machine they were unpacked on is here for the device to fill."""
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").write_text("specular\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost specular\n")
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").symlink_to("../run/systemd/resolve/resolv.conf")


def enable(tree: Path, targets: list[str], log: Path) -> None:
    """Units with an [Install] section start; of Debian's, those that the device needs."""
    ours = [
        Path(target).name
        for target in targets
        if target.startswith(UNITS) and target.count("/") == UNITS.count("/") + 1
    ]
    installed = [name for name in ours if "[Install]" in (tree / UNITS / name).read_text()]
    run(["systemctl", f"--root={tree}", "enable", *installed, *DEBIAN_UNITS], log)


def _copy(source: str | Path, target: str | Path) -> str:
    """Owned by root and readable (or for root alone), whatever the umask of who checked it out was."""
    shutil.copyfile(source, target)
    if Path(target).parent.name in SECRET_FOLDERS:
        Path(target).chmod(0o440)
    else:
        Path(target).chmod(0o755 if Path(source).stat().st_mode & 0o100 else 0o644)
    return str(target)
