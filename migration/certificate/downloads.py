"""The re-download detector: what clients were sent for each login in the 24 hours after the move, beside the days
before it. Who finds other UIDs than he knows downloads his mail again; that is seen here whatever else was compared.

Counted by domain (mailplat/usage), at the legacy platform before and here since; the rule is that of the gates'
measure of this name, without matched domains: a certificate speaks of one. Counters are kept for `[usage] days`; what
a certificate said when they were there is said by the next ones too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mailplat.app.wiring import Platform
from mailplat.usage.keeping import DAY_S
from mailplat.usage.meter import HOUR_S
from migration.certificate.grades import Finding, Grade
from migration.certificate.moment import moment
from migration.gates import NOBODY, Comparison, downloads, sides
from migration.ledger import Move

# Behind the last commit of the domain. A client that was not online in a day is one that downloads seldom.
WINDOW_S = 24 * HOUR_S

MORE = "more than before"


def section(
    platform: Platform, domain: str, moved: Sequence[Move], last: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`moved`: the accounts that have; `last`: the newest certificate's member of this name. Raises Unavailable."""
    if not moved:
        return _content("not moved", None, None, None, complete=False)
    limits = platform.settings.migration.gates
    since, until = min(move.moved for move in moved), max(move.moved for move in moved) + WINDOW_S
    own = sides(platform.usage, [domain], since, limits.baseline, only_here=True, until=until)
    complete = platform.clock.now() >= until
    eldest = platform.clock.now() - platform.settings.usage.days * DAY_S
    if (
        since - limits.baseline * DAY_S < eldest
        and last
        and last["complete"]
        and last["since"] == moment(since)
    ):
        return dict(last)
    found = downloads(domain, own, NOBODY, limits)
    verdict = MORE if found.is_breach else found.verdict
    content = _content(verdict, since, until, found, complete=complete)
    content["factor_percent"] = round(limits.download_factor * 100)
    content["baseline_logins"], content["logins"] = own.before.total.logins, own.since.total.logins
    if found.is_breach:
        # Without figures: they change while the day lasts, and another text would be another item.
        text = (
            f"clients were sent more than {limits.download_factor:g} times as much for each login within a day of "
            "the move as before it: perhaps they downloaded again what they had"
        )
        finding = Finding(Grade.INVESTIGATE, domain, text)
        content["findings"] = [
            {"grade": finding.grade.label, "where": finding.where, "text": text, "item": finding.item}
        ]
    return content


def findings(content: Mapping[str, Any]) -> list[Finding]:
    """Of a certificate; those of earlier releases have none."""
    found = content.get("downloads", {}).get("findings", [])
    return [Finding(Grade[each["grade"].upper()], each["where"], each["text"]) for each in found]


def _content(
    verdict: str, since: float | None, until: float | None, found: Comparison | None, *, complete: bool
) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "complete": complete,
        "since": moment(since) if since else None,
        "until": moment(until) if until else None,
        "baseline_octets_per_login": _whole(found.before if found else None),
        "octets_per_login": _whole(found.since if found else None),
        "baseline_logins": 0,
        "logins": 0,
        "factor_percent": None,
        "findings": [],
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
