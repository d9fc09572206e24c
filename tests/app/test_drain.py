"""A stop ends, whatever sessions do."""

import asyncio
from typing import Any, cast

from mailplat.access.forwarding import ForwardedSessions
from mailplat.app.doors import StreamDoor, bind
from mailplat.app.worker import Process
from tests.until import until


class Quiet:
    async def close(self) -> None:
        return None


async def test_a_session_that_does_not_end_is_cut_off() -> None:
    cancelled = asyncio.Event()

    class Stuck:
        async def serve(self, *_: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async def never() -> None:
        await asyncio.Event().wait()

    door = StreamDoor("imap", Stuck(), 10)
    mine = bind("127.0.0.1:0", shared=False)
    port = mine.getsockname()[1]
    await door.listen(mine, None)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: door.connections)
    drain = Process._stream_drain(
        door, never, cast(ForwardedSessions, Quiet()), cast(Any, Quiet()), cast(Any, Quiet())
    )
    async with asyncio.timeout(20):
        await drain(0.2)
    assert cancelled.is_set()
    assert not door.connections
    writer.close()
