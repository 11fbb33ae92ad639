"""What the service may not do, tried: run by `probe_unit.py` under the service's own unit, and under nothing else.

One line of JSON for each thing that is tried: `{"group": ..., "what": ..., "ok": true, "outcome": "denied: EPERM"}`.
Exit status 0 if everything that must be denied was, and everything that must work did. The score of
`systemd-analyze security` counts directives that a kernel ignores, too; this does not. Standard library only.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

STATE = Path("/var/lib/specular")
CONNECT_S = 3.0
PROBE_NODES = (
    "specular-probe-"  # nodes in /dev that everybody may open, made by probe_unit.py: only the unit denies them
)
# Machine -> number of each call. Arguments are harmless where a call were allowed after all.
CALLS = {
    "x86_64": {
        "ptrace": 101, "init_module": 175, "finit_module": 313, "delete_module": 176,
        "kexec_load": 246, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "mount": 165, "umount2": 166,
        "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "clock_settime": 227, "adjtimex": 159,
        "sethostname": 170, "reboot": 169, "swapon": 167, "acct": 163, "syslog": 103, "personality": 135,
        "sched_setscheduler": 144, "setpriority": 141, "open_by_handle_at": 304, "fanotify_init": 300, "iopl": 172,
    },
    "aarch64": {
        "ptrace": 117, "init_module": 105, "finit_module": 273, "delete_module": 106,
        "kexec_load": 104, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "mount": 40, "umount2": 39,
        "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "clock_settime": 112, "adjtimex": 171,
        "sethostname": 161, "reboot": 142, "swapon": 224, "acct": 89, "syslog": 116, "personality": 92,
        "sched_setscheduler": 119, "setpriority": 140, "open_by_handle_at": 265, "fanotify_init": 262,
    },
}  # fmt: skip
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x00020000
NETLINK_KINDS = {"route": 0, "sock_diag": 4, "audit": 9, "netfilter": 12, "kobject_uevent": 15, "generic": 16}
REFUSED = {errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EROFS, errno.ENOENT, errno.ENOSYS, errno.EHOSTUNREACH}


@dataclass(frozen=True, slots=True)
class Try:
    group: str
    what: str
    attempt: Callable[[], object]  # OSError: it was refused
    must_work: bool = False
    by: frozenset[int] = frozenset(REFUSED)  # error numbers that are a denial


def outcome_of(tried: Try) -> dict[str, object]:
    try:
        result = tried.attempt()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        denied = error.errno in tried.by
        ok, outcome = denied and not tried.must_work, f"{'denied' if denied else 'failed'}: {name}"
    else:
        ok, outcome = tried.must_work, "works" if result is None else f"works: {result}"
    return {"group": tried.group, "what": tried.what, "ok": ok, "outcome": outcome}


# ------------------------------------------------------------------------------------------------ network


def network(peer: str, others: list[str], own_port: int) -> Iterator[Try]:
    # The packet filter refuses; the unit's own drops a connection's first packet, so that nobody answers.
    unit = frozenset({errno.EPERM})
    either = frozenset({errno.EPERM, errno.EACCES, errno.EHOSTUNREACH, errno.ETIMEDOUT})
    if peer:
        yield Try("network", f"tcp to the configured peer {peer}", lambda: connect(peer), must_work=True)
    for other in others:
        yield Try("network", f"tcp to {other}", lambda other=other: connect(other), by=either)
        yield Try("network", f"udp to {other}", lambda other=other: send(other), by=either)
    for port in (own_port, own_port + 1 if own_port < 65535 else 1024, 104, 22):
        yield Try("network", f"bind tcp port {port}", lambda port=port: bind(socket.SOCK_STREAM, port), by=unit)
    yield Try("network", "bind udp port 5353", lambda: bind(socket.SOCK_DGRAM, 5353), by=unit)
    yield Try("network", "bind any udp port", lambda: bind(socket.SOCK_DGRAM, 0), by=unit)
    yield Try("network", "tcp with a port of the kernel's choice", lambda: bind(socket.SOCK_STREAM, 0), must_work=True)


def interface(peer: str) -> Iterator[Try]:
    """The peer's address leads over another interface now (probe_unit.py has seen to it), on which nobody would answer:
    only a datagram tells a denial from silence."""
    yield Try("interface", f"udp to {peer} over another interface", lambda: send(peer), by=frozenset({errno.EPERM}))


def connect(where: str) -> str:
    host, _, port = where.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.settimeout(CONNECT_S)
        try:
            tried.connect((host, int(port)))
        except ConnectionRefusedError:
            return "reached, which refuses the port"
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, "no answer") from error
    return "connected"


def send(where: str) -> None:
    host, _, port = where.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        tried.sendto(b"probe", (host, int(port)))


def bind(kind: int, port: int) -> str:
    with socket.socket(socket.AF_INET, kind) as tried:
        tried.bind(("0.0.0.0", port))
        return str(tried.getsockname())


# ------------------------------------------------------------------------------------------------ sockets


def sockets() -> Iterator[Try]:
    families = {"IPv6": socket.AF_INET6, "packet": socket.AF_PACKET, "vsock": 40, "alg": 38, "bluetooth": 31, "can": 29}
    for name, family in families.items():
        yield Try("sockets", name, lambda family=family: socket.socket(family, socket.SOCK_DGRAM).close())
    for name, protocol in NETLINK_KINDS.items():
        yield Try("sockets", f"netlink {name}", lambda protocol=protocol: netlink(protocol))
    yield Try("sockets", "raw IPv4", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
    yield Try("sockets", "the system bus", lambda: unix("/run/dbus/system_bus_socket"))
    yield Try("sockets", "systemd's own", lambda: unix("/run/systemd/private"))
    for name, family in {"IPv4": socket.AF_INET, "Unix": socket.AF_UNIX}.items():
        attempt = lambda family=family: socket.socket(family, socket.SOCK_STREAM).close()  # noqa: E731
        yield Try("sockets", name, attempt, must_work=True)


def netlink(protocol: int) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol).close()


def unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as tried:
        tried.connect(path)


# ------------------------------------------------------------------------------------------------ files, devices


def files() -> Iterator[Try]:
    for folder in ("/", "/etc", "/etc/specular", "/usr", "/opt/specular", "/run", "/run/specular", "/var", "/var/lib",
                   "/var/log", "/data", "/home", "/root", "/boot", "/dev", "/dev/shm", "/proc", "/sys"):  # fmt: skip
        yield Try("files", f"write into {folder}", lambda folder=folder: written(Path(folder) / "specular-probe"))
    for path in ("/etc/shadow", "/etc/sudoers.d/specular", "/root", "/home", "/data/ssh/ssh_host_ed25519_key",
                 "/etc/ssh/ssh_host_ed25519_key", "/boot/specular-provision.toml"):  # fmt: skip
        yield Try("files", f"read {path}", lambda path=path: read(Path(path)))
    yield Try("files", "change a setting of the kernel", lambda: overwrite("/proc/sys/kernel/hostname"))
    yield Try("files", "change a control group", lambda: overwrite("/sys/fs/cgroup/cgroup.procs"))
    yield Try("files", "run a program from the state folder", lambda: run_own_program(STATE))
    yield Try("files", "run a program from /tmp", lambda: run_own_program(Path("/tmp")))
    yield Try("files", "a program with its owner's rights", lambda: make_setuid(STATE))
    yield Try("files", "a device node", lambda: make_node(STATE))
    yield Try("files", "write into the state folder", lambda: written(STATE / ".probe"), must_work=True)
    yield Try("files", "write into a /tmp of its own", lambda: written(Path("/tmp/.probe")), must_work=True)
    yield Try("files", "read the configuration", lambda: read(Path("/etc/specular/specular.toml")), must_work=True)


def written(path: Path) -> None:
    try:
        with path.open("xb") as file:
            file.write(b"probe")
            os.fsync(file.fileno())
    finally:
        if path.exists():
            path.unlink()


def read(path: Path) -> None:
    if path.is_dir():
        os.listdir(path)
    else:
        with path.open("rb") as file:
            file.read(1)


def overwrite(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)  # opening tells it; nothing is written
    os.close(descriptor)


def run_own_program(folder: Path) -> None:
    path = folder / ".probe-program"
    path.write_text("#!/bin/sh\nexit 0\n")
    try:
        path.chmod(0o700)
        subprocess.run([str(path)], check=False)
    finally:
        path.unlink()


def make_setuid(folder: Path) -> None:
    path = folder / ".probe-setuid"
    path.write_bytes(b"")
    try:
        path.chmod(0o4700)
    finally:
        path.unlink()


def make_node(folder: Path) -> None:
    path = folder / ".probe-node"
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 1))
    path.unlink()


def devices() -> Iterator[Try]:
    """Nodes that file permissions allow, so that only the unit's list of devices can deny them."""
    nodes = sorted(path for path in Path("/dev").glob(PROBE_NODES + "*"))
    if not nodes:
        yield Try("devices", "nodes to try, made by probe_unit.py", lambda: no_nodes(), must_work=True)
    for path in nodes:
        what = f"open {path.name.removeprefix(PROBE_NODES)}"
        yield Try("devices", what, lambda path=path: open_node(path), by=frozenset({errno.EPERM}))
    yield Try("devices", "open /dev/null", lambda: open_node(Path("/dev/null")), must_work=True)
    yield Try("devices", "open /dev/urandom", lambda: open_node(Path("/dev/urandom")), must_work=True)


def no_nodes() -> None:
    raise OSError(errno.ENOENT, "no nodes")


def open_node(path: Path) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))


# ------------------------------------------------------------------------------------------------ processes, kernel


def processes() -> Iterator[Try]:
    yield Try("processes", "see process 1", lambda: read(Path("/proc/1/status")))
    yield Try("processes", "see others' processes", others_processes)
    for name in ("meminfo", "sys/kernel/osrelease", "kallsyms", "kcore", "modules"):
        yield Try("processes", f"read /proc/{name}", lambda name=name: read(Path("/proc") / name))
    yield Try("processes", "send process 1 a signal", lambda: os.kill(1, 0), by=frozenset({errno.EPERM, errno.ESRCH}))
    yield Try("processes", "become root", lambda: os.setuid(0))
    yield Try("processes", "become root by sudo", sudo)
    yield Try("processes", "privileges", privileges)
    yield Try("processes", "a core dump", lambda: raise_limit(resource.RLIMIT_CORE))
    yield Try("processes", "more than 1024 descriptors", lambda: raise_limit(resource.RLIMIT_NOFILE))
    yield Try("processes", "memory that is written and run", writable_program)
    yield Try("processes", "the memory of process 1", lambda: memory_of(1), by=frozenset({errno.EPERM, errno.ESRCH}))


def limits() -> Iterator[Try]:
    """What the control group bounds; not in a container, which has no controllers of its own."""
    yield Try("limits", "more than 128 tasks", many_threads)


def others_processes() -> None:
    mine = os.getuid()
    others = [each.name for each in Path("/proc").iterdir() if each.name.isdigit() and each.stat().st_uid != mine]
    if not others:
        raise OSError(errno.ENOENT, "none")


def sudo() -> None:
    done = subprocess.run(["/usr/bin/sudo", "-n", "true"], capture_output=True, check=False)
    if done.returncode:
        raise OSError(errno.EPERM, "sudo refuses")


def privileges() -> str:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    sets = [status[key].strip("0") for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    if not any(sets) and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2":
        raise OSError(errno.EPERM, "none")
    return f"{sets} {status['NoNewPrivs']} {status['Seccomp']}"


def many_threads() -> None:
    stop = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(200):
            thread = threading.Thread(target=stop.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        raise OSError(errno.EPERM, str(error)) from error
    finally:
        stop.set()
        for thread in started:
            thread.join()


def raise_limit(which: int) -> str:
    soft, hard = resource.getrlimit(which)
    more = hard + 1
    try:
        resource.setrlimit(which, (more, more))
    except ValueError as error:  # "not allowed to raise maximum limit"
        raise OSError(errno.EPERM, str(error)) from error
    return f"from {soft} to {more}"


class Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def memory_of(process_id: int) -> str:
    buffer = ctypes.create_string_buffer(8)
    ours = Piece(ctypes.cast(buffer, ctypes.c_void_p), 8)
    theirs = Piece(0x1000, 8)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.process_vm_readv(process_id, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "read"


def writable_program() -> None:
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as area:
        area[0] = 0


def kernel() -> Iterator[Try]:
    calls = CALLS.get(platform.machine(), {})
    if not calls:
        yield Try("kernel", f"calls of {platform.machine()}", lambda: no_nodes(), must_work=True)
    arguments = {
        "ptrace": (16, 1, 0, 0),  # PTRACE_ATTACH to process 1
        "unshare": (CLONE_NEWUSER,),
        "personality": (0x0008,),
        "sched_setscheduler": (0, 1, ctypes.byref(ctypes.c_int(1))),
        "setpriority": (0, 0, -5),
        "syslog": (10, 0, 0),  # how large the ring is
        "chroot": (b"/",),
        "swapon": (b"/nothing", 0),
        "acct": (b"/nothing",),
        "sethostname": (b"probe", 5),
        "mount": (b"none", b"/tmp", b"tmpfs", 0, 0),
        "umount2": (b"/tmp", 0),
        "iopl": (3,),
    }
    for name, number in calls.items():
        given = arguments.get(name, (0, 0, 0, 0, 0))
        yield Try("kernel", name, lambda number=number, given=given: call(number, *given), by=frozenset({errno.EPERM}))
    for name, flag in {"network": CLONE_NEWNET, "mount": CLONE_NEWNS}.items():
        if "unshare" in calls:
            attempt = lambda flag=flag: call(calls["unshare"], flag)  # noqa: E731
            yield Try("kernel", f"a {name} namespace", attempt, by=frozenset({errno.EPERM}))
    yield Try("kernel", "32-bit calls", thirty_two_bits)


def call(number: int, *arguments: object) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return str(result)


def thirty_two_bits() -> None:
    """getpid of the x32 ABI, in a process of its own: SystemCallArchitectures=native kills whoever asks."""
    if platform.machine() != "x86_64":
        raise OSError(errno.ENOSYS, "no other calls here")
    child = os.fork()
    if child == 0:
        try:
            call(0x40000000 + 39)
        except OSError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status):
        raise OSError(errno.EPERM, "killed or refused")


GROUPS = ("network", "sockets", "files", "devices", "processes", "limits", "kernel")


def tries(arguments: argparse.Namespace) -> Iterator[Try]:
    groups = arguments.groups.split(",")
    if "network" in groups:
        yield from network(arguments.peer, arguments.other, arguments.own_port)
    if "interface" in groups:
        yield from interface(arguments.peer)
    for name, group in (
        ("sockets", sockets),
        ("files", files),
        ("devices", devices),
        ("processes", processes),
        ("limits", limits),
        ("kernel", kernel),
    ):
        if name in groups:
            yield from group()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--peer", default="", metavar="HOST:PORT", help="a configured peer, which must be reached")
    parser.add_argument("--other", action="append", default=[], metavar="HOST:PORT", help="nobody that is configured")
    parser.add_argument("--own-port", type=int, default=64001)
    arguments = parser.parse_args()
    wrong = 0
    for tried in tries(arguments):
        row = outcome_of(tried)
        wrong += not row["ok"]
        print(json.dumps(row), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
