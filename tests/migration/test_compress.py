"""COMPRESS=DEFLATE (RFC 4978) towards a source: mailplat itself offers it, Dovecot with its plugin."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.limits.sources import SourceLimits
from mailplat.directory import Backend
from migration.errors import Misbehaviour
from migration.sources import imap as wire
from migration.sources.imap import Client
from migration.sources.imap_account import ImapAccount
from tests.access.backend import Connection, backend
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, PASSWORD, backend_of, client, letter

USER = f"a@{DOMAIN}"


@pytest.fixture(scope="module")
def offering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    server = Dovecot(
        tmp_path_factory.mktemp("compress"),
        [(USER, PASSWORD)],
        MASTER,
        settings="protocol imap {\n  mail_plugins = imap_zlib\n}\n",
    )
    yield server
    server.stop()


@pytest.mark.interop
@pytest.mark.parametrize("compress", [True, False])
async def test_what_is_read_is_the_same(
    offering: Dovecot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: bool
) -> None:
    wanted = [letter(number, 2_000) for number in range(20)] + [letter(20, 900_000)]
    with client(offering, USER) as imap:
        imap.select_folder("INBOX")
        imap.delete_messages(imap.search())
        imap.expunge()
        for each in wanted:
            imap.append("INBOX", each)
    inflated: list[int] = []
    feed = wire.Deflate.feed

    def counted(self: wire.Deflate, octets: bytes) -> None:
        inflated.append(len(octets))
        feed(self, octets)

    monkeypatch.setattr(wire.Deflate, "feed", counted)
    known = backend_of(offering)
    there = Backend(**{**{name: getattr(known, name) for name in known.__slots__}, "imap_compress": compress})
    source = await ImapAccount.open(there, USER, tmp_path)
    try:
        (inbox,) = (await source.survey()).mailboxes
        await source.examine(inbox)
        fetched = await source.fetch([each.uid for each in await source.scan()])
        assert [each.uid for each in fetched] == sorted(each.uid for each in fetched)
        for each, octets in zip(fetched, wanted, strict=True):
            with each.body.open() as file:
                assert file.read() == octets
            each.body.close()
    finally:
        await source.close()
    assert bool(inflated) == compress
    if compress:
        assert sum(inflated) < sum(map(len, wanted)) / 2


@pytest.mark.parametrize("what", ["bomb", "noise"])
async def test_a_bomb_ends_the_connection(tmp_path: Path, what: str) -> None:
    async def script(connection: Connection) -> None:
        connection.say(b"* OK here\r\n")
        tag = (await connection.hear()).split(b" ")[0]
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = squeeze.compress(b"* OK zeros\r\n" * 2_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH)
        # In one piece with the answer: what is behind its line end is compressed already.
        connection.say(tag + b" OK go on\r\n" + (bomb if what == "bomb" else b"\xff" * 100))
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        connected = Client(
            "127.0.0.1", behind.port, tmp_path, None, SourceLimits(deflate_allowance=1024 * 1024)
        )
        await connected.greeting()
        await connected.compress()
        with pytest.raises(Misbehaviour, match="COMPRESS"):
            await connected.run(b"NOOP")
        connected.abort()
