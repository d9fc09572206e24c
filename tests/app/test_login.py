"""App passwords, SCRAM and the settings of logins, as an admin has them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.access.capture import Capture
from mailplat.access.exchange import mechanisms
from mailplat.access.forwarding import ForwardedSessions
from mailplat.app.cli import main
from mailplat.app.logins import open_logins
from mailplat.app.settings import load
from mailplat.app.wiring import Platform, check_settings
from mailplat.core.errors import InvalidInput, LimitReached, Unavailable
from mailplat.directory.app_passwords import AppPasswords
from mailplat.directory.scram_keys import ScramStore
from mailplat.wire.sasl import derive_keys
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig

ANNA = "anna@example.test"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    rig = Rig(tmp_path_factory.mktemp("login") / "platform")
    rig.call("domain", "add", "example.test")
    rig.call("account", "add", ANNA, "--hash", "{PLAIN}secret", "--home", "shard:s1")
    return rig


@pytest.fixture
def platform(rig: Rig) -> Iterator[Platform]:
    platform = Platform(load(rig.config))
    yield platform
    platform.close()


def run(rig: Rig, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and error of a command, in this process."""
    status = main([*words, "--config", str(rig.config)])
    return (status, *capsys.readouterr())


def test_app_passwords(rig: Rig, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("account", "app-password")
    status, out, _ = run(
        rig,
        capsys,
        *words,
        "add",
        ANNA,
        "--label",
        "phone",
        "--scope",
        "imap,pop3",
        "--expires",
        "2099-01-01",
    )
    assert status == 0
    secret = out.strip()
    account = platform.directory.account(parse_address(ANNA))
    found = AppPasswords(platform.database).find(account.id, secret)
    assert found is not None
    assert (found.label, found.scope, found.expires) == ("phone", ("imap", "pop3"), 4070908800)
    status, out, _ = run(rig, capsys, *words, "list", ANNA, "--json")
    (row,) = json.loads(out)
    assert (row["label"], row["scope"], row["expires"], row["expired"]) == (
        "phone",
        "imap,pop3",
        "2099-01-01 00:00:00",
        "no",
    )
    assert secret not in out
    for wrong, text in (
        (("add", ANNA, "--label", "phone"), "remove it first"),
        (("add", ANNA, "--label", "x", "--scope", "ftp"), "'ftp' is none of imap, pop3, smtp"),
        (("add", ANNA, "--label", "x", "--expires", "2001-01-01"), "in the past"),
        (("remove", ANNA, "--label", "none"), "no app password 'none'"),
        (("add", "nobody@example.test", "--label", "x"), "no account"),
    ):
        status, _, err = run(rig, capsys, *words, *wrong)
        assert status != 0
        assert text in err
    assert run(rig, capsys, *words, "remove", ANNA, "--label", "phone")[0] == 0
    assert run(rig, capsys, *words, "list", ANNA)[0] == 3
    lines = platform.audit.entries(subject=ANNA, action="app-password")
    assert [each.action for each in lines[:1]] == ["app-password.add"]
    assert lines[0].after == {"label": "phone", "scope": ["imap", "pop3"], "expires": "2099-01-01"}
    assert lines[-1].action == "app-password.remove"
    assert secret not in str(lines)


def test_what_a_domain_asks_for(rig: Rig, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("domain", "set", "example.test")
    assert run(rig, capsys, *words, "--scram", "on", "--app-passwords-only", "on")[0] == 0
    (row,) = json.loads(run(rig, capsys, "domain", "show", "example.test", "--json")[1])
    assert (row["scram"], row["app_passwords_only"], row["quota"]) == (True, True, 0)
    assert run(rig, capsys, *words, "--app-passwords-only", "off")[0] == 0
    assert platform.directory.domain("example.test").scram
    assert not platform.directory.domain("example.test").app_passwords_only
    status, _, err = run(rig, capsys, *words)
    assert status != 0
    assert "--quota, --app-passwords-only or --scram" in err
    lines = platform.audit.entries(subject="example.test", action="domain.login")
    assert [each.after["app_passwords_only"] for each in lines] == ["on", "off"]


def test_a_new_password_makes_new_keys(rig: Rig, platform: Platform) -> None:
    platform.directory.set_domain("example.test", scram=True)
    rig.call("account", "passwd", ANNA, "--password-stdin", stdin="new password\n")
    account = platform.directory.account(parse_address(ANNA))
    keys = ScramStore(platform.database).keys(account)
    assert keys is not None
    assert keys == derive_keys("new password", keys.salt)
    rig.call("account", "add", "bert@example.test", "--password-stdin", "--home", "shard:s1", stdin="other\n")
    bert = platform.directory.account(parse_address("bert@example.test"))
    assert ScramStore(platform.database).keys(bert) is not None


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ('[auth]\ntrusted_networks = ["192.0.2.1/24"]', "auth.trusted_networks.0"),
        ("[auth]\naddress_failures = 0", "auth.address_failures"),
        ('[tls]\nothers = [{ certificate = "x" }]', "tls.others.0.key"),
        ('[oauth]\nscop = "mail"', "oauth.scope"),
        ('[oauth]\nintrospection_url = "https://x/"', "oauth.client_id"),
        ('[tls]\nothers = [{ certificate = "x", key = "y" }]', "tls.certificate"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, setting: str, text: str) -> None:
    file = tmp_path / "mailplat.toml"
    file.write_text(f'{setting}\n[store.shards.s1]\npath = "s1"\n')
    with pytest.raises(InvalidInput, match=re.escape(text)):
        check_settings(load(file, {}))


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("[listen]\nsubmission = ['127.0.0.1:1']", "listen.submission"),
        ('[oauth]\nintrospection_url = "https://x/"', "oauth.client_id"),
        ('[oauth]\nintrospection_url = "ftp://x/"\nclient_id = "x"', "oauth.introspection_url"),
        ('[oauth]\nintrospection_url = "https://x/"\nclient_id = "x"\nca = "none.pem"', "oauth.ca"),
        ("[imap.limits]\nline = 80", "imap.limits: line must be at least 8192"),
    ],
)
def test_config_check_says_what_a_start_would_say(
    tmp_path: Path, setting: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mailplat.toml"
    shard = '[store.shards.s1]\npath = "s1"\n'
    file.write_text(shard)
    assert main(["config", "check", "--config", str(file)]) == 0
    file.write_text(f"{setting}\n{shard}")
    assert main(["config", "check", "--config", str(file)]) == 2
    assert text in capsys.readouterr().err


def test_the_secret_of_oauth_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "mailplat.toml"
    file.write_text('[oauth]\nclient_secret = "geheim"\nca = "ca.pem"\n[store.shards.s1]\npath = "s1"\n')
    settings = load(file, {})
    assert "geheim" not in str(settings.without_secrets())
    assert settings.oauth.client_secret == "geheim"
    assert settings.oauth.ca == str(tmp_path / "ca.pem")


async def test_the_doors_go_by_the_settings(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILPLAT_AUTH__ADDRESS_FAILURES", "7")
    monkeypatch.setenv("MAILPLAT_AUTH__UNAUTHENTICATED_PER_NETWORK", "1")
    monkeypatch.setenv("MAILPLAT_OAUTH__INTROSPECTION_URL", "https://127.0.0.1:1/introspect")
    monkeypatch.setenv("MAILPLAT_OAUTH__CLIENT_ID", "mailplat")
    platform = Platform(load(rig.config))
    try:
        platform.directory.set_domain("example.test", scram=True)
        executors, directory = platform.executors, platform.directory
        service = await open_logins(
            platform, ForwardedSessions(directory, executors), Capture(directory, executors)
        )
        assert mechanisms(service, {}) == ("SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")
        found = [await service.throttle.excess(f"name{number}", "192.0.2.7") for number in range(8)]
        assert max(found[:7]) == 0
        for _ in range(2):
            service.throttle.admit("127.0.0.1")  # trusted by default
        service.throttle.admit("192.0.2.7")
        with pytest.raises(LimitReached):
            service.throttle.admit("192.0.2.8")
        with pytest.raises(Unavailable):
            await service.owner("token")
        await service.enrolment.close()
    finally:
        platform.close()
