"""A certificate for people: one HTML page that needs nothing else, in the reader's light or dark. Every value that
comes from outside is escaped in one place, `_text`."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mailplat.core.visible import visible

# Mailboxes of one account that are shown; the JSON has all.
MAX_MAILBOXES = 500

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d8dee6;--page:#f5f7fa;--card:#fff;
--perfect:#0b6b3a;--good:#1a5fb4;--investigate:#8a5a00;--poor:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#323c49;--page:#12171e;--card:#1a212b;
--perfect:#5fd39a;--good:#8ab8ff;--investigate:#f2c063;--poor:#ff8f87}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0 0 4px}
h2{font-size:18px;margin:0;overflow-wrap:anywhere}h3{font-size:14px;margin:18px 0 6px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 22px;margin:18px 0}
.head{display:flex;gap:12px;align-items:baseline;justify-content:space-between;flex-wrap:wrap}
.soft,dt,th{color:var(--soft)}dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:14px 0 0}
dd{margin:0;overflow-wrap:anywhere}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px}th{text-align:left;font-weight:600}
th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums}code{font:12.5px ui-monospace,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}
td code{white-space:nowrap}
.grade{font-weight:700;white-space:nowrap}.Perfect{color:var(--perfect)}.Good{color:var(--good)}
.Investigate{color:var(--investigate)}.Poor{color:var(--poor)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:14px;margin-top:16px}
.figures b{display:block;font-size:22px;font-variant-numeric:tabular-nums}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


def render(signed: Mapping[str, Any]) -> str:
    """The whole page."""
    content, signature = signed["certificate"], signed["signature"]
    title = f"Certificate of the move of {content['domain']}"
    parts = [
        _summary(content, signature),
        _approvals(content["approvals"]),
        _domains_findings(content.get("downloads")),
        *(_account(each) for each in content["accounts"]),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        f"{''.join(parts)}</main></body></html>\n"
    )


def _text(value: object) -> str:
    """What is not there is a dash; what turns a line around, or is no character of a page, is not shown as it is."""
    if value is None or value == "":
        return "–"
    return html.escape(visible(str(value)))


def _grade(grade: str) -> str:
    return f'<span class="grade {_text(grade)}">{_text(grade)}</span>'


def _number(value: object) -> str:
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if isinstance(value, int) else _text(value)


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Values are HTML already."""
    return f"<dl>{''.join(f'<dt>{_text(name)}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>"


def _table(
    names: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: frozenset[int] = frozenset()
) -> str:
    """Cells are HTML already. `numbers`: columns that are."""

    def cell(kind: str, at: int, value: str) -> str:
        mark = ' class="n"' if at in numbers else ""
        return f"<{kind}{mark}>{value}</{kind}>"

    head = "".join(cell("th", at, _text(name)) for at, name in enumerate(names))
    body = "".join(
        f"<tr>{''.join(cell('td', at, value) for at, value in enumerate(row))}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _summary(content: Mapping[str, Any], signature: Mapping[str, Any]) -> str:
    totals = content["totals"]
    figures = (
        ("accounts moved", f"{_number(totals['moved'])} / {_number(totals['accounts'])}"),
        ("messages", _number(totals["messages"])),
        ("octets", _number(totals["octets"])),
        ("read again and compared", _number(totals["compared"])),
        ("longest wait, ms", _number(totals["fence_longest_ms"])),
    )
    shown = "".join(
        f'<div><b>{value}</b><span class="soft">{_text(name)}</span></div>' for name, value in figures
    )
    approved = "nothing is in the way of closing" if content["approved"] else "not to be closed as it is"
    return (
        f'<div class="head"><div><h1>{_text(content["domain"])}</h1><span class="soft">certificate of a move to'
        f" {_text(content['platform']['hostname'])}</span></div><h1>{_grade(content['grade'])}</h1></div>"
        f'<section><span class="soft">{_text(approved)}</span><div class="figures">{shown}</div>'
        + _pairs(
            (
                ("Issued", f"{_text(content['issued'])} by {_text(content['actor'])}"),
                ("Root of the source", f"<code>{_text(content['source_root'])}</code>"),
                ("Root as read here", f"<code>{_text(content['target_root'])}</code>"),
                ("Signed with", f"<code>{_text(signature['algorithm'])} {_text(signature['key'])}</code>"),
                ("Changed since by its owners", _number(totals["changed_since"])),
                ("Expunged since by its owners", _number(totals["expunged_since"])),
                ("Sent for each login", _downloads(content.get("downloads"))),
            )
        )
        + '<p class="soft">This page is a picture of the certificate. What is signed, and can be checked, is its'
        " JSON.</p></section>\n"
    )


def _downloads(found: Mapping[str, Any] | None) -> str:
    """Certificates of earlier releases have none."""
    if found is None:
        return "–"
    before, since = _number(found["baseline_octets_per_login"]), _number(found["octets_per_login"])
    return f"{_text(found['verdict'])}: {since} octets within a day of the move, {before} before"


def _approvals(approvals: Sequence[Mapping[str, Any]]) -> str:
    if not approvals:
        return ""
    rows = [
        [
            f"<code>{_text(each['item'])}</code>",
            _text(each["text"]),
            _text(each["by"]),
            _text(each["reason"]),
            _text(each["at"]),
        ]
        for each in approvals
    ]
    return f"<section><h2>Approvals</h2>{_table(('Item', 'What', 'By', 'Reason', 'At'), rows)}</section>\n"


def _account(account: Mapping[str, Any]) -> str:
    fence, again, pop3 = account["fence"], account["resample"], account["pop3"]
    phases = ", ".join(f"{name} {ms}" for name, ms in fence["phases_ms"].items())
    identity = account["source"]["identity"].get("imap", "")
    held = account["held"]
    resampled = "–"
    if again is not None:
        kind = "every message" if again["whole"] else "a sample and all that came late"
        resampled = f"{_number(again['messages'])} messages ({_text(again['reason'] or kind)})"
    listed = "–"
    if pop3 and pop3["compared"]:
        listed = f"{_number(pop3['target'])} UIDLs, {_number(pop3['out_of_order'])} out of order"
    rows = (
        ("From", _text(f"{account['source']['backend']} {identity}".strip())),
        ("To", _text(f"{account['target']['home']}, epoch {account['epoch']}")),
        ("Began, moved", f"{_text(account['began'])}, {_text(account['moved'])}"),
        ("Read again", _text(account["read_at"])),
        (
            "Wait at the cutover",
            f"{_number(fence['total_ms'])} ms ({_text(phases)}), {fence['aborts']} taken back",
        ),
        ("Mail held meanwhile", f"{_number(held['messages'])}, the longest {_number(held['longest_ms'])} ms"),
        ("Source read once more", resampled),
        ("POP3", listed),
        ("Password", _text(account["credential"])),
        ("Sieve scripts", _scripts(account["scripts"])),
        ("Mailboxes shared", _shared(account["shared"])),
        ("Strays, late flags", f"{_number(account['strays'])}, {_number(account['late_flags'])}"),
        ("Source asked to wait", f"{_number(account['throttled'])} times"),
    )
    return (
        f'<section><div class="head"><h2>{_text(account["address"])}</h2>{_grade(account["grade"])}</div>'
        f"{_pairs(rows)}{_findings(account)}{_mailboxes(account['mailboxes'])}{_rounds(account['rounds'])}</section>\n"
    )


def _domains_findings(found: Mapping[str, Any] | None) -> str:
    """What is said of the domain and of no account."""
    if found is None or not found["findings"]:
        return ""
    shown = _findings({"findings": found["findings"], "more_findings": 0})
    return f"<section><h2>Of all accounts together</h2>{shown}</section>\n"


def _scripts(scripts: Mapping[str, Any] | None) -> str:
    if scripts is None:
        return "not looked for"
    active = f", active: {scripts['active']}" if scripts["active"] else ", none active"
    return _text(f"{len(scripts['scripts'])}{active}, from {scripts['source']}")


def _shared(shared: Mapping[str, Any] | None) -> str:
    if shared is None:
        return "not looked for"
    return _text(
        f"{len(shared['mailboxes'])}, from {shared['source']}; {len(shared['left'])} entries left behind"
    )


def _findings(account: Mapping[str, Any]) -> str:
    if not account["findings"]:
        return ""
    rows = [
        [
            _grade(each["grade"]),
            _text(each["where"]),
            _text(each["text"]),
            f"<code>{_text(each['item'])}</code>",
        ]
        for each in account["findings"]
    ]
    more = (
        f'<p class="soft">and {_number(account["more_findings"])} more</p>'
        if account["more_findings"]
        else ""
    )
    return f"<h3>Findings</h3>{_table(('Grade', 'Where', 'What', 'Item'), rows)}{more}"


def _mailboxes(mailboxes: Sequence[Mapping[str, Any]]) -> str:
    if not mailboxes:
        return ""
    names = ("Mailbox", "Grade", "Messages", "Octets", "Compared", "UIDVALIDITY", "UIDNEXT", "Root as read")
    rows = [
        [
            _text(each["name"]),
            _grade(each["grade"]),
            _number(each["messages"]),
            _number(each["octets"]),
            _number(each["compared"]),
            _text(each["uidvalidity"]),
            _text(each["target"]["uidnext"]),
            f"<code>{_text(each['target_root'][:16])}…</code>",
        ]
        for each in mailboxes[:MAX_MAILBOXES]
    ]
    return f"<h3>Mailboxes</h3>{_table(names, rows, numbers=frozenset(range(2, 7)))}"


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> str:
    if not rounds:
        return ""
    names = ("kind", "at", "ms", "added", "changed", "gone", "octets")
    rows = [[_number(each[name]) for name in names] for each in rounds]
    return f"<h3>Rounds</h3>{_table([name.capitalize() for name in names], rows, numbers=frozenset(range(2, 7)))}"
