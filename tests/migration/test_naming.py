"""Separators and prefixes as the clients saw them (RFC 2342 5)."""

from pathlib import Path

import pytest

from mailplat.core.route import RouteState
from migration.sources.contract import Naming
from migration.sources.names import naming
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, PASSWORD, House, backend_of, client, letter

ADA = f"ada@{DOMAIN}"
_DOTTED = "namespace inbox {\n  separator = .\n  prefix = INBOX.\n}\n"


@pytest.mark.parametrize(
    ("prefix", "separator", "expected"),
    [
        (b"INBOX.", b".", Naming(".", "INBOX/")),
        (b"", b".", Naming(".", "")),
        (b"mail/", b"/", Naming("/", "mail/")),
        (b"INBOX^", b"^", Naming("/", "")),
        (b"B&APw-ro.", b".", Naming(".", "")),
        (b"", b"", Naming("/", "")),
    ],
)
def test_what_is_kept_of_a_namespace(prefix: bytes, separator: bytes, expected: Naming) -> None:
    assert naming(prefix, separator) == expected


@pytest.mark.interop
async def test_an_account_keeps_its_separator_and_prefix(tmp_path: Path) -> None:
    (tmp_path / "dovecot").mkdir()
    dovecot = Dovecot(tmp_path / "dovecot", [(ADA, PASSWORD)], MASTER, settings=_DOTTED)
    here = House(tmp_path / "house", backend_of(dovecot), [ADA])
    try:
        with client(dovecot, ADA) as session:
            assert session.namespace().personal == (("INBOX.", "."),)
            session.create_folder("INBOX.Work.2026")
            session.append("INBOX.Work.2026", letter(1))
        here.plan()
        async with here.engine():
            await here.reach(RouteState.READY)
        account = here.platform.directory.account_by_id(here.move(ADA).account_id)
        assert (account.separator, account.prefix) == (".", "INBOX/")
        assert set(here.content(ADA)) == {"INBOX", "INBOX/Work", "INBOX/Work/2026"}
    finally:
        here.close()
        dovecot.stop()
