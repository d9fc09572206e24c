"""Hashes of other platforms, made by Dovecot's own tool, and by nobody else where that is not installed."""

import shutil
import subprocess

import pytest

from mailplat.directory.credentials import check_hash, is_outdated, verify_password
from mailplat.directory.schemes import MOST_ROUNDS, SCHEMES

ADDRESS = "anna@example.org"
PASSWORDS = ("secret", "Zoë ☃" + " lang" * 20)

# Those that differ in cost only are in test_credentials.py, as hashes made before.
SLOW = {"ARGON2I", "ARGON2ID", "BLF-CRYPT"}
ONCE = {"OTP"}  # each of its passwords opens once
NOT_ALL_OF_IT = {"DES-CRYPT", "CRYPT", "PLAIN-TRUNC"}  # 8 octets count; or the tool asks for more


def doveadm(*arguments: str) -> str:
    if shutil.which("doveadm") is None:
        pytest.skip("doveadm is not installed (Debian: dovecot-core)")
    done = subprocess.run(["doveadm", "pw", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_scheme_of_dovecot_is_known() -> None:
    assert set(doveadm("-l").split()) - ONCE <= set(SCHEMES)


@pytest.mark.interop
@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - SLOW - NOT_ALL_OF_IT - {"NTLM", "LANMAN"}))
@pytest.mark.parametrize("password", PASSWORDS, ids=["short", "long"])
def test_what_dovecot_makes_opens_for_its_password_alone(scheme: str, password: str) -> None:
    stored = doveadm("-s", scheme, "-p", password, "-u", ADDRESS)
    assert check_hash(stored) == stored
    assert verify_password(password, stored, ADDRESS), stored
    for wrong in ("", password + "x", password[:-1], password.upper(), stored.partition("}")[2]):
        if wrong != password:
            assert not verify_password(wrong, stored, ADDRESS), (wrong, stored)
    assert is_outdated(stored)


@pytest.mark.interop
@pytest.mark.parametrize(
    "scheme", ["SSHA.hex", "PLAIN-MD5.b64", "SHA256.HEX", "CRAM-MD5.b64", "PLAIN.b64", "PLAIN.hex"]
)
def test_encodings_that_are_said(scheme: str) -> None:
    stored = doveadm("-s", scheme, "-p", "secret", "-u", ADDRESS)
    assert check_hash(stored) == stored
    assert verify_password("secret", stored)
    assert not verify_password("Secret", stored)


def test_digest_md5_is_of_one_address() -> None:
    stored = doveadm("-s", "DIGEST-MD5", "-p", "secret", "-u", ADDRESS)
    assert verify_password("secret", stored, ADDRESS)
    assert not verify_password("secret", stored, "bert@example.org")


def test_windows() -> None:
    """MS-NLMP 4.2.2.1.2, and the LM hash of the same password."""
    assert verify_password("Password", "{NTLM}a4f49c406510bdcab6824ee7c30fd852")
    assert not verify_password("password", "{NTLM}a4f49c406510bdcab6824ee7c30fd852")
    assert verify_password("password", "{LANMAN}e52cac67419a9a224a3b108f3fa6cb6d")
    assert not verify_password("passwort", "{LANMAN}E52CAC67419A9A224A3B108F3FA6CB6D")


def test_only_so_much_of_the_password_counts() -> None:
    assert verify_password("geheimes", "{PLAIN-TRUNC}6-geheim")
    assert not verify_password("gehei", "{PLAIN-TRUNC}6-geheim")


@pytest.mark.parametrize(
    "stored",
    [
        "{SSHA}" + "5en6G6MezRroT3XKqkdPOmY/BfQ=",  # no salt
        "{SHA}xyz",
        "{SHA.zip}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee6",
        "{PBKDF2}$1$salt$0$e3d0e69abb588cf6ef2409fa03516fc39b8fd067",
        f"{{PBKDF2}}$1$salt${MOST_ROUNDS + 1}$e3d0e69abb588cf6ef2409fa03516fc39b8fd067",
        "{PBKDF2}$2$salt$1$e3d0e69abb588cf6ef2409fa03516fc39b8fd067",
        "{SCRAM-SHA-1}4096,!!!,vFrZ7z4WJ9kbePFI6Ao/2EZ8ygw=,15L0SlQRLTN5ZxgslMha6ebqg7U=",
        "{SCRAM-SHA-256}999999999,g6Gx/lOzbHfgvqG2Uvl+kw==,eA==,eA==",
        "{PLAIN-TRUNC}secret",
        "{OTP}sha1 1024 721d9587c9c977fb 38d1acd734d19031",
        "{CRAM-MD5}",
        "{NTLM}secret",
    ],
)
def test_what_is_no_hash_opens_for_nobody(stored: str) -> None:
    for password in ("secret", stored.partition("}")[2], "x"):
        assert not verify_password(password, stored, ADDRESS)
