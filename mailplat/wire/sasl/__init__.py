"""SASL (RFC 4422), the server's side, without I/O.

    exchange    what a mechanism asks its door for, and what comes of it
    plain       PLAIN (RFC 4616) and LOGIN
    scram       SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677)
    prep        SASLprep (RFC 4013)
    oauth       OAUTHBEARER (RFC 7628) and XOAUTH2

A mechanism is a generator: it yields Challenge, FindKeys or CheckToken, is sent what was asked for, and returns a
Plain or a Proven. It raises InvalidInput for what it does not understand, whose text says nothing of the content, and
Rejected for a proof or a token that is wrong. Lines, their limits, base64 and the client's `*` are the door's.
"""

from mailplat.wire.sasl.exchange import Challenge, CheckToken, Exchange, FindKeys, Proven, Rejected
from mailplat.wire.sasl.oauth import oauthbearer, xoauth2
from mailplat.wire.sasl.plain import MAX_PART, Plain, decode_base64, decode_plain, login, plain
from mailplat.wire.sasl.scram import ScramKeys, derive_keys, scram

__all__ = [
    "MAX_PART",
    "Challenge",
    "CheckToken",
    "Exchange",
    "FindKeys",
    "Plain",
    "Proven",
    "Rejected",
    "ScramKeys",
    "decode_base64",
    "decode_plain",
    "derive_keys",
    "login",
    "oauthbearer",
    "plain",
    "scram",
    "xoauth2",
]
