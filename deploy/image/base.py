"""Debian's part of the root: one mmdebstrap run for each package list and mirror state, kept as a tar.

The mirror's Release files are dated and signed: their dates and the package list say what a run will give, so that
neither CI nor a developer waits for the same run twice.
"""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deploy.image.architecture import ARCHITECTURES, Architecture
from deploy.image.commands import run
from deploy.image.isolation import is_foreign
from deploy.image.steps import CannotBuild, say, step

SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
SOURCES = (
    (MIRROR, SUITE),
    (MIRROR, f"{SUITE}-updates"),
    (SECURITY, f"{SUITE}-security"),
)
PACKAGE_LIST = Path(__file__).parent / "packages.txt"
RELEASE_MAX_BYTES = 1 << 20  # trixie's has 140 kB
DATE = re.compile(r"^Date: (.+)$", re.MULTILINE)
ENTRY = re.compile(r"([a-z0-9][a-z0-9+.-]+)(?: \[([a-z0-9]+)\])?")
# The initramfs is made later, with our scripts; licences stay, nobody reads manuals on the device.
OPTIONS = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "force-confold",
)
NO_INITRAMFS = (
    'mkdir -p "$1/etc/initramfs-tools" && echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"'
)
LIST_PACKAGES = (
    'chroot "$1" dpkg-query -W -f \'${binary:Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\t'
    '${source:Version}\\t${Installed-Size}\\n\' >"$1/packages.tsv"'
)


@dataclass(frozen=True, slots=True)
class MirrorState:
    """URL and suite -> the date of its Release file."""

    dates: tuple[tuple[str, str], ...]

    def lines(self) -> list[str]:
        return [f"{source}: Release of {date}" for source, date in self.dates]


def wanted(text: str, architecture: str) -> list[str]:
    """The names in a package list. Raises `CannotBuild` naming a line that is none."""
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        match = ENTRY.fullmatch(entry)
        if match is None:
            raise CannotBuild(f"{PACKAGE_LIST.name}: line {number}: {entry!r} is not 'name' or 'name [architecture]'")
        if match[2] in (None, architecture):
            names.append(match[1])
    return names


def mirror_state() -> MirrorState:
    """Raises `CannotBuild` where the mirror does not answer."""
    return MirrorState(tuple((f"{mirror} {suite}", _release_date(mirror, suite)) for mirror, suite in SOURCES))


def _release_date(mirror: str, suite: str) -> str:
    url = f"{mirror}/dists/{suite}/InRelease"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            text = answer.read(RELEASE_MAX_BYTES).decode(errors="replace")
    except (urllib.error.URLError, OSError) as error:
        raise CannotBuild(f"{url}: {error}; the image is built from Debian's mirror") from error
    found = DATE.search(text)
    if found is None:
        raise CannotBuild(f"{url}: no Release file: has no Date")
    return found[1]


def native_base(architecture: Architecture, state: MirrorState, cache: Path, log: Path) -> Path | None:
    """For work on an image for another processor that the one that is here does ten times as fast."""
    if not is_foreign(architecture):
        return None
    here = next(each for each in ARCHITECTURES.values() if not is_foreign(each))
    return Base(here, state, cache).ready(log)


class Base:
    """The tar of one architecture in one state of the mirror. Its /packages.tsv lists what is in it."""

    def __init__(self, architecture: Architecture, state: MirrorState, cache: Path) -> None:
        self.names = wanted(PACKAGE_LIST.read_text(), architecture.debian)
        self.architecture, self.state = architecture, state
        recipe = "\n".join([architecture.debian, *self.names, *state.lines(), *OPTIONS, NO_INITRAMFS, LIST_PACKAGES])
        key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
        self.tar = cache / f"base-{architecture.debian}-{key}.tar"

    def ready(self, log: Path) -> Path:
        """The tar, made if it is not here yet; one of another state goes."""
        if self.tar.exists():
            say(f"Debian's part is here: {self.tar.name}")
            return self.tar
        self.tar.parent.mkdir(parents=True, exist_ok=True)
        with step(
            f"Debian {SUITE} {self.architecture.debian}: mmdebstrap, {len(self.names)} packages and what they need"
        ):
            self.make(self.tar, log)
        for other in self.tar.parent.glob(f"base-{self.architecture.debian}-*.tar"):
            if other != self.tar:
                other.unlink()
        return self.tar

    def make(self, target: Path, log: Path) -> None:
        """Run mmdebstrap, whatever is in the cache."""
        unfinished = target.with_suffix(".unfinished.tar")
        command = ["mmdebstrap", "--mode=root", "--variant=essential", f"--architectures={self.architecture.debian}"]
        command += [f"--include={','.join(self.names)}", '--aptopt=APT::Install-Recommends "false"']
        command += [f"--dpkgopt={option}" for option in OPTIONS]
        command += [f"--setup-hook={NO_INITRAMFS}", f"--customize-hook={LIST_PACKAGES}", SUITE, str(unfinished)]
        command += [f"deb {mirror} {suite} main" for mirror, suite in SOURCES]
        run(command, log)
        unfinished.rename(target)
