"""An account whose clients spell names as the platform did that it came from: INBOX.Sent."""

from tests.access.imap.conftest import Rig, message


def as_before(rig: Rig) -> None:
    account = rig.directory.account_by_id(rig.residence.account_id)
    rig.directory.set_account(account.id, separator=".", prefix="INBOX/")


async def test_names_with_dots(rig: Rig) -> None:
    as_before(rig)
    client = await rig.login()
    await client.talk(
        """
        C: a NAMESPACE
        S: * NAMESPACE (("INBOX." ".")) (("user." ".")) NIL
        S: a OK ...
        C: b LIST "" ""
        S: * LIST (\\Noselect) "." ""
        S: b OK ...
        C: c CREATE INBOX.Work.2026.
        S: c OK ...
        C: d LIST "" "INBOX.%"
        S: * LIST (\\HasChildren) "." INBOX.Work
        S: d OK ...
        C: e LIST "inbox." *
        S: * LIST (\\HasChildren) "." INBOX.Work
        S: * LIST (\\HasNoChildren) "." INBOX.Work.2026
        S: e OK ...
        C: f SUBSCRIBE inbox.Work.2026
        S: f OK ...
        C: g LSUB "" "INBOX.%"
        S: * LSUB (\\Noselect) "." INBOX.Work
        S: g OK ...
        C: h RENAME INBOX.Work INBOX.Arbeit
        S: h OK ...
        C: i STATUS "INBOX.Arbeit.2026" (MESSAGES)
        S: * STATUS INBOX.Arbeit.2026 (MESSAGES 0)
        S: i OK ...
        C: j CREATE "INBOX.and/or"
        S: j OK ...
        C: k LIST "" "INBOX.and*"
        S: * LIST (\\HasNoChildren) "." INBOX.and/or
        S: k OK ...
        C: l SETMETADATA INBOX.Arbeit (/private/comment "mine")
        S: l OK ...
        C: m GETMETADATA INBOX.Arbeit /private/comment
        S: * METADATA INBOX.Arbeit (/private/comment ...mine...)
        S: m OK ...
        C: n SELECT INBOX.Nothing
        S: n NO [NONEXISTENT] ...
        """
    )
    kept = {box.name for box in rig.shard.mailboxes(rig.residence)}
    assert kept == {"INBOX", "INBOX/Arbeit", "INBOX/Arbeit/2026", "INBOX/and\u2215or"}


async def test_search_of_several_and_notify_name_them_so(rig: Rig) -> None:
    as_before(rig)
    client = await rig.login()
    await client.ok("CREATE INBOX.Sent")
    await client.append(message(), "INBOX.Sent")
    found = await client.ok('ESEARCH IN (mailboxes "INBOX.Sent") ALL')
    assert b" MAILBOX INBOX.Sent UIDVALIDITY " in found[0]
    await client.ok("NOTIFY SET (subtree INBOX (MailboxName MessageNew MessageExpunge))")
    other = await rig.login()
    await other.ok("CREATE INBOX.New")
    assert b'* LIST (\\HasNoChildren) "." INBOX.New' in await client.ok("NOOP")


async def test_after_logging_out_names_are_plain_again(rig: Rig) -> None:
    as_before(rig)
    client = await rig.login()
    await client.ok("UNAUTHENTICATE")
    rig.directory.set_account(rig.residence.account_id, separator="/", prefix="")
    await client.ok("LOGIN user@example.test secret")
    assert await client.ok('LIST "" ""') == [b'* LIST (\\Noselect) "/" ""']
