"""The page for people: nothing that a sender or user chose becomes markup, and nothing is fetched from anywhere."""

import copy
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from migration.certificate import page, signing

MAILBOX: dict[str, Any] = {
    "name": "INBOX",
    "grade": "Perfect",
    "uidvalidity": 7,
    "messages": 1234,
    "octets": 99,
    "compared": 1234,
    "target": {"uidvalidity": 7, "uidnext": 5, "highestmodseq": "9"},
    "target_root": "ab" * 32,
}
ACCOUNT: dict[str, Any] = {
    "address": "ada@moving.test",
    "grade": "Investigate",
    "source": {"backend": "old", "identity": {"imap": "192.0.2.1:143"}},
    "target": {"home": "shard:s1"},
    "epoch": 7,
    "began": None,
    "moved": "2026-11-26T12:00:00.000+00:00",
    "read_at": "2026-11-26T12:05:00.000+00:00",
    "fence": {"total_ms": 420, "phases_ms": {"delta": 80}, "aborts": 0},
    "held": {"messages": 0, "longest_ms": 0},
    "resample": {"messages": 3, "whole": True, "reason": "no answer"},
    "pop3": {"compared": True, "target": 4, "out_of_order": 0},
    "scripts": {
        "source": "managesieve",
        "unread": "",
        "active": "main",
        "scripts": [{"name": "main", "octets": 5, "sha256": "ab"}],
        "left": [],
    },
    "shared": {"source": "imap", "unread": "", "mailboxes": [], "left": []},
    "vacation_answers": None,
    "credential": "BCRYPT",
    "strays": 0,
    "late_flags": 0,
    "throttled": 0,
    "findings": [{"grade": "Investigate", "where": "ada@moving.test", "text": "UID 1", "item": "0123"}],
    "more_findings": 2,
    "mailboxes": [MAILBOX],
    "rounds": [
        {"kind": "copy", "at": "now", "ms": 1, "added": 1, "changed": 0, "gone": 0, "octets": 1},
    ],
}
CONTENT: dict[str, Any] = {
    "domain": "moving.test",
    "issued": "2026-11-26T12:06:00.000+00:00",
    "actor": "root",
    "platform": {"hostname": "mx.test", "release": "1"},
    "grade": "Investigate",
    "approved": False,
    "totals": dict.fromkeys(
        ("accounts", "moved", "messages", "octets", "compared", "changed_since", "expunged_since"), 1
    )
    | {"fence_longest_ms": None},
    "source_root": "cd" * 32,
    "target_root": "cd" * 32,
    "approvals": [{"item": "0123", "text": "UID 1", "by": "ada", "reason": "because", "at": "now"}],
    "accounts": [ACCOUNT],
}
SIGNED = signing.sign(CONTENT, Ed25519PrivateKey.generate())
HOSTILE = "\"'><script src=https://evil.test/x></script><img src=x onerror=y>\u202e&lt;\x00"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(each, (*path, name))


@pytest.mark.parametrize("path", list(texts(SIGNED)), ids=str)
def test_no_value_becomes_markup(path: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(SIGNED)
    inner: Any = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = HOSTILE
    text = page.render(changed)
    assert Tags(text).found == Tags(page.render(SIGNED)).found
    assert "\u202e" not in text
    assert "\x00" not in text


def test_nothing_is_fetched_and_both_lights_are_served() -> None:
    text = page.render(SIGNED)
    tags = {tag for tag, _ in Tags(text).found}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "a", "base"}
    assert not re.search(r"https?:|url\(|@import|\son\w+=", text)
    assert "default-src 'none'" in text
    assert "color-scheme:light dark" in text
    assert "prefers-color-scheme:dark" in text
    assert "1\N{NARROW NO-BREAK SPACE}234" in text
    assert "and 2 more" in text
