"""Work that must not be torn by the cancellation of whoever waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger("delivery")
T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end whatever becomes of the caller; its cancellation is raised after that."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001 - task.result() below raises it
            break
    if cancelled is not None:
        if task.exception() is not None:
            log.error("message not kept, and its client is gone", error=str(task.exception()))
        raise cancelled
    return task.result()
