"""GETQUOTA, GETQUOTAROOT, STATUS DELETED-STORAGE (RFC 9208)."""

from tests.access.imap.conftest import DOMAIN, PASSWORD, Rig, message


async def test_account_and_domain(rig: Rig) -> None:
    rig.add("small", quota=10 * 1024 + 1023)
    client = await rig.connect()
    await client.ok(f"LOGIN small@{DOMAIN} {PASSWORD}")
    await client.append(message("one", "x" * 1500 + "\r\n"))
    await client.talk(
        """
        C: a GETQUOTAROOT inbox
        S: * QUOTAROOT INBOX "account"
        S: * QUOTA "account" (STORAGE 2 10)
        S: a OK ...
        C: b GETQUOTA account
        S: * QUOTA "account" (STORAGE 2 10)
        S: b OK ...
        C: c GETQUOTA "domain"
        S: c NO [NONEXISTENT] ...
        C: d GETQUOTA ""
        S: d NO [NONEXISTENT] ...
        C: e GETQUOTAROOT Nothing
        S: e NO [NONEXISTENT] ...
        C: f GETQUOTA
        S: f BAD ...
        """
    )


async def test_a_domain_s_pool(rig: Rig) -> None:
    rig.directory.set_domain(DOMAIN, quota=1 << 20)
    await rig.deliver(message())
    client = await rig.login()
    await client.append(message())
    lines = await client.ok("GETQUOTAROOT INBOX")
    assert lines == [b'* QUOTAROOT INBOX "domain"', b'* QUOTA "domain" (STORAGE 1 1024)']


async def test_without_a_quota(rig: Rig) -> None:
    client = await rig.login()
    assert await client.ok("GETQUOTAROOT INBOX") == [b"* QUOTAROOT INBOX"]
    assert (await client.command("GETQUOTA account")).tagged.startswith(b"NO [NONEXISTENT]")


async def test_deleted_storage(rig: Rig) -> None:
    client = await rig.login()
    assert await client.ok("STATUS INBOX (DELETED-STORAGE)") == [b"* STATUS INBOX (DELETED-STORAGE 0)"]
    await rig.deliver(message("one"), message("three"), flags=("\\Deleted",))
    await rig.deliver(message("two"))
    size = len(message("one")) + len(message("three"))
    lines = await client.ok("STATUS INBOX (DELETED DELETED-STORAGE)")
    assert lines == [b"* STATUS INBOX (DELETED 2 DELETED-STORAGE %d)" % size]
