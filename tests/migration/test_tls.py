"""A legacy platform behind TLS whose certificate nobody signed, as such platforms have."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from mailplat.core.errors import MailplatError, Unavailable
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.route import RouteState
from migration.sources.imap_account import ImapAccount
from migration.sources.managesieve import ManageSieve
from migration.sources.pop3 import read_uidls
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, PASSWORD, House, backend_of, client, content_of, letter

pytestmark = pytest.mark.interop

USERS = [f"{name}@{DOMAIN}" for name in ("starttls", "implicit", "strict")]


@pytest.fixture(scope="module")
def secured() -> Iterator[Dovecot]:
    """A Dovecot that takes no password in the clear."""
    with tempfile.TemporaryDirectory(prefix="mailplat-tls-") as folder:
        root = Path(folder)
        certificate, key = root / "cert.pem", root / "key.pem"
        issued = trustme.CA().issue_cert("imap.of.another.name.test")
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        server = Dovecot(
            root, [(user, PASSWORD) for user in USERS], MASTER, tls=(certificate, key), beside=True
        )
        yield server
        server.stop()


def endpoints(server: Dovecot, tls: str) -> dict[str, str]:
    imap, pop3 = (
        (server.imaps_port, server.pop3s_port) if tls == "implicit" else (server.imap_port, server.pop3_port)
    )
    return {"imap": f"127.0.0.1:{imap}", "imap_tls": tls, "pop3": f"127.0.0.1:{pop3}", "pop3_tls": tls}


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_an_account_moves(secured: Dovecot, house: Callable[..., House], tls: str) -> None:
    user = f"{tls}@{DOMAIN}"
    with client(secured, user) as imap:
        for number in range(20):
            imap.append("INBOX", letter(number, 40_000 * (number % 3) + 400))
    here = house(user, **endpoints(secured, tls))
    here.plan()
    async with here.engine():
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(secured, user)
    assert here.move(user).uidl_format == "%08Xu%08Xv", "read over POP3"


@pytest.mark.parametrize("asked", ["starttls", "implicit"])
async def test_the_wrong_kind_of_tls_is_said(secured: Dovecot, tmp_path: Path, asked: str) -> None:
    hasty = SourceLimits(connect=0.5, answer=0.5)  # a server waits for our ClientHello
    other = {"starttls": "implicit", "implicit": "starttls"}[asked]
    wrong = {**endpoints(secured, other), "imap_tls": asked, "pop3_tls": asked}
    backend = replace(backend_of(secured, **wrong), limits=hasty)
    with pytest.raises(Unavailable, match=f"--imap-tls {other}"):
        await ImapAccount.open(backend, USERS[2], tmp_path)
    with pytest.raises(Unavailable, match=f"--pop3-tls {other}"):
        await read_uidls(backend, USERS[2])


async def test_starttls_is_never_left_out_silently(dovecot: Dovecot, tmp_path: Path) -> None:
    """A server that offers none; somebody in between could have removed the offer."""
    backend = backend_of(dovecot, imap_tls="starttls", pop3_tls="starttls")
    with pytest.raises(MailplatError, match="STARTTLS"):
        await ImapAccount.open(backend, USERS[2], tmp_path)
    with pytest.raises(Unavailable, match="POP3"):
        await read_uidls(backend, USERS[2])


async def test_scripts_come_through_starttls(secured: Dovecot) -> None:
    at = {"managesieve": f"127.0.0.1:{secured.managesieve_port}"}
    source = await ManageSieve.open(backend_of(secured, **at, managesieve_tls="starttls"), f"strict@{DOMAIN}")
    await source.put("a", b"keep;\r\n")
    assert (await source.read()).octets == {"a": b"keep;\r\n"}
    await source.close()
