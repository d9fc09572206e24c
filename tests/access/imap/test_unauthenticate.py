"""UNAUTHENTICATE (RFC 8437)."""

from mailplat.access.imap import ImapLimits
from tests.access.imap.conftest import DOMAIN, PASSWORD, MakeRig, Rig, message


async def test_somebody_else_takes_over(rig: Rig) -> None:
    rig.add("other")
    await rig.deliver(message())
    client = await rig.connect()
    await client.talk(
        f"""
        C: a UNAUTHENTICATE
        S: a BAD ...
        C: b LOGIN user@{DOMAIN} {PASSWORD}
        S: b OK ...
        C: c ENABLE QRESYNC UTF8=ACCEPT UIDONLY
        S: * ENABLED QRESYNC UTF8=ACCEPT UIDONLY
        S: c OK ...
        C: d SELECT INBOX
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 1 EXISTS
        S: * 0 RECENT
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 2] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: d OK ...
        C: e UID STORE 1 +FLAGS.SILENT (\\Deleted)
        S: * 1 UIDFETCH (MODSEQ (...) FLAGS (\\Deleted))
        S: e OK ...
        C: f UNAUTHENTICATE
        S: f OK ...
        C: g NOOP
        S: g OK ...
        C: h SELECT INBOX
        S: h BAD Log in first
        C: i APPEND INBOX {{5}}
        S: i BAD Log in first
        C: j LOGIN other@{DOMAIN} {PASSWORD}
        S: j OK [CAPABILITY ...
        C: k SELECT INBOX
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 0 EXISTS
        S: * 0 RECENT
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 1] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: k OK ...
        C: l CREATE "Entw&APw-rfe"
        S: l OK ...
        C: m LIST "" Entw*
        S: * LIST (\\HasNoChildren) "/" Entw&APw-rfe
        S: m OK ...
        C: n ENABLE QRESYNC
        S: * ENABLED QRESYNC
        S: * OK [HIGHESTMODSEQ ...
        S: n OK ...
        """
    )
    # What was selected was not expunged, and the new one hears nothing of the former one.
    assert rig.shard.mailbox(rig.residence, "INBOX").messages == 1
    await rig.deliver(message())
    assert await client.ok("NOOP") == []


async def test_it_is_no_session_of_the_former_account_any_more(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(connections_per_account=1))
    first, second = await rig.login(), await rig.connect()
    assert (await second.command(f"LOGIN user@{DOMAIN} {PASSWORD}")).tagged.startswith(b"NO [LIMIT]")
    await first.ok("UNAUTHENTICATE")
    assert len(rig.server.sessions) == 2
    await second.ok(f"LOGIN user@{DOMAIN} {PASSWORD}")
    assert (await first.command(f"LOGIN user@{DOMAIN} {PASSWORD}")).tagged.startswith(b"NO [LIMIT]")


async def test_the_limits_are_those_from_before_the_login(rig: Rig) -> None:
    client = await rig.login()
    await client.ok("UNAUTHENTICATE")
    assert (await client.command("NOOP" + " " * 13_000)).status == b"BAD"
    assert (await client.command(b"LOGIN {5000+}\r\n" + b"x" * 5000 + b" x")).tagged.startswith(
        b"BAD [TOOBIG]"
    )
