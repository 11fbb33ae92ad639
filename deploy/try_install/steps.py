"""What is tried, in order: each a command in the container and what has to come of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy.try_install.container import Container, Done

SSH = (
    "timeout 20 ssh -i /root/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
    "-o BatchMode=yes service@127.0.0.1"
)
INSTALL = "cd /src && deploy/install --wheels /wheels --config /tmp/first.toml"
Judge = Callable[[Done], bool]


def said(pattern: str, status: int = 0) -> Judge:
    return lambda done: done.status == status and re.search(pattern, done.output) is not None


def succeeded(done: Done) -> bool:
    return done.status == 0


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    command: str
    judge: Judge = succeeded
    shows: bool = False  # what it said is a figure


BEFORE_REBOOT = (
    Step("a wrong configuration is refused before anything starts", "printf 'x = 1\\n' >/tmp/first.toml && " + INSTALL,
         said(r"check-config.*unknown key|x: ", 1)),
    Step("and stays for whoever mends it", "printf '[network]\\ninterface = \"lo\"\\n' >/etc/specular/specular.toml"),
    Step("install: the service says READY", INSTALL, said(r"the service is ready")),
    Step("nothing failed", "systemctl is-system-running; systemctl --failed --no-legend", said(r"\Arunning\s*\Z")),
    Step("exposure, at most 1.2 as systemd 257 judges it",
         "systemd-analyze security specular.service --no-pager | tail -1;"
         " test $(systemctl --version | sed -n '1s/[^0-9]*\\([0-9]*\\).*/\\1/p') -lt 257 || "
         "systemd-analyze security --threshold=12 specular.service >/dev/null", shows=True),
    Step("install again: nothing changes", INSTALL, said(r"nothing has changed")),
    Step("the service has no privilege", "cat /proc/$(systemctl show -P MainPID specular)/status",
         said(r"Uid:\s+([1-9]\d*)\s(?s:.)*CapEff:\s+0+\n(?s:.)*NoNewPrivs:\s+1")),
    Step("its port was opened by systemd", "ss -tlnp", said(r"0\.0\.0\.0:64001.*systemd")),
    Step("C-ECHO to it", "/opt/specular/bin/specular echo TP_AM_SP1P_001@127.0.0.1:64001"),
    Step("a stranger has no console", "runuser -u nobody -- /opt/specular/bin/specular console -c status",
         said("Permission denied", 1)),
    Step("who is at the console is named, also to a service that sees no other users", "runuser -u service -- "
         "/opt/specular/bin/specular console -c health >/dev/null; sleep 1; runuser -u service -- "
         "/opt/specular/bin/specular console -c audit", said(r"Login\s+service,")),
    Step("a key for the console", "ssh-keygen -q -t ed25519 -N '' -f /root/key && cp /root/key.pub "
         "/etc/specular/ssh/service && systemctl restart ssh"),
    Step("a command over SSH is one of the console's", f"{SSH} status", said("specular .* on 127.0.0.1")),
    Step("and never one of a shell", f"{SSH} 'id; /bin/sh'", said('unknown command "id;"', 2)),
    Step("commands from a pipe", f"printf 'status\\n' | {SSH}", said("own port")),
    Step("nothing is forwarded", f"timeout 10 {SSH} -o ExitOnForwardFailure=yes -W 127.0.0.1:22 </dev/null",
         lambda done: done.status != 0 and "SSH-2.0" not in done.output),
    Step("the sessions are in the audit trail, with the address",
         "sleep 6; cat /var/lib/specular/audit/*",
         said(r'UserID=\\"service\\".*NetworkAccessPointID=\\"127\.0\.0\.1\\"')),
    # What the packet filters of control groups deny is denied in no container: the virtual machine shows that.
    Step("what the unit denies is denied", "python3 /src/tests/device/probe_unit.py --groups "
         "sockets,files,processes,kernel >/tmp/probe; status=$?; grep -v '\"ok\": true' /tmp/probe; exit $status"),
    Step("a crash is mended", "kill -9 $(systemctl show -P MainPID specular); sleep 1; "
         "for i in $(seq 100); do systemctl is-active -q specular && break; sleep 0.2; done; "
         "runuser -u service -- /opt/specular/bin/specular console -c status", said("own port")),
    Step("stopped is stopped: a connection does not start it", "systemctl stop specular; sleep 1; "
         "/opt/specular/bin/specular echo TP_AM_SP1P_001@127.0.0.1:64001; systemctl is-active specular",
         said("inactive", 3)),
)  # fmt: skip
AFTER_REBOOT = (
    Step("READY after a reboot", "for i in $(seq 100); do systemctl is-active -q specular && break; sleep 0.2; done; "
         "systemctl is-active specular specular-rules specular-dicom.socket specular-console.socket", succeeded),
    Step("nothing failed", "systemctl is-system-running; systemctl --failed --no-legend", said(r"\Arunning\s*\Z")),
    Step("rules hold", "nft list table inet specular", said(r"meta skuid")),
    Step("from its start to READY", "echo $((($(systemctl show -P ActiveEnterTimestampMonotonic specular) - "
         "$(systemctl show -P ExecMainStartTimestampMonotonic specular)) / 1000)) ms", said(r"^\d+ ms"), shows=True),
    Step("another port: reload, restart", "printf '[instrument]\\nport = 104\\n[network]\\ninterface = \"lo\"\\n' "
         ">/etc/specular/specular.toml && systemctl reload specular-rules && systemctl restart specular && "
         "/opt/specular/bin/specular echo TP_AM_SP1P_001@127.0.0.1:104"),
    Step("data of one's own", "echo mine >/var/lib/specular/exams/mine"),
    Step("uninstall", "cd /src && deploy/install --uninstall", said("is gone")),
    Step("data and configuration are there", "cat /var/lib/specular/exams/mine /etc/specular/specular.toml "
         "/etc/specular/ssh/service && ls /var/lib/specular/records.sqlite3", said("mine")),
    Step("nothing else is", "ls -d /opt/specular /etc/systemd/system/specular* /etc/udev/rules.d/*specular* "
         "/etc/ssh/sshd_config.d/*specular* /usr/share/pam-configs/specular /run/systemd/system/specular* 2>/dev/null; "
         "grep -l session_note /etc/pam.d/*; nft list tables; systemctl list-unit-files --no-legend 'specular*'",
         lambda done: not done.output.strip()),
    Step("and again", "cd /src && deploy/install --uninstall", said("is gone")),
)  # fmt: skip


def perform(steps: tuple[Step, ...], container: Container, tell: Callable[[str], None]) -> int:
    """How many failed; every one is tried."""
    failures = 0
    for step in steps:
        began_s = time.monotonic()
        done = container.run(step.command)
        is_good = step.judge(done)
        figure = f": {done.output.strip()}" if step.shows else ""
        tell(f"{'ok  ' if is_good else 'FAIL'} {time.monotonic() - began_s:5.1f} s  {step.name}{figure}")
        if not is_good:
            failures += 1
            tell(f"     exit status {done.status}: {done.output.strip()[-2000:]}")
    return failures
