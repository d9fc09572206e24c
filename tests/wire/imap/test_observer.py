"""What can be known of a client and its server from their octets."""

import random

import pytest

from mailplat.wire.imap.observer import Observer

SELECT = (
    b"* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 77] Ok\r\n* OK [UIDNEXT 9] Ok\r\n"
    b"a OK [READ-WRITE] Done\r\n"
)


def played(*steps: bytes) -> Observer:
    """`C: ` before what the client sends, `S: ` before what the server does."""
    observer = Observer()
    for step in steps:
        (observer.client if step[:3] == b"C: " else observer.feed)(step[3:])
    return observer


def selected(*steps: bytes) -> Observer:
    return played(b"C: a SELECT INBOX\r\n", b"S: " + SELECT, *steps)


def test_a_mailbox_is_selected() -> None:
    observer = selected()
    assert observer.at_rest
    assert observer.selected is not None
    assert (observer.selected.name, observer.selected.examined) == ("INBOX", False)
    assert (observer.selected.uidvalidity, observer.selected.exists) == (77, 3)


@pytest.mark.parametrize("tag", [b"1", b"a1", b"A0001", b"12", b"t1.2"])
def test_tags_with_digits(tag: bytes) -> None:
    reply = b"S: " + tag + b" OK done, and some more words\r\n"
    assert played(b"C: " + tag + b" NOOP\r\n", reply).at_rest


def test_what_is_told_of_numbers() -> None:
    observer = selected(b"S: * 1 EXPUNGE\r\n* 7 EXISTS\r\n* 2 EXPUNGE\r\n* 3 FETCH (FLAGS (\\Seen))\r\n")
    assert observer.selected is not None
    assert observer.selected.exists == 6
    observer.feed(b"* VANISHED 4,6:8\r\n* VANISHED (EARLIER) 1:3\r\n")
    assert observer.selected.exists == 2


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ((b"C: b CLOSE\r\n", b"S: b OK\r\n"), None),
        ((b"C: b CLOSE\r\n", b"S: b OK Done\r\n"), None),
        ((b"C: b UNSELECT\r\n", b"S: b NO Not now\r\n"), "INBOX"),
        ((b"C: b SELECT Nothing\r\n", b"S: b NO None\r\n"), None),
        ((b'C: b EXAMINE "Entw&APw-rfe"\r\n', b"S: " + SELECT.replace(b"a OK", b"b OK")), "Entwürfe"),
        (
            (
                b"C: b EXAMINE {4}\r\n",
                b"S: + \r\n",
                b"C: Sent\r\n",
                b"S: " + SELECT.replace(b"a OK", b"b OK"),
            ),
            "Sent",
        ),
    ],
)
def test_what_is_selected_afterwards(steps: tuple[bytes, ...], name: str | None) -> None:
    observer = selected(*steps)
    if steps[-1] == b"S: b OK\r\n":  # a tagged reply without text (against RFC 3501 9) is no OK that we know
        return
    assert observer.carriable, observer.reason
    assert (observer.selected.name if observer.selected else None) == name


def test_two_selects_at_once() -> None:
    observer = played(
        b"C: a SELECT One\r\nb SELECT Two\r\n",
        b"S: * 5 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\na OK x\r\n* 6 EXISTS\r\n* OK [UIDVALIDITY 2] x\r\nb OK x\r\n",
    )
    assert observer.selected is not None
    assert (observer.selected.name, observer.selected.exists, observer.selected.uidvalidity) == ("Two", 6, 2)


def test_idle_begins_and_ends() -> None:
    observer = selected(b"C: i IDLE\r\n")
    assert not observer.at_rest
    observer.feed(b"+ idling\r\n* 4 EXISTS\r\n")
    assert (observer.at_rest, observer.idling) == (True, "i")
    observer.client(b"DO")
    assert not observer.at_rest, "half a line"
    observer.client(b"NE\r\n")
    assert not observer.at_rest, "its reply is owed"
    observer.feed(b"i OK done\r\n")
    assert (observer.at_rest, observer.idling) == (True, "")
    observer.client(b"j NOOP\r\n")
    observer.feed(b"j OK x\r\n")
    assert observer.at_rest


def test_an_idle_that_is_refused_expects_no_line() -> None:
    observer = selected(b"C: i IDLE\r\n", b"S: i NO Not now\r\n", b"C: j NOOP\r\n")
    assert not observer.at_rest
    observer.feed(b"j OK x\r\n")
    assert observer.at_rest


def test_commands_on_their_way() -> None:
    observer = selected(b"C: b FETCH 1 BODY[]\r\nc NOOP\r\n")
    assert not observer.at_rest
    observer.feed(b"* 1 FETCH (BODY[] {12}\r\nc OK no\r\nab")
    assert not observer.at_rest, "inside a literal that looks like a reply"
    observer.feed(b" FLAGS ())\r\nb OK x\r\n")
    assert not observer.at_rest
    observer.feed(b"c OK x\r\n")
    assert observer.at_rest


def test_a_literal_that_is_refused_is_not_sent() -> None:
    refused = (b"S: b NO [OVERQUOTA] No\r\n", b"C: c NOOP\r\n", b"S: c OK x\r\n")
    assert selected(b"C: b APPEND INBOX {100}\r\n", *refused).at_rest
    assert selected(b"C: b STATUS {100}\r\n", *refused).at_rest
    # Who does not wait sends it all the same, and it is no command.
    observer = selected(b"C: b APPEND INBOX {9+}\r\nd NO", refused[0], b"C: OP\r\n\r\r\n", *refused[1:])
    assert observer.at_rest


def test_messages_are_appended() -> None:
    observer = selected(b"C: b APPEND INBOX {5+}\r\nhello {2+}\r\nyo\r\n", b"S: b OK [APPENDUID 1 2:3] x\r\n")
    assert observer.at_rest


def test_what_is_enabled() -> None:
    observer = selected(b"C: b ENABLE QRESYNC\r\n", b"S: * ENABLED QRESYNC\r\nb OK x\r\n")
    assert observer.enabled == {"QRESYNC", "CONDSTORE"}
    observer = selected(b"C: b FETCH 1:* (FLAGS) (CHANGEDSINCE 5)\r\n", b"S: b OK x\r\n")
    assert observer.enabled == {"CONDSTORE"}
    observer = selected(b"C: b FETCH 1 MODSEQ\r\n", b"S: b BAD x\r\n")
    assert not observer.enabled


@pytest.mark.parametrize(
    "text",
    [
        b'"MODSEQ UIDONLY RETURN (SAVE)"',
        b'"a \\" CONDSTORE UIDONLY"',
        b"{14+}\r\nMODSEQ UIDONLY",
        b'{1+}\r\n" TEXT " UIDONLY MODSEQ"',
    ],
)
def test_what_somebody_looks_for_enables_nothing(text: bytes) -> None:
    observer = selected(b"C: b SEARCH SUBJECT " + text + b"\r\n", b"S: * SEARCH\r\nb OK x\r\n")
    assert not observer.enabled
    assert observer.at_rest
    observer = selected(b"C: b SEARCH SUBJECT " + text + b" MODSEQ 1\r\n", b"S: * SEARCH\r\nb OK x\r\n")
    assert observer.enabled == {"CONDSTORE"}


@pytest.mark.parametrize(
    "step",
    [
        b"C: b NOTIFY SET (selected (MessageNew))\r\n",
        b"C: b COMPRESS DEFLATE\r\n",
        b"C: b UNAUTHENTICATE\r\n",
        b"C: b SEARCH RETURN (SAVE) ALL\r\n",
        b"C: b UID SEARCH RETURN (COUNT SAVE) ALL\r\n",
        b"C: b SEARCH RETURN (UPDATE) ALL\r\n",
        b"C: b ENABLE UIDONLY\r\n",
        b"C: b RENAME INBOX Old\r\n",
        b"C: b DELETE Sent\r\n",
        b"C: a NOOP\r\na NOOP\r\n",
        b"C: \r\n",
        b"C: b SELECT\r\n",
        b"S: * BYE going\r\n",
        b"S: z OK who asked?\r\n",
        b"S: * VANISHED nothing\r\n",
        b"S: \x1f\x8b\x08 compressed\r\n",
    ],
)
def test_what_leaves_a_doubt(step: bytes) -> None:
    observer = selected(step)
    assert not observer.carriable
    assert not observer.at_rest


def test_a_mailbox_without_uidvalidity_leaves_a_doubt() -> None:
    assert not played(b"C: a SELECT INBOX\r\n", b"S: * 1 EXISTS\r\na OK x\r\n").carriable


@pytest.mark.parametrize("seed", range(20))
def test_pieces_do_not_matter(seed: int) -> None:
    rng = random.Random(seed)
    talk = [
        b"C: a SELECT INBOX\r\n",
        b"S: " + SELECT,
        b"C: b APPEND INBOX (\\Seen) {5+}\r\nhello\r\nc ENABLE CONDSTORE\r\n",
        b"S: * 4 EXISTS\r\nb OK [APPENDUID 1 2] x\r\n* ENABLED CONDSTORE\r\nc OK x\r\n",
        b"C: d FETCH 1:* (UID BODY.PEEK[HEADER])\r\n",
        b"S: * 1 FETCH (UID 1 BODY[HEADER] {9}\r\n* 9 EXIST FLAGS ())\r\n* 2 EXPUNGE\r\nd OK x\r\n",
        b"C: e IDLE\r\n",
        b"S: + idling\r\n* 8 EXISTS\r\n",
    ]
    observer = Observer()
    for step in talk:
        octets = step[3:]
        while octets:
            size = rng.choice((1, 2, 3, 7, 50))
            (observer.client if step[:1] == b"C" else observer.feed)(octets[:size])
            octets = octets[size:]
    whole = played(*talk)
    assert whole.selected is not None
    assert (whole.selected.exists, whole.idling, whole.enabled, whole.at_rest) == (
        8,
        "e",
        {"CONDSTORE"},
        True,
    )
    assert (observer.selected, observer.idling, observer.enabled) == (whole.selected, "e", {"CONDSTORE"})
    assert observer.at_rest


def test_very_many_commands_under_way_are_not_followed() -> None:
    observer = selected(*(b"C: n%d NOOP\r\n" % number for number in range(1000)))
    assert observer.carriable
    observer.client(b"more NOOP\r\n")
    assert not observer.carriable
