"""Other people's clients."""

import asyncio
import poplib
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.access.conftest import MakeHouse
from tests.access.house import PASSWORD, House, message

LETTERS = [message("one"), message("two", ".\r\n..\r\n.x\r\n"), message("three", "zoë\r\n" * 500)]


async def test_poplib(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", *LETTERS)
    port = await house.listen(house.pop3)

    def run() -> None:
        pop = poplib.POP3("127.0.0.1", port, timeout=20)
        pop.utf8()
        pop.user("anna@example.test")
        pop.pass_(PASSWORD)
        assert pop.stat() == (3, sum(map(len, LETTERS)))
        assert len({line.split()[1] for line in pop.uidl()[1]}) == 3
        for number, letter in enumerate(LETTERS, 1):
            assert b"\r\n".join(pop.retr(number)[1]) + b"\r\n" == letter
        assert pop.top(2, 1)[1][-1] == b"."
        pop.dele(1)
        pop.quit()

    await asyncio.to_thread(run)
    assert house.kept("anna") == LETTERS[1:]


async def test_poplib_over_tls(
    houses: MakeHouse, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    house = houses(tls=server_tls)
    house.add("anna")
    await house.deliver("anna", *LETTERS)
    plain, implicit = await house.listen(house.pop3), await house.listen(house.pop3, implicit_tls=True)

    def read(pop: poplib.POP3) -> int:
        pop.user("anna@example.test")
        pop.pass_(PASSWORD)
        count = pop.stat()[0]
        pop.quit()
        return count

    def run() -> None:
        pop = poplib.POP3("localhost", plain, timeout=20)
        pop.stls(client_tls)
        assert read(pop) == 3
        assert read(poplib.POP3_SSL("localhost", implicit, timeout=20, context=client_tls)) == 3

    await asyncio.to_thread(run)


@pytest.mark.interop
async def test_curl(
    houses: MakeHouse, server_tls: ssl.SSLContext, certificate: tuple[Path, Path, Path]
) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    house = houses(tls=server_tls)
    house.add("anna")
    await house.deliver("anna", *LETTERS)
    port = await house.listen(house.pop3)

    def run(path: str, *options: str) -> bytes:
        command = [
            curl,
            "-sS",
            "--ssl-reqd",
            "--cacert",
            str(certificate[2]),
            "-u",
            f"anna@example.test:{PASSWORD}",
        ]
        done = subprocess.run(
            [*command, *options, f"pop3://localhost:{port}/{path}"],
            capture_output=True,
            timeout=30,
            check=True,
        )
        return done.stdout

    for number, letter in enumerate(LETTERS, 1):
        assert await asyncio.to_thread(run, str(number)) == letter
    listed = await asyncio.to_thread(run, "")
    assert listed.splitlines() == [b"%d %d" % (n, len(letter)) for n, letter in enumerate(LETTERS, 1)]
    await asyncio.to_thread(run, "2", "--request", "DELE", "--list-only")
    assert house.kept("anna") == [LETTERS[0], LETTERS[2]]
