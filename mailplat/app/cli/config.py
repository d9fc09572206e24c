"""`mailplat config check|show`: is the configuration right, and what is in force."""

import argparse
import json

from mailplat.app.console import Subparsers, add_config, add_json
from mailplat.app.logins import open_tokens
from mailplat.app.settings import find, load
from mailplat.app.wiring import check_settings
from mailplat.core.clock import SystemClock


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("config", help="check or show the configuration")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("check", check, "exit status 0 if the configuration is right, else one line that says what is not"),
        ("show", display, "every key with the value in force, as JSON, without secrets"),
    ):
        action = actions.add_parser(name, help=text)
        add_config(action)
        if name == "show":
            add_json(action)
        action.set_defaults(run=run)


def check(args: argparse.Namespace) -> int:
    path = find(args.config)
    settings = load(path)
    check_settings(settings)
    open_tokens(settings.oauth, SystemClock())
    print(f"{path}: right")
    return 0


def display(args: argparse.Namespace) -> int:
    """JSON with --json and without: it is what a person reads best here, too."""
    print(json.dumps(load(find(args.config)).without_secrets(), indent=2))
    return 0
