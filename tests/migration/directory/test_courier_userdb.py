"""Courier's userdb."""

from pathlib import Path

from mailplat.directory.credentials import verify_password
from tests.migration.directory.reading import DOMAIN, hashes, quotas, read, remarks


def test_courier_userdb(tmp_path: Path) -> None:
    md5 = "{MD5}XUFAKrxLKna5cZ2REBfFkg=="  # of "hello", as courier-authlib writes it
    text = (
        "# made by hand\n"
        f"ada@{DOMAIN}\tuid=1000|gid=1000|home=/home/ada|systempw={md5}|quota=10000000S,1000C\n"
        f"bob@{DOMAIN}\timappw={{SHA}}qvTGHdzF6KLavt4PO0gs2a6pQ00=|pop3pw=other|mail=/x\n"
        f"carl@{DOMAIN}\tquota=1000C\n"
        f"dan@{DOMAIN}\tquota=lots\n"
    )
    entries = read(tmp_path, "courier-userdb", text)
    found = hashes(entries)
    for name in ("ada", "bob"):
        assert verify_password("hello", found[f"{name}@{DOMAIN}"] or "")
    assert found[f"carl@{DOMAIN}"] is None
    assert quotas(entries) == {
        f"ada@{DOMAIN}": 10_000_000,
        **dict.fromkeys(f"{n}@{DOMAIN}" for n in ("bob", "carl", "dan")),
    }
    assert "several passwords" in remarks(entries)
    assert "'lots' is no quota" in remarks(entries)
