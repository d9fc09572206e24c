"""docs/limits.md, made of the classes that are the limits: their fields, comments and ranges.

python -m tests.app.limits_page > docs/limits.md
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from mailplat.app.sections import AuthSection, OauthSection
from mailplat.core.limits import elsewhere
from mailplat.core.limits.brake import BrakeLimits
from mailplat.core.limits.census import CensusLimits
from mailplat.core.limits.imap import Bounds, ImapLimits
from mailplat.core.limits.pop3 import Pop3Limits
from mailplat.core.limits.rehearsal import RehearsalLimits
from mailplat.core.limits.sieve import SieveLimits
from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.limits.store import StoreLimits
from mailplat.core.limits.usage import GateLimits, UsageLimits
from mailplat.core.limits.workers import WorkerLimits

PAGE = Path(__file__).resolve().parents[2] / "docs/limits.md"

TABLES: tuple[tuple[str, type, str], ...] = (
    ("imap.limits", ImapLimits, "A connection of IMAP. Seconds and octets, where nothing else is said."),
    (
        "imap.commands",
        Bounds,
        "What one command of IMAP may hold. Past it: `BAD`, and the connection goes on.",
    ),
    ("pop3.limits", Pop3Limits, "A connection of POP3. Seconds and octets, where nothing else is said."),
    (
        "smtp.limits",
        SmtpLimits,
        "A connection of SMTP or LMTP, and what is borne of an address. Seconds and octets, where not said.",
    ),
    ("sieve.limits", SieveLimits, "Sieve scripts of one account. Past it they are refused."),
    (
        "store.limits",
        StoreLimits,
        "Mailboxes, keywords, annotations and the work of a shard. Past it: `NO [LIMIT]`.",
    ),
    ("usage", UsageLimits, "What each domain gets, hour by hour."),
    (
        "migration.brake",
        BrakeLimits,
        "How many messages may be gone before a person is asked (docs/migration.md).",
    ),
    (
        "migration.gates",
        GateLimits,
        "When a domain that has moved does worse than those that have not (docs/migration.md).",
    ),
    (
        "migration.census",
        CensusLimits,
        "How gently a legacy platform is read before anything moves (docs/migration.md).",
    ),
    (
        "migration.sources",
        SourceLimits,
        "What is borne of a legacy platform. Past it the move waits and tries again, or halts; nothing is left out.",
    ),
    (
        "migration.workers",
        WorkerLimits,
        "Workers of the migration's engine (docs/migration.md).",
    ),
    (
        "migration.rehearsal",
        RehearsalLimits,
        "How much is asked of both sides before an account moves (docs/migration.md).",
    ),
)

# Limits that no provider has a reason to change: of formats, and of cryptography.
FIXED = {
    "mailplat.wire.imap.framer": ("_LONGEST_TAG",),
    "mailplat.wire.imap.threads": ("MAX_NESTING",),
    "mailplat.wire.mime.scanner": ("MAX_DEPTH", "MAX_PARTS"),
    "mailplat.wire.mime.headers": ("MAX_HEADER", "MAX_PARAMETERS"),
    "mailplat.wire.mime.addresses": ("MAX_ADDRESSES",),
    "mailplat.wire.mime.envelope": ("MAX_STRING",),
    "mailplat.wire.mime.text": ("MAX_OCTETS", "MAX_FIELD"),
    "mailplat.wire.mime.references": ("MAX_REFERENCES",),
    "mailplat.wire.mime.decoding": ("MAX_HELD",),
    "mailplat.wire.mime.preview": ("MAX_PREVIEW",),
    "mailplat.wire.managesieve.lines": ("MAX_DEPTH",),
    "mailplat.wire.managesieve.rendering": ("QUOTED_LIMIT",),
    "mailplat.wire.sasl.plain": ("MAX_PART",),
    "mailplat.wire.sasl.oauth": ("MAX_TOKEN",),
    "mailplat.wire.sasl.scram": ("MAX_NONCE",),
    "mailplat.directory.credentials": ("MAX_PASSWORD_OCTETS", "MAX_WAITING"),
    "mailplat.access.introspection": ("MAX_ANSWER", "MAX_CONCURRENT"),
}

HEAD = """# Limits

Every input from outside has a limit. This page is made of the code by `python -m tests.app.limits_page`, and a test
fails where the two differ; the reasons are those in the code. A number is the default; each can be changed in
`mailplat.toml` under the key in the first column, and a worker takes it at its next start. What a setting may say at
least or at most stands behind the default.

How a client is told: a command that is too large or holds too much gets `BAD` or `NO` with the reason and the
connection goes on; one that cannot be followed any more, or a client that says nothing or only nonsense, gets `* BYE`
(POP3 has no word for it). Memory of one connection is bounded whatever is sent: one command (`command`), one read
(`read_size`) twice over, one batch of replies (`write_batch`, `write_buffer`) and one group of bodies (eight times
`large_message`); commands sent ahead wait in the network until those before them are answered and read.
"""

_FIELD = re.compile(r"    (\w+): [^=]+ = (.*)")


def page() -> str:
    parts = [HEAD]
    for table, limits, text in TABLES:
        parts += [f"\n## [{table}]\n\n{text}\n\n", _table(_rows(table, limits))]
    parts += ["\n## Logins\n\n", _table(_login_rows())]
    parts += [
        "\n## Fixed\n\nOf formats and cryptography; no setting.\n\n",
        _table(_fixed_rows(), ("where", "limit", "reason")),
    ]
    return "".join(parts)


def reasons(limits: type) -> dict[str, str]:
    """The comment above each field, or behind it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(limits).splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            above.append(stripped.lstrip("# "))
        elif field := _FIELD.fullmatch(line):
            _, _, behind = field[2].partition("  # ")
            text = " ".join(above) or behind
            found[field[1]] = text[:1].upper() + text[1:]
            above = []
        else:
            above = []
    return found


def _rows(table: str, limits: type) -> Iterator[tuple[str, str, str]]:
    why = reasons(limits)
    moved = elsewhere(limits)
    for field in dataclasses.fields(limits):
        if dataclasses.is_dataclass(field.default):
            continue  # a table of its own
        key = moved.get(field.name, f"{table}.{field.name}")
        yield key, _value(field.default) + _range(field.metadata), why[field.name]


def _login_rows() -> Iterator[tuple[str, str, str]]:
    for section, model, names in (
        ("auth", AuthSection, ("address_failures", "network_failures", "unauthenticated_per_network")),
        ("oauth", OauthSection, ("timeout", "cache")),
    ):
        why = reasons(model)
        for name in names:
            yield f"{section}.{name}", _value(model.model_fields[name].default), why[name]


def _fixed_rows() -> Iterator[tuple[str, str, str]]:
    for module, names in FIXED.items():
        source = inspect.getsource(import_module(module))
        for name in names:
            found = re.search(rf"((?:^#.*\n)*)^{name} = ", source, re.M)
            assert found is not None, (module, name)
            text = " ".join(line.lstrip("# ") for line in found[1].splitlines())
            place = module.removeprefix("mailplat.").replace(".", "/")
            yield f"{place} {name.lstrip('_')}", _value(getattr(import_module(module), name)), text


def _table(
    rows: Iterator[tuple[str, str, str]], head: tuple[str, str, str] = ("key", "default", "reason")
) -> str:
    lines = [head, ("---", "---", "---"), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _value(value: Any) -> str:
    if isinstance(value, int) and value >= 10_000:
        return f"{value:_}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(metadata: Any) -> str:
    ends = [
        f"{word} {_value(metadata[key])}"
        for key, word in (("least", "at least"), ("most", "at most"))
        if metadata.get(key)
    ]
    return f" ({', '.join(ends)})" if ends else ""


if __name__ == "__main__":
    print(page(), end="")
