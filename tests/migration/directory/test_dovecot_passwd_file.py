"""passwd-file against a Dovecot that reads the same, and what is not taken of it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.directory.credentials import verify_password
from migration.directory.entries import AccountEntry
from tests.dovecot import Dovecot
from tests.migration.directory.reading import DOMAIN, hashes, quotas, read, remarks

PASSWORD = "pass word"


@pytest.fixture(scope="module")
def passwd_file() -> str:
    """A user for each scheme that Dovecot's tool makes, and lines of every form."""
    if shutil.which("doveadm") is None:
        pytest.skip("doveadm is not installed (Debian: dovecot-core)")
    made: dict[str, str] = {}
    for scheme in ("SHA512-CRYPT", "SSHA256", "PLAIN-MD5", "CRAM-MD5", "DIGEST-MD5", "MD5-CRYPT", "SSHA.hex"):
        user = f"{scheme.lower()}@{DOMAIN}"
        done = subprocess.run(
            ["doveadm", "pw", "-s", scheme, "-p", PASSWORD, "-u", user],
            capture_output=True,
            text=True,
            check=True,
        )
        made[user] = done.stdout.strip()
    untagged = made[f"md5-crypt@{DOMAIN}"].partition("}")[2]
    tail = ":1000:1000::/home/x::"
    text = "# comment\n\n:no user\n" + "".join(f"{user}:{stored}{tail}\n" for user, stored in made.items())
    return text + (
        f"untagged@{DOMAIN}:{untagged}{tail}\n"
        f"untagged@{DOMAIN}:{{PLAIN}}second{tail}\n"
        f"empty@{DOMAIN}:{tail}\n"
        f"short@{DOMAIN}\n"
        f"old@{DOMAIN}:{{PLAIN}}{PASSWORD}:1000:1000::/home/x:::/var/mail/x\n"
        f"numbered@{DOMAIN}:{made[f'plain-md5@{DOMAIN}'].partition('}')[2]}[34]{tail}\n"
        f"quota@{DOMAIN}:{{PLAIN}}{PASSWORD}{tail}userdb_quota_rule=*:storage=3M userdb_mail=maildir:/a:INDEX=/b\n"
        f"nologin@{DOMAIN}:{{PLAIN}}{PASSWORD}{tail}nologin=yes\n"
        f"locked@{DOMAIN}:{{CRYPT}}!{untagged}{tail}\n"
        f"crlf@{DOMAIN}:{{PLAIN}}{PASSWORD}{tail}\r\n"
    )


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory: pytest.TempPathFactory, passwd_file: str) -> Iterator[Dovecot]:
    root = tmp_path_factory.mktemp("dovecot")
    (root / "legacy").write_text(passwd_file)
    settings = f"""
passdb {{
  driver = passwd-file
  args = scheme=CRYPT username_format=%u {root}/legacy
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {root}/legacy
}}
"""
    server = Dovecot(root, [], settings=settings)
    yield server
    server.stop()


def doveadm(dovecot: Dovecot, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["doveadm", "-c", str(dovecot.root / "dovecot.conf"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.interop
def test_passwd_file_says_what_dovecot_says(tmp_path: Path, passwd_file: str, dovecot: Dovecot) -> None:
    entries = read(tmp_path, "dovecot-passwd-file", passwd_file)
    ours: dict[str, AccountEntry] = {}
    for each in entries:
        if isinstance(each, AccountEntry):
            ours.setdefault(str(each.address), each)
    assert set(ours) == set(doveadm(dovecot, "user", "*").stdout.split())
    assert doveadm(dovecot, "user", f"short@{DOMAIN}").returncode == 67, "a line without a colon is nobody"
    for name, entry in ours.items():
        for password in (PASSWORD, "second") if name.startswith("untagged") else (PASSWORD,):
            done = doveadm(dovecot, "auth", "test", name, password)
            theirs = done.returncode == 0 and "nologin" not in done.stdout  # the login service refuses those
            stored = entry.password_hash or ""
            assert theirs == bool(stored and verify_password(password, stored, name)), (name, password)
        rule = doveadm(dovecot, "user", "-f", "quota_rule", name).stdout.strip()
        assert entry.quota == (3 << 20 if name == f"quota@{DOMAIN}" else None), rule
        assert (rule == "*:storage=3M") == (entry.quota is not None)


def test_passwd_file_what_is_not_taken_is_said(tmp_path: Path) -> None:
    text = (
        f"any@{DOMAIN}:{{PLAIN}}hush::::::nopassword=y\n"
        f"net@{DOMAIN}:{{PLAIN}}hush::::::allow_nets=10.0.0.0/8\n"
        f"rel@{DOMAIN}:{{PLAIN}}hush::::::userdb_quota_rule=*:storage=+1G\n"
        f"own@{DOMAIN}:{{X-OWN}}hush::::::\n"
        "local:{PLAIN}hush::::::\n"
    )
    entries = read(tmp_path, "dovecot-passwd-file", text)
    assert hashes(entries) == {
        f"any@{DOMAIN}": "",
        f"net@{DOMAIN}": "{PLAIN}hush",
        f"rel@{DOMAIN}": "{PLAIN}hush",
        f"own@{DOMAIN}": None,
    }
    said = remarks(entries)
    for words in (
        "nopassword lets anybody in",
        "allow_nets",
        "'storage=+1G' is relative",
        "{X-OWN} is no scheme",
    ):
        assert words in said
    assert "source:5: the name before the first colon is no address" in said
    assert "hush" not in said
    assert hashes(read(tmp_path, "dovecot-passwd-file", text, domain="Other.Test"))["local@other.test"]


@pytest.mark.parametrize(
    ("field", "octets"),
    [
        ("userdb_quota_rule=*:storage=1G", 1 << 30),
        ("userdb_quota_rule=*:storage=1024", 1 << 20),
        ("userdb_quota_rule=*:bytes=1024", 1024),
        ("userdb_quota_rule=*:messages=10:storage=2GB", 2 << 30),
        ("userdb_quota_rule=*:storage=0", 0),
        ("userdb_quota_rule=Trash:storage=+100M", None),
        ("userdb_quota_rule=*:messages=10", None),
        ("userdb_quota_rule=*:storage=1G userdb_quota_rule2=Trash:storage=+10%", 1 << 30),
        ("userdb_quota_storage_size=512M", 512 << 20),
        ("userdb_mail=mbox:/x", None),
    ],
)
def test_quotas_of_dovecot(tmp_path: Path, field: str, octets: int | None) -> None:
    entries = read(tmp_path, "dovecot-passwd-file", f"a@{DOMAIN}:{{PLAIN}}x::::::{field}\n")
    assert (quotas(entries), remarks(entries)) == ({f"a@{DOMAIN}": octets}, "")
