"""Structured logs: one line per event, the same form for our own events and for libraries'."""

import logging
import sys
from contextlib import AbstractContextManager
from typing import Any

import structlog

from cluster.settings import LogSettings

# Chatty at INFO without news. Clients of language models write whole requests at DEBUG, which are
# transcripts, and headers of answers, in which some servers repeat the key that they were sent.
QUIET = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "alembic", "asyncio"),
    *("anthropic", "ollama", "openai"),
)


def configure(settings: LogSettings, part: str) -> None:
    """Send this process's events to `<log_dir>/<part>.log`, or to standard error.

    Every event carries `part`, the time in UTC, and what `bound` holds at that moment.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        _adding(part=part),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _handler(settings, part)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderer(settings),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def bound(**values: str) -> AbstractContextManager[Any]:
    """Add values (request id, task id) to every event inside the `with` block, across awaits."""
    return structlog.contextvars.bound_contextvars(**values)


def _adding(**values: str) -> structlog.typing.Processor:
    def add(
        _logger: structlog.typing.WrappedLogger, _name: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        return {**values, **event}

    return add


def _handler(settings: LogSettings, part: str) -> logging.Handler:
    if settings.log_dir is None:
        return logging.StreamHandler(sys.stderr)
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    # Several replicas append to one file: a line is one write.
    return logging.FileHandler(settings.log_dir / f"{part}.log")


def _renderer(settings: LogSettings) -> list[structlog.typing.Processor]:
    if settings.log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=False,
            # The default shows local variables, and with them secrets.
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]
