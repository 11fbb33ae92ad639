"""Events as JSON lines on stderr, where journald picks them up. Events carry no patient data by their contract."""

from __future__ import annotations

import logging
import sys

import structlog

from firmware_app.model import EventLevel
from firmware_app.services.events import Subscription

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

LOG_METHODS: dict[EventLevel, str] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "alert": "critical",
}


def configure_log(level: str) -> None:
    logging.getLogger("pydicom").propagate = False  # it quotes the values that it finds odd
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


async def run_log(events: Subscription) -> None:
    """Write every event, for ever."""
    log = structlog.get_logger()
    async for event in events:
        missed = events.take_missed()
        if missed:
            log.warning("log.missed", text=f"{missed} events were lost just before the next one", missed=missed)
        write = getattr(log, LOG_METHODS[event.level])
        write(event.kind, text=event.text, **event.data)
