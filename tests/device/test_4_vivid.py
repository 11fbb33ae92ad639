"""The kernel's own test camera under the service's unit: its driver comes when the service already runs."""

from __future__ import annotations

import re
from collections.abc import Callable

from deploy.device_test.bench import ANSWER_S, Bench, device_states, until
from deploy.image.vm import VirtualMachine

ROWS, COLUMNS = 180, 320
# One camera with one webcam input: picture sizes and rates as a UVC camera has them.
VIVID = "vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0"
CONFIGURATION = f"""\
profile = "specular"

[network]
interface = "eth0"

[capture]
burst = 2

[retention]
min_free_percent = 0
reserve_mb = 1

[camera]
kind = "v4l2"
port = "/dev/video0"
simulated = true
um_per_px = 0.85
width_px = {COLUMNS}
height_px = {ROWS}
"""


def test_a_camera_that_comes_later_is_found_and_gives_pictures(
    bench: Bench, machine: VirtualMachine, tell: Callable[[str], None]
) -> None:
    stage = re.search(r"^\[stage\]\n(?:.+\n)+", bench.configuration, re.MULTILINE)
    assert stage is not None
    bench.configure(f"{CONFIGURATION}\n{stage[0]}")
    with bench.surroundings("--no-camera"), bench.console() as console:

        def states() -> dict[str, str]:
            return device_states(console.run("status"))

        until(lambda: states()["stage"] == "ready", ANSWER_S, "the stage ready")
        assert states()["camera"] != "ready"
        machine.run(f"sudo modprobe {VIVID}")
        found_s = until(lambda: states()["camera"] == "ready", ANSWER_S, "a camera ready")
        tell(f"vivid found and ready after {found_s:.1f} s")
        assert machine.run("stat -c %U:%G:%a /dev/video0").strip() == "root:specular:660"
        exam_id = console.run("exam unscheduled VIVID-1 Vivid^Test")["exam_id"]
        console.run("home")
        console.run("eye R")
        capture_id = console.run("capture R")["capture_id"]
        # PNG (RFC 2083, 3.2): a signature of 8 bytes, then IHDR with width and height.
        head = machine.ssh(f"sudo head -c 24 /var/lib/specular/exams/{exam_id}/{capture_id}.png").stdout
        assert (int.from_bytes(head[16:20]), int.from_bytes(head[20:24])) == (COLUMNS, ROWS)
        tell(f"captured: {COLUMNS}x{ROWS}, kept as {capture_id}.png")
