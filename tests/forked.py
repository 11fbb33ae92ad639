"""A forked process that is to the outside what a process started by a shell would be."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def run_to_the_end(program: Callable[[], int], status: int) -> NoReturn:
    """Its exit status goes to the descriptor `status` as an octet; nothing runs on of what it was forked from."""
    code = 1
    try:
        code = program()
    except BaseException:  # noqa: BLE001 - the interpreter would print it and go, too
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(status, bytes([code]))
    os._exit(0)
