"""`mailplat account acl`: who else may do what with a mailbox (RFC 4314), for admins."""

import argparse
import asyncio
from typing import NamedTuple

from mailplat.access.imap import Sharing
from mailplat.access.imap.place import Place
from mailplat.app.cli._residence import residence
from mailplat.app.cli.audit import operator
from mailplat.app.console import Subparsers, add_config, add_json, show
from mailplat.app.logins import open_sharing
from mailplat.app.wiring import Platform, open_platform
from mailplat.core.errors import InvalidInput
from mailplat.core.rights import LETTERS, NONE, Rights, parse, render
from mailplat.store.names import canonical
from mailplat.wire.smtp.address import parse_address

COLUMNS = ["identifier", "rights"]


def register(actions: Subparsers) -> None:
    parser = actions.add_parser("acl", help="who else may do what with a mailbox")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, run, text in (
        ("list", list_all, "list who has rights; the owner has them all"),
        ("set", put, "let somebody have these rights and no others"),
        ("delete", delete, "take all rights back"),
    ):
        verb = verbs.add_parser(name, help=text)
        add_config(verb)
        add_json(verb)
        verb.add_argument("address", metavar="ADDRESS", help="the owner")
        verb.add_argument("mailbox", metavar="MAILBOX")
        if name != "list":
            verb.add_argument("identifier", metavar="WHO", help="an address, or anyone: the owner's domain")
        if name == "set":
            verb.add_argument("rights", metavar="RIGHTS", help=f"letters of {LETTERS}; docs/sharing.md")
        verb.set_defaults(run=run)


class _Found(NamedTuple):
    sharing: Sharing
    place: Place
    mailbox_id: int

    def acl(self) -> dict[str, str]:
        entries = self.place.shard.acl(self.place.residence, self.mailbox_id)
        return {identifier: render(entry.rights) for identifier, entry in entries.items()}


def _find(platform: Platform, args: argparse.Namespace) -> _Found:
    """Raises NotFound, InvalidInput, Unavailable."""
    sharing = open_sharing(platform)
    if sharing is None:
        raise InvalidInput('nothing is shared on this platform: imap.shared_prefix is ""')
    owner = platform.directory.account(parse_address(args.address))
    home = residence(platform, owner)
    shard = platform.store.shard(home.shard)
    shard.grant(owner.id, home.epoch, owner.address.domain)
    name = canonical(args.mailbox)
    place = Place(platform.executors, shard, home, owner, name, name)
    return _Found(sharing, place, shard.mailbox(home, name).id)


def list_all(args: argparse.Namespace) -> int:
    with open_platform(args.config) as platform:
        rows = [{"identifier": who, "rights": rights} for who, rights in _find(platform, args).acl().items()]
    return show(rows, COLUMNS, as_json=args.json)


def put(args: argparse.Namespace) -> int:
    rights = parse(args.rights)
    if not rights:
        raise InvalidInput("no rights: call mailplat account acl delete")
    return _change(args, "acl.set", rights)


def delete(args: argparse.Namespace) -> int:
    return _change(args, "acl.delete", NONE)


def _change(args: argparse.Namespace, action: str, rights: Rights) -> int:
    with open_platform(args.config) as platform:
        found = _find(platform, args)
        owner = found.place.owner.address
        identifier = found.sharing.identifier(args.identifier)
        if identifier == owner.key:
            raise InvalidInput(f"{owner} is the owner, who has all rights and keeps them")
        before = {"mailbox": found.place.name, "rights": found.acl().get(identifier, "")}
        after = {"mailbox": found.place.name, "identifier": identifier, "rights": render(rights)}
        platform.audit.record(operator(), action, str(owner), before=before, after=after)
        asyncio.run(found.sharing.change(found.place, found.mailbox_id, identifier, "", rights))
    return 0
