"""`mailplat migrate backend`: the platforms that accounts move from."""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from mailplat.app.console import Subparsers, add_config, add_json, read_password, show
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput, MailplatError, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.route import BackendHome
from mailplat.directory import Backend
from migration import uidl
from migration.beside import answers
from migration.ledger import Ledger
from migration.sources.imap_account import ImapAccount
from migration.sources.maildir import location
from migration.sources.maildir.account import MaildirAccount
from migration.sources.maildir.home import HomeFolder
from migration.sources.managesieve import ManageSieve
from migration.sources.pop3 import read_uidls

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TLS = ("none", "starttls", "implicit")


def register(actions: Subparsers) -> None:
    parser = actions.add_parser("backend", help="platforms that accounts move from")
    verbs = parser.add_subparsers(dest="verb_of_backend", metavar="ACTION", required=True)

    adding = verbs.add_parser("add", help="add a platform with a master user")
    add_config(adding)
    adding.add_argument("name", metavar="NAME")
    adding.add_argument("--imap", metavar="HOST:PORT", default="", help="default: it has only POP3")
    adding.add_argument("--imap-tls", choices=_TLS, default="starttls")
    adding.add_argument(
        "--imap-compress",
        action="store_true",
        help="COMPRESS=DEFLATE where the platform offers it: half the octets, for its CPU",
    )
    adding.add_argument(
        "--pop3", metavar="HOST:PORT", default="", help="where UIDLs are read; without --imap, the mail"
    )
    adding.add_argument("--pop3-tls", choices=_TLS, default="starttls")
    adding.add_argument(
        "--managesieve",
        metavar="HOST:PORT",
        default="",
        help="where Sieve scripts are read; default: they are not",
    )
    adding.add_argument("--managesieve-tls", choices=_TLS, default="starttls")
    adding.add_argument("--relay", metavar="smtp:HOST:PORT|lmtp:HOST:PORT", required=True)
    adding.add_argument("--master-user", metavar="NAME", required=True)
    adding.add_argument(
        "--master-style", choices=("login", "plain"), default="login", help="user*master, or SASL PLAIN"
    )
    secret = adding.add_mutually_exclusive_group(required=True)
    secret.add_argument("--master-password-stdin", action="store_true")
    secret.add_argument("--master-password-file", metavar="FILE", type=Path)
    adding.add_argument(
        "--uidl-format",
        metavar="FORMAT",
        default="",
        help="of POP3, such as %%08Xu%%08Xv; with --maildir-path also %%f, the file's name; default: found out",
    )
    adding.add_argument(
        "--maildir-path",
        metavar="LOCATION",
        default="",
        help="read mail from files: Dovecot's mail_location on a mount here, such as"
        " maildir:/mnt/mail/%%d/%%n/Maildir:LAYOUT=fs, or courier:/mnt/mail/%%d/%%n/Maildir",
    )
    adding.set_defaults(run=add)

    checking = verbs.add_parser("check", help="log in as an account over each protocol, greet the relay")
    add_config(checking)
    add_json(checking)
    checking.add_argument("name", metavar="NAME")
    checking.add_argument("--account", metavar="ADDRESS", help="default: the first account that lives there")
    checking.set_defaults(run=check)

    listing = verbs.add_parser("list", help="list the platforms")
    add_config(listing)
    add_json(listing)
    listing.set_defaults(run=list_all)


def add(args: argparse.Namespace) -> int:
    if not _NAME.fullmatch(args.name):
        raise InvalidInput(f"{args.name!r} is no name: letters, digits, dot, dash and underscore, 64 at most")
    backend = Backend(
        name=args.name,
        imap=_endpoint(args.imap) if args.imap else "",
        imap_tls=args.imap_tls,
        pop3=_endpoint(args.pop3) if args.pop3 else "",
        pop3_tls=args.pop3_tls,
        relay=_relay(args.relay),
        master_user=args.master_user,
        master_password=_master_password(args),
        master_style=args.master_style,
        maildir=args.maildir_path,
        managesieve=_endpoint(args.managesieve) if args.managesieve else "",
        managesieve_tls=args.managesieve_tls,
        imap_compress=args.imap_compress,
    )
    if not backend.imap:
        _check_bare(backend, args.uidl_format)
    if backend.maildir:
        location.parse(backend.maildir)
    elif args.uidl_format == uidl.FILE_FORMAT:
        raise InvalidInput(f"{uidl.FILE_FORMAT}: names of files are seen with --maildir-path only")
    try:
        text = uidl.check_format(args.uidl_format) if args.uidl_format else ""
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    with open_platform(args.config) as platform:
        platform.directory.add_backend(backend)
        Ledger(platform.database, platform.clock).set_uidl_format(backend.name, text)
    return 0


def _check_bare(backend: Backend, uidl_format: str) -> None:
    """A platform without IMAP."""
    if not backend.pop3:
        raise InvalidInput("a backend has --imap, or at least --pop3")
    if backend.maildir:
        raise InvalidInput("--maildir-path needs --imap: the server in front of the files is asked too")
    if uidl_format:
        raise InvalidInput(
            "--uidl-format is for platforms with --imap: over POP3 the UIDLs themselves are kept"
        )


def _master_password(args: argparse.Namespace) -> str:
    if args.master_password_stdin:
        return read_password(stdin=True)
    try:
        password = args.master_password_file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{args.master_password_file}: {error}") from error
    if not password:
        raise InvalidInput(f"{args.master_password_file} is empty")
    return str(password)


def _endpoint(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidInput(f"{text!r} is not HOST:PORT, such as imap.old.example:143 or [::1]:143")
    return text


def _relay(text: str) -> str:
    kind, _, rest = text.partition(":")
    if kind not in ("smtp", "lmtp"):
        raise InvalidInput(f"{text!r} is no relay: smtp:HOST:PORT or lmtp:HOST:PORT")
    return f"{kind}:{_endpoint(rest)}"


def check(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        backend = platform.directory.backend(args.name)
        account = args.account or _first_account(platform, backend.name)
        text = Ledger(platform.database, platform.clock).uidl_format(backend.name)
        rows = asyncio.run(_check(backend, account, text, platform.executors))
    show(rows, ["check", "result", "detail"], as_json=args.json)
    return 0 if all(row["result"] == "ok" for row in rows) else 1


def _first_account(platform: Platform, backend: str) -> str:
    for account in platform.directory.accounts():
        if platform.directory.route(account.id).home == BackendHome(backend):
            return str(account.address)
    raise InvalidInput(f"no account lives on backend {backend} yet; name one with --account")


async def _check(
    backend: Backend, account: str, uidl_format: str, executors: Executors
) -> list[dict[str, str]]:
    rows = []
    if backend.imap:
        rows.append(await _attempt(f"imap {backend.imap}", _check_imap(backend, account)))
    if backend.maildir:
        work = _check_maildir(backend, account, uidl_format, executors)
        rows.append(await _attempt("maildir", work))
        if location.parse(backend.maildir).home is not None:
            rows.append(await _attempt("home", _check_home(backend, account, executors)))
    if backend.pop3:
        rows.append(await _attempt(f"pop3 {backend.pop3}", _check_pop3(backend, account)))
    if backend.managesieve:
        rows.append(
            await _attempt(f"managesieve {backend.managesieve}", _check_managesieve(backend, account))
        )
    rows.append(await _attempt(backend.relay, _check_relay(backend)))
    return rows


async def _attempt(name: str, work: Awaitable[str]) -> dict[str, str]:
    try:
        return {"check": name, "result": "ok", "detail": await work}
    except MailplatError as error:
        return {"check": name, "result": "failed", "detail": str(error)}


async def _check_imap(backend: Backend, account: str) -> str:
    with tempfile.TemporaryDirectory(prefix="mailplat-check-") as spool:
        source = await ImapAccount.open(backend, account, Path(spool))
        try:
            survey = await source.survey()
        finally:
            await source.close()
    messages = sum(status.messages for status in survey.statuses.values())
    condstore = "with" if source.condstore else "without"
    return f"{account}: {len(survey.mailboxes)} mailboxes, {messages} messages; {condstore} CONDSTORE"


async def _check_maildir(backend: Backend, account: str, uidl_format: str, executors: Executors) -> str:
    """The survey itself compares names, UIDVALIDITY and numbers with what the server says."""
    with tempfile.TemporaryDirectory(prefix="mailplat-check-") as spool:
        source = MaildirAccount.of(backend, account, Path(spool), executors)
        try:
            survey = await source.survey()
            messages = sum(status.messages for status in survey.statuses.values())
            said = f"{account}: {len(survey.mailboxes)} mailboxes, {messages} messages, as over IMAP"
            if not backend.pop3:
                return said
            await source.examine(next(each for each in survey.mailboxes if each.name == "INBOX"))
            there = [each for each, _ in await read_uidls(backend, account)]
            here = list((await source.uidls(uidl_format)).values())
        finally:
            await source.close()
    pair = next((pair for pair in zip(here, there, strict=False) if pair[0] != pair[1]), None)
    if pair is not None:
        raise Unavailable(f"a UIDL is {pair[0]} by the files and {pair[1]} over POP3; see --uidl-format")
    return f"{said}; UIDLs as over POP3"


async def _check_pop3(backend: Backend, account: str) -> str:
    entries = await read_uidls(backend, account)
    return f"{account}: {len(entries)} messages, first UIDL {entries[0][0] if entries else 'none'}"


async def _check_home(backend: Backend, account: str, executors: Executors) -> str:
    home = HomeFolder(location.parse(backend.maildir), account, backend.limits)
    lane = f"maildir/{backend.name}"
    found = await executors.run(lane, home.scripts)
    octets = await executors.run(lane, home.answers)
    memory = answers.parse(octets or b"", account)
    said = f"{account}: {len(found.octets)} scripts; active: {found.active or 'none'}"
    return f"{said}; {len(memory.answers)} answers of a vacation"


async def _check_managesieve(backend: Backend, account: str) -> str:
    source = await ManageSieve.open(backend, account)
    try:
        found = await source.read()
    finally:
        await source.close()
    return f"{account}: {len(found.octets)} scripts; active: {found.active or 'none'}"


async def _check_relay(backend: Backend) -> str:
    host, _, port = backend.relay.partition(":")[2].rpartition(":")
    try:
        async with asyncio.timeout(backend.limits.connect):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            line = await reader.readline()
            writer.write(b"QUIT\r\n")
            writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        raise Unavailable(str(error) or type(error).__name__) from error
    if not line.startswith(b"220"):
        raise Unavailable(f"greeted with {line[:100]!r}")
    return line.decode("utf-8", "replace").strip()[:100]


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        counts = platform.directory.accounts_by_home()
        rows: list[dict[str, Any]] = [
            {
                "backend": each.name,
                "imap": each.imap,
                "imap_tls": each.imap_tls,
                "pop3": each.pop3,
                "pop3_tls": each.pop3_tls,
                "managesieve": each.managesieve,
                "managesieve_tls": each.managesieve_tls,
                "relay": each.relay,
                "master_user": each.master_user,
                "master_style": each.master_style,
                "maildir": each.maildir,
                "imap_compress": each.imap_compress,
                "accounts": counts.get(f"backend:{each.name}", 0),
            }
            for each in platform.directory.backends()
        ]
    return show(
        rows, ["backend", "imap", "imap_tls", "pop3", "managesieve", "relay", "accounts"], as_json=args.json
    )
