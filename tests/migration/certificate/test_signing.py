"""A certificate that was changed anywhere, or signed by anybody else, is not genuine."""

import base64
import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from migration.certificate import signing
from migration.certificate.signing import NotGenuine, canonical, check, key_id, sign

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CONTENT: dict[str, Any] = {
    "format": signing.FORMAT,
    "version": signing.VERSION,
    "domain": "moving.test",
    "grade": "Perfect",
    "accounts": [{"address": "grüße@moving.test", "messages": 3, "read_at": None, "ok": True}],
}


def octets(document: Any) -> bytes:
    return json.dumps(document).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every single value."""
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, name))
    else:
        yield path


def test_what_was_signed_is_genuine_however_it_is_laid_out() -> None:
    signed = sign(CONTENT, KEY)
    for text in (octets(signed), json.dumps(signed, indent=4, ensure_ascii=False).encode()):
        assert check(text, KEY.public_key()) == CONTENT
    assert check(octets({"moves": [], **signed}), KEY.public_key()) == CONTENT


@pytest.mark.parametrize("path", list(places(CONTENT)), ids=str)
def test_any_changed_value_is_found(path: tuple[Any, ...]) -> None:
    signed = copy.deepcopy(sign(CONTENT, KEY))
    inner = signed["certificate"]
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = "another"
    with pytest.raises(NotGenuine, match="the signature is wrong"):
        check(octets(signed), KEY.public_key())


def test_any_lost_or_added_member_is_found() -> None:
    for change in (lambda c: c.pop("grade"), lambda c: c.update(more=1), lambda c: c["accounts"].append({})):
        signed = copy.deepcopy(sign(CONTENT, KEY))
        change(signed["certificate"])
        with pytest.raises(NotGenuine, match="the signature is wrong"):
            check(octets(signed), KEY.public_key())


def test_the_key_that_a_certificate_brings_along_proves_nothing() -> None:
    forged = sign({**CONTENT, "grade": "Good"}, Ed25519PrivateKey.generate())
    with pytest.raises(NotGenuine, match="which is not the trusted"):
        check(octets(forged), KEY.public_key())
    forged["signature"]["key"] = key_id(KEY.public_key())
    with pytest.raises(NotGenuine, match="the signature is wrong"):
        check(octets(forged), KEY.public_key())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"certificate": 1.5, "signature": {"algorithm": "Ed25519", "key": "", "value": ""}}',
        b'{"certificate": {"a": 1, "a": 2}, "signature": {}}',
        b'{"certificate": {}, "signature": {"algorithm": "Ed25519", "key": "", "value": "%"}}',
        b'{"certificate": "\\ud800", "signature": {"algorithm": "Ed25519", "key": "", "value": ""}}',
    ],
)
def test_what_is_no_certificate_is_said_in_one_line(text: bytes) -> None:
    with pytest.raises(NotGenuine, match="this is no certificate") as caught:
        check(text, KEY.public_key())
    assert "\n" not in str(caught.value)


def test_a_signed_something_else_is_no_certificate() -> None:
    with pytest.raises(NotGenuine, match="signed, but no"):
        check(octets(sign({**CONTENT, "version": 2}, KEY)), KEY.public_key())
    other = sign(CONTENT, KEY)
    other["signature"]["algorithm"] = "none"
    with pytest.raises(NotGenuine, match="only Ed25519"):
        check(octets(other), KEY.public_key())


numbers = st.integers(-(2**53) + 1, 2**53 - 1)
single = st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]))
names = st.text("abAB_", max_size=3)


@given(
    st.recursive(
        single, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
    )
)
def test_the_canonical_form_says_the_same_and_is_its_own(value: Any) -> None:
    once = canonical(value)
    assert json.loads(once) == value
    assert canonical(json.loads(once)) == once


@pytest.mark.parametrize("value", [1.5, 2**53, {"ü": 1}, {1: 2}, {1, 2}, "\ud800"])
def test_what_has_no_canonical_form_is_not_signed(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical(value)


@pytest.mark.parametrize("text", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_said(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="no public key"):
        signing.load_pem(text)


@pytest.mark.interop
def test_openssl_and_jq_check_one_as_the_page_says(tmp_path: Path) -> None:
    """docs/certificate.md, "With other tools"."""
    for program in ("openssl", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    signed = sign(CONTENT, KEY)
    (tmp_path / "certificate.json").write_text(json.dumps(signed, indent=2))
    (tmp_path / "key.pem").write_text(signing.pem(KEY.public_key()))
    script = """
        jq -cjS .certificate certificate.json > signed
        jq -r .signature.value certificate.json | base64 -d > signature
        openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in signed -sigfile signature
    """
    done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Signature Verified Successfully" in done.stdout, done.stderr
    assert (tmp_path / "signed").read_bytes() == canonical(CONTENT)
    (tmp_path / "certificate.json").write_text(json.dumps(signed).replace("Perfect", "Good"))
    assert subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, check=False).returncode
    assert base64.b64decode(signed["signature"]["public_key"]) == KEY.public_key().public_bytes_raw()
