"""ingress/trace.py: the Received field."""

from email import message_from_bytes, policy

import pytest

from mailplat.core.address import Address
from mailplat.core.envelope import Peer
from mailplat.ingress.trace import new_id, presentable, protocol_name, received_field

ANNA = Address("anna", "example.org")
NOW = 1_700_000_000.0


def test_a_plain_field() -> None:
    peer = Peer("192.0.2.7", 4711, "client.example", esmtp=True)
    assert received_field(peer, "mx.example.org", "ESMTP", "id1", ANNA, NOW) == (
        b"Received: from client.example ([192.0.2.7])\r\n\tby mx.example.org with ESMTP\r\n\tid id1\r\n"
        b"\tfor <anna@example.org>;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
    )


def test_tls_ipv6_and_no_recipient() -> None:
    peer = Peer("2001:db8::1", 1, "[IPv6:2001:db8::1]", esmtp=True, tls="TLSv1.3 TLS_AES_256_GCM_SHA384")
    field = received_field(peer, "mx.example.org", "ESMTPS", "id1", None, NOW)
    assert b"from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n" in field
    assert b"with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n" in field
    assert b"for" not in field


@pytest.mark.parametrize("helo", ["", "a_b", "x y", "(c)", "a;b", "-", "?", "a" * 300])
def test_a_helo_that_is_no_name_is_left_out(helo: str) -> None:
    field = received_field(Peer("192.0.2.7", 1, helo), "mx", "SMTP", "id1", None, NOW)
    assert field.startswith(b"Received: from [192.0.2.7] ([192.0.2.7])\r\n")


def test_a_unix_socket() -> None:
    assert b"from relay.example (localhost)\r\n" in received_field(
        Peer("", 0, "relay.example"), "mx", "LMTP", "id1", None, NOW
    )


@pytest.mark.parametrize(
    ("esmtp", "tls", "account", "lmtp", "utf8", "name"),
    [
        (False, "", "", False, False, "SMTP"),
        (True, "", "", False, False, "ESMTP"),
        (True, "TLSv1.3", "", False, False, "ESMTPS"),
        (True, "", "a", False, False, "ESMTPA"),
        (True, "TLSv1.3", "a", False, False, "ESMTPSA"),
        (True, "", "", False, True, "UTF8SMTP"),
        (True, "TLSv1.3", "a", False, True, "UTF8SMTPSA"),
        (True, "", "", True, False, "LMTP"),
        (True, "TLSv1.3", "", True, True, "UTF8LMTPS"),
    ],
)
def test_protocol_names(esmtp: bool, tls: str, account: str, lmtp: bool, utf8: bool, name: str) -> None:
    peer = Peer("192.0.2.7", 1, "c", esmtp, tls, account)
    assert protocol_name(peer, lmtp=lmtp, utf8=utf8) == name


def test_ids_sort_by_time_and_differ() -> None:
    assert new_id(NOW) != new_id(NOW)
    assert new_id(NOW) < new_id(NOW + 1) < new_id(NOW + 10_000_000_000)


def test_a_quoted_local_part_stays_quoted() -> None:
    field = received_field(Peer("192.0.2.7", 1, "c"), "mx", "ESMTP", "id1", Address("a>\\ b", "x.org"), NOW)
    assert b'\tfor <"a>\\\\ b"@x.org>;\r\n' in field


def test_the_standard_library_reads_it() -> None:
    octets = (
        received_field(Peer("192.0.2.7", 1, "c"), "mx", "ESMTP", "id1", ANNA, NOW) + b"Subject: x\r\n\r\n"
    )
    message = message_from_bytes(octets, policy=policy.default)
    assert not message.defects
    assert list(message) == ["Received", "Subject"]


def test_presentable() -> None:
    assert presentable(b"client.example", 255) == "client.example"
    assert presentable(b"a\r\nb c\x1b\xff\x7f", 255) == "a??b?c???"
    assert presentable(b"a" * 300, 255) == "a" * 255
