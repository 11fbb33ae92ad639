"""What the console can ask about the service's own health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_app.console.commands import Command, CommandContext
from firmware_app.console.protocol import Reply
from firmware_app.services import health_screen
from firmware_app.services.health_report import HealthService


@dataclass(frozen=True, slots=True)
class HealthCommands:
    """The handler. It asks nobody outside, so that it answers whatever hangs."""

    health: HealthService

    def table(self) -> tuple[Command, ...]:
        text = "each part of the service with what it waits for and since when; loop, disk, clock, nodes"
        return (Command("health", text, self._health),)

    async def _health(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return health_screen.health(await self.health.read())
