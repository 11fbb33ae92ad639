"""Real hardware for the contracts."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--camera-port", help="a V4L2 camera to run the camera contract on, for example /dev/video0")
