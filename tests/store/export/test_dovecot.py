"""Dovecot's files, one by one."""

from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.directory.credentials import SCHEMES
from mailplat.store.export import Owner
from mailplat.store.export.formats.dovecot import logins, names
from mailplat.store.export.formats.dovecot.maildir import uid_set
from mailplat.store.export.formats.dovecot.settings import SpecialUses, text


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("INBOX", ""),
        ("INBOX/a", ".INBOX.a"),
        ("Work/2026", ".Work.2026"),
        ("a.b/c.d", ".a\\2eb.c\\2ed"),
        ("back\\slash", ".back\\5cslash"),
        ("~a/~b/c~", ".\\7ea.\\7eb.c~"),
        ("Entwürfe", ".Entw&APw-rfe"),
        ("R&D", ".R&-D"),
        (".dot", ".\\2edot"),
    ],
)
def test_folders_of_mailboxes(name: str, folder: str) -> None:
    assert names.mailbox_folder(name) == folder


def test_subscriptions() -> None:
    assert names.subscriptions_file(["INBOX", "a.b/Ü"]) == b"V\t2\n\nINBOX\na\\2eb\t&ANw-\n"


def test_a_substitute_is_nobody_elses() -> None:
    assert names.substitute(7, {".mailplat-7", ".mailplat-7x"}) == "mailplat-7xx"


def test_sets_of_uids() -> None:
    assert uid_set([1, 2, 3, 7, 9, 10]) == "1:3,7,9:10"


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ("{SHA512-CRYPT}$6$salt$hash", "{SHA512-CRYPT}$6$salt$hash"),
        ("{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=4$a$b", "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=4$a$b"),
        ("{PLAIN}with:colon", "{PLAIN.b64}d2l0aDpjb2xvbg=="),
        ("{PLAIN}with space", "{PLAIN.b64}d2l0aCBzcGFjZQ=="),
        ("{PLAIN}ä\nroot::0:0", "{PLAIN.b64}w6QKcm9vdDo6MDow"),
        ("", logins.LOCKED),
        ("{PLAIN}", logins.LOCKED),
        ("untagged", logins.LOCKED),
    ],
)
def test_hashes(stored: str, field: str) -> None:
    assert logins.password_field(stored) == field


def test_every_scheme_of_ours_is_known_to_dovecot() -> None:
    assert set(SCHEMES) - logins.SCHEMES == {"NTLM", "LANMAN"}, "of Windows; named in the remarks"


def test_lines_of_passwd() -> None:
    ann = Address("Ann", "example.test")
    assert logins.line(Owner(1, ann, "{SSHA}x"), "") == "ann@example.test:{SSHA}x::::::\n"
    brien = Owner(1, Address("o'brien", "example.test"), "{SSHA}x")
    assert logins.line(brien, "") == "o\\'brien@example.test:{SSHA}x::::::\n"
    off = Owner(1, ann, "{SSHA}x", quota=5, active=False)
    wanted = "ann@example.test:{SSHA}x::::/home/x::nologin userdb_quota_rule=*:bytes=5\n"
    assert logins.line(off, "/home/x") == wanted


def test_a_special_use_is_what_most_accounts_say() -> None:
    uses = SpecialUses()
    uses.add("ann", {"INBOX": "", "Sent": "\\Sent", 'a"b': "\\Junk", "Old": "\\Archive"})
    uses.add("bob", {"INBOX": "", "Sent": "\\Sent", "Old": ""})
    uses.add("eve", {"Sent": "\\Drafts", "x": "} passdb {"})
    assert uses.chosen() == {"Old": "\\Archive", "Sent": "\\Sent"}
    assert [(note.account, note.mailbox) for note in uses.remarks()] == [
        ("ann", 'a"b'),
        ("bob", "Old"),
        ("eve", "Sent"),
        ("eve", "x"),
    ]
    assert '  mailbox "Sent" {\n    special_use = \\Sent\n  }\n' in uses.section()


def test_root_serves_nobody() -> None:
    settings = text(Path("/srv/out"), (0, 0), SpecialUses(), set()).decode()
    assert "\n#mail_uid = vmail\n" in settings
    settings = text(Path("/srv/out"), (996, 995), SpecialUses(), {"+", "'"}).decode()
    assert "\nmail_uid = 996\nmail_gid = 995\nfirst_valid_uid = 996\n" in settings
    assert f'auth_username_chars = "{logins.DEFAULT_CHARACTERS}\'+"\n' in settings
