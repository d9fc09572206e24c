"""Modified UTF-7: one spelling of each name, in both directions."""

from mailplat.wire.imap import mutf7
from mailplat.wire.imap.errors import BadSyntax

MODULES = ("mailplat/wire/imap/mutf7.py",)
LONGEST = 600
WORDS = (
    b"&",
    b"-",
    b"&-",
    b"&AOQ-",
    b"&2D3cAA-",
    b"&AOQA5A-",
    b",",
    b"/",
    b"\xc3\xa4",
    b"\xf0\x9f\x93\xa7",
    b"~",
    b"\xed\xa0\xbd",
)
SEEDS = (b"INBOX/&AOQ-x", b"a&-b", b"&2D3cAA-", b"Entw\xc3\xbcrfe \xf0\x9f\x93\xa7")


def run(octets: bytes) -> None:
    try:
        assert mutf7.encode(mutf7.decode(octets)) == octets
    except BadSyntax:
        pass
    name = octets.decode("utf-8", "surrogatepass") if _is_text(octets) else octets.decode("latin-1")
    try:
        encoded = mutf7.encode(name)
    except BadSyntax:
        return
    assert mutf7.decode(encoded) == name


def _is_text(octets: bytes) -> bool:
    try:
        octets.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
