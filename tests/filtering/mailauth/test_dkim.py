import base64
import re
import tracemalloc
from pathlib import Path

import dkim
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.core.executors import Executors
from mailplat.core.spool import Body
from mailplat.filtering.answer import Answer
from mailplat.filtering.mailauth.dkim import MAX_SIGNATURES, DkimResult, verify
from mailplat.filtering.verdict import Transaction
from mailplat.filtering.zone import Zone
from tests.filtering.mail import MESSAGE, NOW, crlf, key_record, pem, rsa_key, sign, transaction
from tests.shared import shared

KEY = key_record("s1", "sender.example")


async def check(message: bytes | Body, zone: str, executors: Executors, now: float = NOW) -> list[DkimResult]:
    seen: Transaction = transaction(message)
    return await verify(seen.header, seen.body, Zone(zone), executors, now)


async def one(message: bytes, zone: str, executors: Executors, now: float = NOW) -> DkimResult:
    (result,) = await check(message, zone, executors, now)
    return result


def retag(message: bytes, tag: bytes, value: bytes | None) -> bytes:
    """Change a tag of the topmost signature, or take it out."""
    field, rest = message.split(b"\r\nFrom:", 1)
    flat = re.sub(rb"\r\n[ \t]+", b" ", field)
    name, _, tags = flat.partition(b":")
    kept = [part for part in tags.split(b";") if part.partition(b"=")[0].strip() != tag]
    if value is not None:
        kept.append(b" " + tag + b"=" + value)
    return name + b":" + b";".join(kept) + b"\r\nFrom:" + rest


async def test_the_example_of_rfc_8463(executors: Executors) -> None:
    """One Ed25519 and one RSA signature; keys of its appendix A.2."""
    message = crlf(shared("vectors/mimekit/dkim/rfc8463-example.msg").read_bytes())
    zone = (
        "brisbane._domainkey.football.example.com. 60 IN TXT "
        '"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="\n'
        'test._domainkey.football.example.com. 60 IN TXT "v=DKIM1; k=rsa; '
        "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/"
        'J16JYi0Qvx/b" "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3I'
        'p3G+2kryOTIKT+l/K4w3QIDAQAB"\n'
    )
    results = await check(message, zone, executors)
    assert [(result.result, result.algorithm, result.selector) for result in results] == [
        ("pass", "ed25519-sha256", "brisbane"),
        ("pass", "rsa-sha256", "test"),
    ]
    for changed in (message.replace(b"hungry", b"angry"), message.replace(b"Is dinner", b"Was dinner")):
        assert [result.result for result in await check(changed, zone, executors)] == ["fail", "fail"]


def _pem_key(file: Path) -> str:
    text = "".join(line for line in file.read_text().splitlines() if not line.startswith("-"))
    return " ".join(f'"{piece}"' for piece in re.findall(".{1,250}", f"v=DKIM1; p={text}"))


@pytest.mark.parametrize("message", ["gmail.msg", "related.msg", "multipart-no-end-boundary.msg"])
async def test_messages_that_others_signed(message: str, executors: Executors) -> None:
    octets = crlf(shared(f"vectors/mimekit/dkim/{message}").read_bytes())
    zone = f"20120113._domainkey.gmail.com. 60 IN TXT {_pem_key(shared('vectors/mimekit/dkim/gmail.pub'))}\n"
    results = await check(octets, zone, executors)
    assert [result.result for result in results] == ["pass"]
    # ours and dkimpy's verdicts agree
    assert dkim.DKIM(octets).verify(dnsfunc=lambda name, timeout=0: _txt(zone))


def _txt(zone: str) -> bytes:
    return "".join(re.findall(r'"([^"]*)"', zone)).encode()


async def test_without_a_signature_nothing_is_asked(executors: Executors) -> None:
    class Nobody:
        async def query(self, name: str, type: str) -> Answer:
            raise AssertionError(name)

    seen = transaction()
    assert await verify(seen.header, seen.body, Nobody(), executors, NOW) == []


@pytest.mark.parametrize("header", [b"relaxed", b"simple"])
@pytest.mark.parametrize("body", [b"relaxed", b"simple"])
async def test_every_form(header: bytes, body: bytes, executors: Executors) -> None:
    message = MESSAGE + b"  two  spaces \r\n\r\n\r\n"
    signed = sign(message, canonicalize=(header, body))
    assert (await one(signed, KEY, executors)).result == "pass"
    assert (await one(signed + b"\r\n\r\n", KEY, executors)).result == "pass"
    respaced = await one(signed.replace(b"two  spaces ", b"two spaces"), KEY, executors)
    assert respaced.result == ("pass" if body == b"relaxed" else "fail")
    refolded = await one(signed.replace(b"Subject: dinner", b"SUBJECT:\r\n dinner"), KEY, executors)
    assert refolded.result == ("pass" if header == b"relaxed" else "fail")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    body=st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"word", b".", b"\xff"]), max_size=30).map(b"".join),
    subject=st.sampled_from([b"a", b" a  b ", b"a\r\n\tb", b"", b"\r\n b"]),
    header=st.sampled_from([b"relaxed", b"simple"]),
    form=st.sampled_from([b"relaxed", b"simple"]),
)
async def test_what_dkimpy_signs_we_verify(
    body: bytes, subject: bytes, header: bytes, form: bytes, executors: Executors
) -> None:
    message = b"From: a@sender.example\r\nSubject:" + subject + b"\r\n\r\n" + body
    signed = sign(message, canonicalize=(header, form), headers=(b"from", b"subject", b"from"))
    assert (await one(signed, KEY, executors)).result == "pass"


@pytest.mark.parametrize(
    ("zone", "result", "reason"),
    [
        ("", "permerror", "no key"),
        (";!servfail s1._domainkey.sender.example\n", "temperror", "key could not be fetched"),
        ('s1._domainkey.sender.example. 60 IN TXT "v=DKIM1; p="\n', "permerror", "key is revoked"),
        ('s1._domainkey.sender.example. 60 IN TXT "v=DKIM1"\n', "permerror", "key record has no p="),
        ('s1._domainkey.sender.example. 60 IN TXT "garbage"\n', "permerror", "key record is no tag list"),
        ('s1._domainkey.sender.example. 60 IN TXT "v=DKIM1; p=!!!"\n', "permerror", "key is not base64"),
        ('s1._domainkey.sender.example. 60 IN TXT "v=DKIM1; p=AAAA"\n', "permerror", "key is no RSA key"),
        (
            's1._domainkey.sender.example. 60 IN TXT "v=DKIM1; k=ed25519; p=AAAA"\n',
            "permerror",
            "key is no Ed25519 key",
        ),
        (
            's1._domainkey.sender.example. 60 IN TXT "v=DKIM1; k=dsa; p=AAAA"\n',
            "permerror",
            "key is of an unknown type",
        ),
        (
            's1._domainkey.sender.example. 60 IN TXT "v=DKIM2; p=AAAA"\n',
            "permerror",
            "key record has another version",
        ),
        (key_record("s1", "sender.example", "h=sha1; "), "permerror", "key is not for SHA-256"),
        (key_record("s1", "sender.example", "s=tlsrpt; "), "permerror", "key is not for mail"),
        (key_record("s1", "sender.example", "h=sha1:sha256; s=*; "), "pass", ""),
        (key_record("s1", "sender.example", "t=y; "), "pass", "key is in test mode"),
        (key_record("s1", "sender.example", number=1), "fail", "signature did not verify"),
        (
            's1._domainkey.sender.example. 60 IN TXT "v=DKIM1; k=ed25519; " '
            '"p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="\n',
            "permerror",
            "key is of another type than the signature",
        ),
        ('s1._domainkey.sender.example. 60 IN TXT "garbage"\n' + KEY, "pass", ""),
    ],
)
async def test_keys(zone: str, result: str, reason: str, executors: Executors) -> None:
    got = await one(sign(MESSAGE), zone, executors)
    assert (got.result, got.reason, got.domain) == (result, reason, "sender.example")


def _der(tag: int, content: bytes) -> bytes:
    """X.690 8.1: definite length, shortest form."""
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _der_integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


@pytest.mark.parametrize(
    ("bits", "result"), [(512, "fail"), (1023, "fail"), (1024, "fail"), (16384, "permerror")]
)
async def test_the_size_of_an_rsa_key(bits: int, result: str, executors: Executors) -> None:
    """RFC 8301 3.2. The key is made up; what counts is whether it is even tried."""
    der = _der(0x30, _der_integer((1 << bits - 1) | 1) + _der_integer(65537))
    text = f"v=DKIM1; p={base64.b64encode(der).decode()}"
    strings = " ".join(f'"{piece}"' for piece in re.findall(".{1,250}", text))
    got = await one(sign(MESSAGE), f"s1._domainkey.sender.example. 60 IN TXT {strings}\n", executors)
    if bits == 1024:
        assert (got.result, got.reason) == ("fail", "signature did not verify")
    else:
        assert got.result == result
        assert got.reason == f"RSA key of {bits} bits is too {'short' if bits < 1024 else 'long'}"


async def test_rsa_2048(executors: Executors) -> None:
    assert (
        await one(sign(MESSAGE, bits=2048), key_record("s1", "sender.example", bits=2048), executors)
    ).result == "pass"


async def test_l_never_passes(executors: Executors) -> None:
    """dkimpy lets a body with an appended advertisement pass."""
    signed = sign(MESSAGE, length=True)
    assert dkim.DKIM(signed + b"Buy!\r\n").verify(dnsfunc=lambda name, timeout=0: _txt(KEY))
    for message in (signed, signed + b"Buy!\r\n"):
        got = await one(message, KEY, executors)
        assert (got.result, got.domain) == ("policy", "sender.example")


async def test_sha1_fails(executors: Executors) -> None:
    signed = sign(MESSAGE, signature_algorithm=b"rsa-sha1")
    assert dkim.DKIM(signed).verify(dnsfunc=lambda name, timeout=0: _txt(KEY)), "dkimpy accepts it"
    got = await one(signed, KEY, executors)
    assert (got.result, got.reason) == ("fail", "rsa-sha1 is historic")


@pytest.mark.parametrize(
    ("tag", "value", "result", "reason"),
    [
        (b"x", b"1600000000", "fail", "signature has expired"),
        (b"x", b"9" * 5000, "permerror", "signature field is malformed"),
        (b"x", b"soon", "permerror", "signature field is malformed"),
        (b"a", b"rsa-md5", "permerror", "unknown algorithm"),
        (b"a", None, "permerror", "unknown algorithm"),
        (b"h", b"to:subject", "permerror", "From is not signed"),
        (b"h", b":".join([b"from"] + [b"x-%d" % n for n in range(250)]), "permerror", "h= is too long"),
        (b"h", None, "permerror", "signature field is malformed"),
        (b"b", None, "permerror", "signature field is malformed"),
        (b"b", b"*", "permerror", "signature field is malformed"),
        (b"bh", b"====", "permerror", "signature field is malformed"),
        (b"bh", b"AAAA", "fail", "body hash did not verify"),
        (b"c", b"relaxed/odd", "permerror", "signature field is malformed"),
        (b"c", b"a/b/c", "permerror", "signature field is malformed"),
        (b"v", b"2", "permerror", "signature field is malformed"),
        (b"q", b"http", "permerror", "signature field is malformed"),
        (b"i", b"@evil.example", "permerror", "signature field is malformed"),
        (b"i", b"sender.example", "permerror", "signature field is malformed"),
        (b"d", b"sender example", "permerror", "d= or s= is no domain name"),
        (b"s", b"s1._domainkey.evil.example.\0", "permerror", "d= or s= is no domain name"),
        (b"padding", b"a" * 9000, "permerror", "signature field is too long"),
    ],
)
async def test_broken_fields(
    tag: bytes, value: bytes | None, result: str, reason: str, executors: Executors
) -> None:
    message = sign(MESSAGE)
    if tag == b"d":
        message = retag(message, b"i", None)
    got = await one(retag(message, tag, value), KEY, executors)
    assert (got.result, got.reason) == (result, reason)


async def test_t_s_binds_i_to_d(executors: Executors) -> None:
    strict = key_record("s1", "sender.example", "t=s; ")
    signed = sign(MESSAGE, identity=b"joe@sub.sender.example")
    assert (await one(signed, KEY, executors)).result == "pass"
    got = await one(signed, strict, executors)
    assert (got.result, got.reason) == ("permerror", "key does not allow i= below d=")


async def test_a_field_added_on_top_breaks_the_signature_or_is_unsigned(executors: Executors) -> None:
    signed = sign(MESSAGE)
    assert (await one(b"From: boss@bank.example\r\n" + signed, KEY, executors)).result == "fail"
    assert (await one(b"From : boss@bank.example\r\n" + signed, KEY, executors)).result == "fail"
    assert (await one(b"X-Added: 1\r\n" + signed, KEY, executors)).result == "pass"


async def test_every_signature_is_checked_up_to_a_limit(executors: Executors) -> None:
    message = MESSAGE
    for number in range(MAX_SIGNATURES + 2):
        message = sign(message, selector=f"s{number}")
    zone = "".join(key_record(f"s{number}", "sender.example") for number in range(0, MAX_SIGNATURES + 2, 2))
    results = await check(message, zone, executors)
    assert [(result.selector, result.result) for result in results] == [
        ("s6", "pass"),
        ("s5", "permerror"),
        ("s4", "pass"),
        ("s3", "permerror"),
        ("s2", "pass"),
    ]


async def test_b_is_taken_out_wherever_it_stands(executors: Executors) -> None:
    """RFC 6376 3.7. Signed with b= last; moved to the front the field reads differently, so that it must fail, but a
    field that was signed with white space around b= must pass: so the tags stay as they were."""
    signed = sign(MESSAGE, canonicalize=(b"relaxed", b"relaxed"))
    field, rest = signed.split(b"\r\nFrom:", 1)
    spaced = re.sub(rb"b=(?!h)\s*", b"b=\r\n      ", field)
    assert (await one(spaced + b"\r\nFrom:" + rest, KEY, executors)).result == "pass"
    assert (await one(spaced + b"\r\n \r\nFrom:" + rest, KEY, executors)).result == "pass"


async def test_white_space_in_a_signature_costs_nothing(executors: Executors) -> None:
    """dkimpy's expression for taking out b= explodes on this; the field limit and the plain split do not."""
    field, rest = sign(MESSAGE).split(b"\r\nFrom:", 1)
    bombed = field + b"; z= b" + b"\r\n " * 2000 + b"!"
    assert (await one(bombed + b"\r\nFrom:" + rest, KEY, executors)).result == "fail"


async def test_a_large_body_is_hashed_in_little_memory(tmp_path: Path, executors: Executors) -> None:
    """50 MB cost < 5 MB."""
    line = b"0123456789 " * 90 + b"\r\n"
    block = line * 100
    count = 50_000_000 // len(block)
    signed = sign(MESSAGE + block * count)
    body = Body.create(tmp_path)
    for at in range(0, len(signed), 1 << 20):
        body.write(signed[at : at + (1 << 20)])
    assert body.size >= 50_000_000 - len(block)
    del signed
    tracemalloc.start()
    try:
        results = await check(body, KEY, executors)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        body.close()
    assert [result.result for result in results] == ["pass"]
    assert peak < 5_000_000


def test_the_test_keys_are_what_they_say() -> None:
    assert rsa_key().key_size == 1024
    assert pem(rsa_key()).startswith(b"-----BEGIN RSA")
