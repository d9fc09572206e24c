"""Logging: structlog, one line an event, for people or as JSON. No secrets, no message bodies."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from mailplat.core.visible import visible, visible_lines

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, style: str) -> None:
    """`style` is "console" or "json"; lines go to stderr. The standard library's loggers come through at
    WARNING and above."""
    output = getattr(sys.stderr, "inner", sys.stderr)  # of console.Terminal: colours are ours
    rendering: list[Processor] = [structlog.processors.JSONRenderer()]
    if style != "json":
        rendering = [_for_people, structlog.dev.ConsoleRenderer(colors=output.isatty())]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        # Each line in one write(2): several workers share one log, and theirs must not run into each other.
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(_Formatter("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _for_people(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Much of what is logged is what others have said."""
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = visible_lines(value) if name in ("exception", "stack") else visible(value)
    return line


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible_lines(super().format(record))
