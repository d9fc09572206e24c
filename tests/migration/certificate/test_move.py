"""Accounts move from a real Dovecot to a platform that serves; they are read again as their users; whatever was done
to them behind the store's back is found."""

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from imapclient import IMAPClient

from mailplat.app.cli import main
from migration.certificate import digests, document, manifest, reader, resample, tables
from migration.sources.pop3 import read_uidls
from tests.dovecot import Dovecot
from tests.migration.certificate.house import DOMAIN, LARGE, LETTERS, Moved, bring, fill
from tests.migration.house import PASSWORD
from tests.rig import ONE_WORKER, running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

# Everything together on a busy machine.
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def users(_free: list[str]) -> list[str]:
    return [_free.pop() for _ in range(5)]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, dovecot: Dovecot, users: list[str]) -> Iterator[Moved]:
    for number, user in enumerate(users):
        fill(dovecot, user, LARGE if number == 0 else LETTERS)
    with running(tmp_path_factory.mktemp("certified"), **ONE_WORKER) as rig:
        bring(rig, dovecot, users)
        moved = Moved(rig)
        deadline = time.monotonic() + PATIENCE_S
        while not all(each.state == "ready" for each in moved.ledger.moves(DOMAIN)):
            assert time.monotonic() < deadline, [
                (e.state, e.note, e.halted) for e in moved.ledger.moves(DOMAIN)
            ]
            time.sleep(0.1)
        moved.rounds = {each.address: each.rounds for each in moved.ledger.moves(DOMAIN)}
        rig.call("migrate", "cutover", DOMAIN)
        yield moved
        moved.close()


INBOX = "(SELECT id FROM mailbox WHERE account_id = ?1 AND name = 'INBOX')"


@pytest.fixture(scope="module")
def spoiled(there: Moved, users: list[str]) -> dict[str, str]:
    """Accounts by what was done to them behind the store's back, while nobody served."""
    done = dict(zip(("octet", "flag", "numbers"), users[1:4], strict=True))
    there.rig.stop()
    there.tamper(done["flag"], f"UPDATE message SET flagset = 0 WHERE uid = 8 AND mailbox_id = {INBOX}")
    user = done["numbers"]
    there.tamper(user, f"UPDATE rendering SET id = id - 5 WHERE id = 8 + 4294967296 * {INBOX}")
    there.tamper(user, f"UPDATE message SET uid = 3 WHERE uid = 8 AND mailbox_id = {INBOX}")
    there.tamper(user, f"DELETE FROM message WHERE uid = 5 AND mailbox_id = {INBOX}")
    there.tamper(
        user, f"UPDATE message SET internaldate = internaldate + 1 WHERE uid = 6 AND mailbox_id = {INBOX}"
    )
    there.tamper(
        user, "UPDATE mailbox SET uidvalidity = uidvalidity + 1 WHERE account_id = ?1 AND name = 'Empty'"
    )
    there.rig.start()
    return done


def logged_in(there: Moved, user: str) -> IMAPClient:
    imap = IMAPClient("127.0.0.1", there.rig.ports["imap"], ssl=False, timeout=30)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    imap.starttls(context)
    imap.login(user, PASSWORD)
    return imap


def test_a_domain_is_certified_and_checked_elsewhere(there: Moved, users: list[str], tmp_path: Path) -> None:
    rig = there.rig
    page, file, key = tmp_path / "page.html", tmp_path / "certificate.json", tmp_path / "key.pem"
    text = rig.call("migrate", "report", DOMAIN, "--json", "--html", str(page))
    file.write_text(text)
    signed = json.loads(text)
    content = signed["certificate"]
    assert (content["grade"], content["approved"]) == ("Perfect", True), [
        each["findings"] for each in content["accounts"]
    ]
    assert document.may_close(there.platform, DOMAIN) is None
    assert content["totals"]["moved"] == len(content["accounts"]) == len(users)
    assert content["totals"]["compared"] == content["totals"]["messages"]
    large = next(each for each in content["accounts"] if each["address"] == users[0])
    inbox = next(each for each in large["mailboxes"] if each["name"] == "INBOX")
    assert (inbox["messages"], inbox["compared"], inbox["read"]) == (LARGE - 1,) * 3
    assert inbox["source_root"] == inbox["common_root"] == inbox["target_root"]
    assert content["source_root"] == content["target_root"]
    assert large["resample"]["whole"]
    assert large["resample"]["messages"] == LARGE
    assert large["pop3"]["out_of_order"] == large["pop3"]["only_target"] == 0
    assert {each["name"]: each["subscribed"] for each in large["mailboxes"]}["Grüße & mehr"]
    assert "Grüße &amp; mehr" in page.read_text()
    # Elsewhere: no configuration, no database.
    key.write_text(rig.call("migrate", "report", "--show-key"))
    assert main(["migrate", "report", "--check", str(file), "--public-key", str(key)]) == 0
    rig.call("migrate", "report", "--check", str(file))
    file.write_text(text.replace('"Perfect"', '"Good"', 1))
    with pytest.raises(RuntimeError, match=r"exit status 1: mailplat: the signature is wrong[^\n]*\n$"):
        rig.call("migrate", "report", "--check", str(file))


def test_digests_that_were_not_taken_are_taken_from_the_source(there: Moved, users: list[str]) -> None:
    """Moved forward again after a rollback: what came in between was never copied."""
    move = there.move(users[0])
    with there.platform.database.write() as connection:
        gone = connection.execute(tables.digest.delete().where(tables.digest.c.account_id == move.account_id))
        assert gone.rowcount > 0
    content = there.gather(users[0])
    assert (content["grade"], content["digests_late"]) == ("Perfect", LARGE)


def test_a_source_that_is_gone_was_compared_before(
    there: Moved, users: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = there.platform.directory.backend
    monkeypatch.setattr(
        there.platform.directory, "backend", lambda name: replace(backend(name), imap="127.0.0.1:1")
    )
    content = there.gather(users[0])
    assert content["grade"] == "Good"
    assert "127.0.0.1:1" in content["resample"]["reason"]
    assert content["findings"][0]["text"] == "the source could not be read once more after the move"


def test_octets_that_the_source_changes_and_another_order_of_uidls_are_found(
    there: Moved, dovecot: Dovecot, users: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Research, failure mode 21: POP clients would notice another order."""
    first = next(
        iter(
            digests.read(
                there.platform.database,
                there.move(users[0]).account_id,
                "INBOX",
                uidvalidity(there, users[0]),
            )
        )
    )

    async def other_order(*arguments: object) -> list[tuple[str, int]]:
        listed = await read_uidls(*arguments)  # type: ignore[arg-type]
        return [listed[1], listed[0], *listed[2:]]

    monkeypatch.setattr(resample, "read_uidls", other_order)
    monkeypatch.setattr(resample, "sha256_of", lambda body: bytes(32))
    texts = there.texts(users[0])
    assert ("Investigate", "POP3 lists 2 messages in another order than the source") in texts
    assert ("Investigate", f"UID {first.uid}: the source gives other octets than when it was copied") in texts


def test_of_an_account_that_cannot_be_read_nothing_is_claimed(
    there: Moved, users: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_listener", lambda platform: ("127.0.0.1", 1, False))
    content = there.gather(users[0])
    assert (content["grade"], content["read"]) == ("Investigate", False)
    assert {each["read"] for each in content["mailboxes"]} == {0}
    reason = document.may_close(there.platform, DOMAIN)
    assert reason is not None
    assert "could not be read over our own IMAP server" in reason
    monkeypatch.undo()
    assert there.gather(users[0])["grade"] == "Perfect"


def test_what_others_share_with_a_user_is_not_his(there: Moved, users: list[str]) -> None:
    with logged_in(there, users[4]) as imap:
        imap.setacl("INBOX", users[0], "lr")
    with logged_in(there, users[0]) as imap:
        assert any(name.startswith("user/") for _, _, name in imap.list_folders())
    content = there.gather(users[0])
    assert content["grade"] == "Perfect"
    assert {each["name"] for each in content["mailboxes"]} == {"INBOX", "Empty", "Grüße & mehr"}


def uidvalidity(there: Moved, user: str) -> int:
    _, numbers = manifest.numbers(there.platform.database, there.move(user).account_id)
    return next(each.uidvalidity for each in numbers if each.mailbox == "INBOX")


def test_a_run_on_an_unchanged_pair_reports_zero_operations(there: Moved, users: list[str]) -> None:
    """Rounds before the cutover that find nothing leave no row; that of the fence and the sweep find nothing."""
    for move in there.ledger.moves(DOMAIN):
        behind = there.ledger.rounds(move.account_id)[there.rounds[move.address] :]
        assert {each.kind for each in behind} <= {"fence", "sweep"}
        assert [each.operations for each in behind] == [0] * len(behind)
    first, second = there.gather(users[0]), there.gather(users[0])
    assert first == second


def test_one_changed_octet_on_the_target_is_found(there: Moved, spoiled: dict[str, str]) -> None:
    user = spoiled["octet"]
    before = there.gather(user)
    (file,) = (path for path in there.files(user) if b"line 7 of the letter" in path.read_bytes())
    file.chmod(0o600)
    file.write_bytes(file.read_bytes().replace(b"line 7", b"Line 7", 1))
    after = there.gather(user)
    (found,) = after["findings"]
    assert (found["grade"], after["grade"]) == ("Poor", "Poor")
    assert "UID 8: its octets differ" in found["text"]
    assert after["target_root"] != before["target_root"]
    assert after["source_root"] == before["source_root"]
    assert "nobody can approve" in (document.may_close(there.platform, DOMAIN) or "")


def test_a_lost_flag_is_found(there: Moved, spoiled: dict[str, str]) -> None:
    assert there.texts(spoiled["flag"]) == [
        ("Investigate", "UID 8: flags ['\\\\seen'] are lost, [] were not there")
    ]


def test_a_renumbered_uid_is_found(there: Moved, spoiled: dict[str, str]) -> None:
    texts = there.texts(spoiled["numbers"])
    assert ("Poor", "UID 8 of the source has UID 3 here") in texts
    assert ("Poor", "UID 8: is not here, and was not expunged since the commit") in texts


def test_a_lost_message_another_date_and_another_uidvalidity_are_found(
    there: Moved, spoiled: dict[str, str]
) -> None:
    texts = there.texts(spoiled["numbers"])
    assert ("Poor", "UID 5: is not here, and was not expunged since the commit") in texts
    lost = "is another mailbox, with another UIDVALIDITY, since the commit; 0 messages were in it"
    assert ("Investigate", lost) in texts
    assert any(grade == "Investigate" and text.startswith("UID 6: INTERNALDATE") for grade, text in texts)


def test_what_its_owner_did_since_is_no_difference(there: Moved, users: list[str]) -> None:
    user = users[4]
    with logged_in(there, user) as imap:
        imap.select_folder("INBOX")
        imap.add_flags([2], [b"\\Answered"])
        imap.delete_messages([4])
        imap.expunge()
        imap.append("INBOX", b"Subject: new\r\n\r\nnew\r\n")
        imap.rename_folder("Grüße & mehr", "Grüße")
    content = there.gather(user)
    inbox = next(each for each in content["mailboxes"] if each["name"] == "INBOX")
    assert (inbox["changed_since"], inbox["expunged_since"], inbox["messages"]) == (1, 1, LETTERS - 1)
    assert content["grade"] == "Good"
    assert "was renamed to 'Grüße' since the commit" in [each["text"] for each in content["findings"]]
    assert inbox["target_root"] == inbox["common_root"] != inbox["source_root"]


def test_approvals_list_items_and_never_a_poor_one(there: Moved, spoiled: dict[str, str]) -> None:
    rig = there.rig
    rig.call("migrate", "report", DOMAIN)
    signed = document.last(there.platform.database, DOMAIN)
    assert signed is not None
    found = document.findings_of(signed["certificate"])
    poor = next(each for each in found if each.grade.label == "Poor")
    asked = [each for each in found if each.grade.label == "Investigate"]
    assert asked
    with pytest.raises(RuntimeError, match=r"exit status 2: .* is Poor, which nobody can approve"):
        rig.call("migrate", "approve", DOMAIN, "--item", poor.item, "--reason", "it is late")
    with pytest.raises(RuntimeError, match="exit status 3"):
        rig.call("migrate", "approve", DOMAIN, "--item", "0", "--reason", "x")
    words = [word for each in asked for word in ("--item", each.item)]
    rig.call("migrate", "approve", DOMAIN, *words, "--reason", "the user agrees", "--by", "Ada Lovelace")
    content = json.loads(rig.call("migrate", "report", DOMAIN, "--json"))["certificate"]
    assert {each["item"] for each in content["approvals"]} == {each.item for each in asked}
    assert content["approvals"][0]["by"].startswith("Ada Lovelace (by ")
    assert (content["grade"], content["approved"]) == ("Poor", False)
    (line,) = there.platform.audit.entries(action="migrate.approve")
    assert sorted(line.after["items"]) == sorted(each.item for each in asked)


def test_a_crash_before_the_commit_leaves_the_manifest_of_the_fence_that_commits(
    there: Moved, users: list[str]
) -> None:
    move = there.move(users[0])
    epoch, numbers = manifest.numbers(there.platform.database, move.account_id)
    assert epoch + 1 == move.route.epoch
    assert [each.mailbox for each in numbers] == sorted(["INBOX", "Empty", "Grüße & mehr"], key=str.encode)
