"""`mailplat migrate approve`: let pass what a certificate asks a person about, item by item, by name; or a wave."""

import argparse

from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, show
from mailplat.app.wiring import open_platform
from mailplat.core.errors import NotFound
from mailplat.directory.names import domain_key
from migration.certificate import document, grades
from migration.cli import waves


def register(actions: Subparsers) -> None:
    action = actions.add_parser(
        "approve", help="accept items of a certificate's grade Investigate, or a wave; audited"
    )
    add_config(action)
    action.add_argument("domain", metavar="DOMAIN", nargs="?")
    action.add_argument("--item", metavar="ITEM", action="append", help="as report lists it; may be repeated")
    action.add_argument("--wave", metavar="WAVE", help="its accounts may be cut over")
    action.add_argument("--by", metavar="NAME", help="who decides; default: who calls the command")
    action.add_argument("--reason", metavar="TEXT", required=True)
    action.set_defaults(run=approve)


def approve(args: argparse.Namespace) -> int:
    """Of the newest certificate: nobody approves what he has not seen."""
    waves.check_words(args)
    with open_platform(args.config) as platform:
        if args.wave is not None:
            return waves.approve(platform, args)
        domain = domain_key(args.domain)
        signed = document.last(platform.database, domain)
        if signed is None:
            raise NotFound(f"{domain} has no certificate yet; make one: mailplat migrate report {domain}")
        # Who is named, and who typed it: the audit log has both.
        caller = operator()
        who = f"{args.by} (by {caller})" if args.by and args.by != caller else caller
        done = grades.approve(
            platform.database,
            platform.clock,
            domain,
            document.findings_of(signed["certificate"]),
            args.item,
            who,
            args.reason,
        )
    lines = [{"item": each.item, "where": each.where, "what": each.text} for each in done]
    return show(lines, ["item", "where", "what"], as_json=False)
