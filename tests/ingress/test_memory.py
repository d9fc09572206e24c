"""A message of 50 MB costs less than 5 MB (a process of its own, measured by its resident set)."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.ingress.wire import Wire

SERVER = """
import asyncio, resource, sys
from pathlib import Path
from tests.ingress.house import House

async def main() -> None:
    house = House(Path(sys.argv[1]))
    address = await house.listen(message_size=60_000_000)
    print(*address, flush=True)
    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(peak, flush=True)
        if not line.strip():
            break
    await house.close()

asyncio.run(main())
"""
MEGABYTE = (b"x" * 76 + b"\r\n") * 13_443


@pytest.mark.parametrize("name", ["anna", "olga"], ids=["to the store", "to the queue"])
async def test_a_big_message_in_little_memory(tmp_path: Path, name: str) -> None:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(tmp_path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    stdin, stdout = server.stdin, server.stdout

    async def answer() -> list[bytes]:
        while True:  # log lines come first
            words = (await asyncio.wait_for(stdout.readline(), 30)).split()
            assert words
            if words[-1].isdigit() and len(words) <= 2:
                return words

    async def peak() -> int:
        stdin.write(b"peak\n")
        await stdin.drain()
        return int((await answer())[0])

    recipient = f"{name}@example.org"
    host, port = await answer()
    wire = await Wire.open((host.decode(), int(port)))
    await wire.ask("EHLO c")
    assert (await wire.mail(b"Subject: warm\r\n\r\n" + MEGABYTE, [recipient])).startswith("250 ")
    before = await peak()
    for command in ("MAIL FROM:<a@remote.example>", f"RCPT TO:<{recipient}>", "DATA"):
        reply = await wire.ask(command)
    assert reply.startswith("354")
    await wire.send(b"Subject: big\r\n\r\n")
    for _ in range(50):
        await wire.send(MEGABYTE)
    assert (await wire.ask(b".")).startswith("250 ")
    after = await peak()
    stdin.write(b"\n")
    await server.communicate()
    assert after - before < 5 * 1024, f"{after - before} KiB for 50 MB"
