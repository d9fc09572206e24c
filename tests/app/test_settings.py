"""mailplat.toml: unknown keys, wrong values, the environment, paths."""

from pathlib import Path

import pytest

from mailplat.app.settings import Settings, find, load
from mailplat.core.errors import InvalidInput
from mailplat.core.limits.imap import ImapLimits
from mailplat.core.limits.pop3 import Pop3Limits
from mailplat.core.limits.store import StoreLimits

GOOD = """
[platform]
hostname = "mx.example.test"
[listen]
smtp = ["127.0.0.1:2525"]
[store.shards.s1]
path = "data/shards/s1"
[filter]
stages = ["loops"]
dns = "zone:zone.txt"
[filter.loops]
max_received = 30
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mailplat.toml"
    path.write_text(text)
    return path


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD), {})
    assert settings.store.shards["s1"].path == tmp_path / "data/shards/s1"
    assert settings.database.url == f"sqlite:///{tmp_path}/data/mailplat.db"
    assert settings.filter.dns == f"zone:{tmp_path}/zone.txt"
    assert settings.queue.path == tmp_path / "data/queue"
    assert settings.platform.hostname == "mx.example.test"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("hostname", "hostnam", "unknown key platform.hostnam; the nearest known key is platform.hostname"),
        ("[listen]", "[listne]", "unknown key listne; the nearest known key is listen"),
        (
            "path = ",
            "paht = ",
            "unknown key store.shards.s1.paht; the nearest known key is store.shards.s1.path",
        ),
        ('"127.0.0.1:2525"', '"2525"', "listen.smtp.0: '2525' is not address:port"),
        ('"127.0.0.1:2525"', '"127.0.0.1:99999"', "listen.smtp.0: '127.0.0.1:99999' is not address:port"),
        ('hostname = "mx.example.test"', "hostname = 7", "platform.hostname: "),
        ("[platform]", "[platform", "mailplat.toml: "),
        ("[platform]", "[smtp]\nmax_recipients = 5\n[platform]", "smtp.max_recipients: "),
        (
            "[platform]",
            "[imap.limits]\nautologot = 5\n[platform]",
            "unknown key imap.limits.autologot; the nearest known key is imap.limits.autologout",
        ),
        (
            "[platform]",
            "[imap.limits]\nautologout = 60\n[platform]",
            "imap.limits: autologout must be at least 1800",
        ),
        (
            "[platform]",
            "[imap.commands]\nsearch_nesting = 1000\n[platform]",
            "imap.commands: search_nesting must be at most 150",
        ),
        (
            "[platform]",
            "[pop3.limits]\nbad_commands = 0\n[platform]",
            "pop3.limits: bad_commands must be more than 0",
        ),
        (
            "[platform]",
            "[store.limits]\nkeywords = 'many'\n[platform]",
            "store.limits.keywords: ",
        ),
        # They have a key already.
        (
            "[platform]",
            "[imap.limits]\nmessage_size = 7\n[platform]",
            "unknown key imap.limits.message_size; ",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidInput) as caught:
        load(written(tmp_path, GOOD.replace(old, new, 1)), {})
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environment = {
        "MAILPLAT_PLATFORM__HOSTNAME": "other.test",
        "MAILPLAT_LISTEN__SMTP": '["127.0.0.1:99"]',
        "MAILPLAT_AUTH__PLAINTEXT_WITHOUT_TLS": "true",
        "MAILPLAT_CONFIG": "ignored",
        "UNRELATED__KEY": "ignored",
    }
    settings = load(written(tmp_path, GOOD), environment)
    assert settings.platform.hostname == "other.test"
    assert settings.listen.smtp == ["127.0.0.1:99"]
    assert settings.auth.plaintext_without_tls is True


def test_an_unknown_key_in_the_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"unknown key platform\.hostnam"):
        load(written(tmp_path, GOOD), {"MAILPLAT_PLATFORM__HOSTNAM": "x"})


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILPLAT_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="mailplat init"):
        find(None)
    with pytest.raises(InvalidInput, match=r"nowhere\.toml"):
        find("nowhere.toml")
    path = written(tmp_path, GOOD)
    assert find(None).resolve() == path
    monkeypatch.setenv("MAILPLAT_CONFIG", str(path))
    assert find(None) == path


def test_show_leaves_secrets_out(tmp_path: Path) -> None:
    text = GOOD + '[database]\nurl = "postgresql://mail:hunter2@db.test/mail"\n'
    shown = load(written(tmp_path, text), {}).without_secrets()
    assert "hunter2" not in str(shown)
    assert shown["database"]["url"] == "postgresql://mail:***@db.test/mail"


def test_every_section_has_defaults() -> None:
    assert Settings().smtp.max_message_size == 50_000_000


def test_limits_are_what_all_keys_together_say(tmp_path: Path) -> None:
    text = """
    [imap]
    max_message_size = 1000
    max_connections = 7
    [imap.limits]
    inflate_ratio = 11
    [imap.commands]
    part_readings = 3
    [pop3]
    max_connections = 8
    [pop3.limits]
    line = 300
    [store]
    tombstones = 12
    [store.limits]
    annotation = 2048
    [vault]
    days = 3
    [quota]
    warn = [50]
    """
    settings = load(
        written(tmp_path, text), {"MAILPLAT_STORE__LIMITS": '{"annotations": 9, "annotation": 2048}'}
    )
    imap, pop3, store = settings.imap_limits, settings.pop3_limits, settings.store_limits
    assert (imap.message_size, imap.connections, imap.inflate_ratio, imap.bounds.part_readings) == (
        1000,
        7,
        11,
        3,
    )
    assert (pop3.connections, pop3.line) == (8, 300)
    assert (store.tombstones, store.annotation, store.annotations) == (12, 2048, 9)
    assert (store.vault_days, store.quota_warn) == (3, (50,))
    shown = settings.without_secrets()
    assert shown["imap"]["limits"]["inflate_ratio"] == 11
    assert "message_size" not in shown["imap"]["limits"]


def test_without_a_word_limits_are_those_of_their_classes() -> None:
    settings = Settings()
    assert settings.imap_limits == ImapLimits()
    assert settings.pop3_limits == Pop3Limits()
    assert settings.store_limits == StoreLimits()
