"""`mailplat migrate plan BACKEND, --apply, --show`: waves as TOML files."""

import argparse
import sys
import time
from pathlib import Path

from mailplat.app.cli.audit import operator
from mailplat.app.wiring import Platform
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.directory.names import domain_key
from migration.census.report import report
from migration.plan.applying import apply, plans
from migration.plan.document import LimitTerms, parse
from migration.plan.proposal import propose
from migration.plan.stored import Stored, read
from migration.plan.writing import render

# Of a plan's file: a million domains with names of usual length.
MOST_OCTETS = 64 << 20


def write_proposal(platform: Platform, backend: str, args: argparse.Namespace) -> int:
    if args.waves is not None and args.waves < 1:
        raise InvalidInput("--waves: a number from 1")
    census = report(platform, backend)
    if not census.domains:
        raise NotFound(f"no account lives on backend {backend}; there is nothing to plan")
    unread = sum(each.summary.unread for each in census.domains)
    if unread:
        raise InvalidInput(
            f"{unread} accounts of {backend} were not read yet; first: mailplat migrate census {backend}"
        )
    settings = platform.settings.migration
    limits = LimitTerms(connections=settings.connections, latency=settings.latency)
    alpha = [domain_key(each) for each in args.alpha or ()]
    plan, tied = propose(census, alpha, args.waves, limits)
    if tied:
        print(f"mailplat: tied to the alpha domains and with them: {', '.join(tied)}", file=sys.stderr)
    reports = {each.domain: each for each in census.domains}
    notes = {}
    for wave in plan.wave:
        risks = [reports[each].risk for each in wave.domains]
        accounts = sum(reports[each].summary.accounts for each in wave.domains)
        notes[wave.name] = (
            f"{len(wave.domains)} domains, {accounts} accounts, risk {min(risks)} to {max(risks)}"
        )
    text = render(plan, notes)
    if args.write is None:
        print(text, end="")
        return 0
    try:
        with args.write.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InvalidInput(f"{args.write} is there already; it may have been edited") from error
    except OSError as error:
        raise InvalidInput(f"{args.write}: {error}") from error
    for wave in plan.wave:
        print(f"{wave.name}: {notes[wave.name]}")
    print(f"edit {args.write}, then: mailplat migrate plan --apply {args.write}")
    return 0


def apply_file(platform: Platform, file: Path, take_out: list[str]) -> int:
    try:
        with file.open("rb") as opened:
            octets = opened.read(MOST_OCTETS + 1)
        text = octets.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: {error}") from error
    if len(octets) > MOST_OCTETS:
        raise InvalidInput(f"{file} has more than {MOST_OCTETS} octets")
    plan = parse(text, str(file))
    names = [domain_key(each) for each in take_out]
    for line in apply(platform.database, platform.clock, plan, operator(), take_out=names) or [
        "nothing to change"
    ]:
        print(line)
    return 0


def show_applied(platform: Platform, name: str | None) -> int:
    """With what is no part of the file, as comments."""
    found = plans(platform.database)
    if name is None and len(found) > 1:
        raise InvalidInput(f"there are several plans; name one of them: {', '.join(found)}")
    if not found or (name is not None and name not in found):
        raise NotFound(f"no plan {name or ''} was applied".replace("  ", " "))
    plan = found[name] if name is not None else next(iter(found.values()))
    with platform.database.read() as connection:
        waves = read(connection)
    print(render(plan, {each.name: _note(waves[each.name]) for each in plan.wave}), end="")
    return 0


def _note(stored: Stored) -> str:
    if stored.approved_by:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(stored.approved_at))
        return f"{stored.state.value}, approved by {stored.approved_by} at {at}"
    return f"{stored.state.value}, not approved" if stored.terms.approval else stored.state.value
