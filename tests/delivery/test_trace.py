from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.spool import Body
from mailplat.delivery.trace import header_block, relay_field, relayed_to, return_path


def test_return_path() -> None:
    assert return_path(NULL_SENDER) == b"Return-Path: <>\r\n"
    assert return_path(Address("a b", "example.org")) == b'Return-Path: <"a b"@example.org>\r\n'
    assert return_path(Address("zoë", "example.org")) == "Return-Path: <zoë@example.org>\r\n".encode()


def test_our_own_mark_is_found_and_nobody_elses() -> None:
    head = relay_field("mx.example.org", "old") + relay_field("mx2.example.org", "older")
    assert relayed_to(
        Body.of(b"Received: x\r\n" + head + b"Subject: y\r\n\r\nbody\r\n"), "MX.example.org"
    ) == {"old"}


def test_a_mark_in_the_body_or_inside_another_field_is_none() -> None:
    mark = relay_field("mx", "old")
    assert relayed_to(Body.of(b"Subject: x\r\n\r\n" + mark), "mx") == frozenset()
    assert relayed_to(Body.of(b"\r\n" + mark), "mx") == frozenset()
    assert relayed_to(Body.of(b"Subject: x\r\n " + mark + b"\r\n"), "mx") == frozenset()


def test_a_mark_that_was_folded_on_its_way() -> None:
    assert relayed_to(Body.of(b"x-MAILPLAT-relay: mx;\r\n\told\r\n\r\n"), "mx") == {"old"}


def test_header_block() -> None:
    assert header_block(Body.of(b"A: b\r\n\r\nbody")) == b"A: b\r\n\r\n"
    assert header_block(Body.of(b"no end")) == b"no end"
    assert header_block(Body.of(b"\r\nbody")) == b""
    assert header_block(Body.of(b"")) == b""
