"""`mailplat migrate`: one file a group of verbs. Commands write and read the ledger; the work is done by the role
`migration` of `mailplat serve`, in another process.

Exit status as everywhere: 0 done, 1 failed (a check, an aborted cutover), 2 wrong usage, 3 nothing matched.
"""

from mailplat.app.console import Subparsers
from migration.cli import (
    approve,
    backend,
    census,
    directory,
    forecast,
    gates,
    move,
    plan,
    progress,
    rehearse,
    report,
    rollback,
)


def register(verbs: Subparsers) -> None:
    """The entry point of group mailplat.commands."""
    parser = verbs.add_parser(
        "migrate", help="move domains here from another platform, and accounts between shards"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    order = (
        backend,
        directory,
        census,
        plan,
        progress,
        rehearse,
        report,
        approve,
        gates,
        rollback,
        move,
        forecast,
    )
    for module in order:
        module.register(actions)
