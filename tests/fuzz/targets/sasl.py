"""SASL: whatever the client answers, InvalidInput, Rejected, or who it is."""

from mailplat.core.errors import InvalidInput
from mailplat.wire import sasl
from mailplat.wire.sasl.prep import saslprep

MODULES = ("mailplat/wire/sasl/",)
LONGEST = 3000
KEYS = sasl.derive_keys("pencil", b"salt", 1)

WORDS = (
    b"\n",
    b"\0",
    b"\x01",
    b"n,,",
    b"y,,",
    b"p=tls-server-end-point,,",
    b"n=user",
    b",r=nonce",
    b"c=biws",
    b",p=AAAA",
    b"=2C",
    b"=3D",
    b"a=user,",
    b"auth=Bearer tok\x01",
    b"user=anna\x01",
    b"host=x\x01port=1\x01",
    b"\x01\x01",
    b"\xc3\xa4",
    b"\xff",
    b"x" * 300,
    b"r=nonceNONCE",
)
SEEDS = (
    b"\x00\0anna\0secret",
    b"\x01anna\nsecret",
    b"\x02n,,n=anna,r=nonce\nc=biws,r=nonceNONCE,p=AAAA",
    b"\x03p=tls-server-end-point,,n=anna,r=nonce\nc=cD10bHM=,r=nonceNONCE,p=AAAA",
    b"\x04n,a=anna@b.c,\x01auth=Bearer tok\x01\x01",
    b"\x05user=anna@b.c\x01auth=Bearer tok\x01\x01",
    b"\x06p\xc3\xa4ss\xc2\xa0w",
)


def run(octets: bytes) -> None:
    choice, octets = octets[0] if octets else 0, octets[1:]
    bindings = {"tls-server-end-point": b"hash"} if choice & 8 else {}
    match choice % 7:
        case 0:
            exchange = sasl.plain()
        case 1:
            exchange = sasl.login()
        case 2:
            exchange = sasl.scram(bindings, nonce=lambda: "NONCE")
        case 3:
            exchange = sasl.scram({"tls-server-end-point": b"hash"}, plus=True, nonce=lambda: "NONCE")
        case 4:
            exchange = sasl.oauthbearer()
        case 5:
            exchange = sasl.xoauth2()
        case _:
            _prepare(octets)
            return
    _converse(exchange, octets.split(b"\n"), known=bool(choice & 16))


def _converse(exchange: sasl.Exchange, responses: list[bytes], *, known: bool) -> None:
    try:
        question = next(exchange)
        for _ in range(10):
            answer: object
            match question:
                case sasl.Challenge():
                    assert len(question.octets) < 4000
                    answer = responses.pop(0) if responses else b""
                case sasl.FindKeys():
                    answer = KEYS
                case sasl.CheckToken():
                    assert question.token.isascii()
                    answer = "anna@b.c" if known else None
            question = exchange.send(answer)
    except StopIteration as end:
        claim = end.value
    except (InvalidInput, sasl.Rejected):
        return
    else:
        raise AssertionError("an exchange that does not end")
    assert isinstance(claim, sasl.Plain | sasl.Proven)
    assert isinstance(claim, sasl.Plain) or known, "proven without a proof"


def _prepare(octets: bytes) -> None:
    try:
        sasl.decode_base64(octets)
        prepared = saslprep(octets.decode("utf-8"))
    except (InvalidInput, UnicodeDecodeError):
        return
    assert saslprep(prepared) == prepared
