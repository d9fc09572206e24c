"""Whether files and server say the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from migration.sources.contract import Status
from migration.sources.maildir.front import Said
from migration.sources.maildir.listing import Folder, Listing


@dataclass(slots=True)
class Seen:
    """A mailbox at one look."""

    folder: Folder
    status: Status | None  # None: it has no list of UIDs yet
    without_uid: frozenset[str]


def numbers(listing: Listing) -> Status | None:
    """Raises nothing; None where there is no list."""
    if listing.uidlist is None:
        return None
    return Status(listing.uidlist.uidvalidity, listing.uidlist.uidnext, len(listing.messages), None)


def uidvalidity(listing: Listing) -> int | None:
    return listing.uidlist.uidvalidity if listing.uidlist is not None else None


def aged(folder: Folder, listing: Listing, before: Status) -> str:
    """What a look after the survey must not show, "" for nothing: less than the survey (`before`) knew."""
    status = numbers(listing)
    if status is None:
        if before.messages or listing.without_uid:
            return f"{folder.control}: the list of UIDs went away"
    elif status.uidvalidity == before.uidvalidity and (status.uidnext or 0) < (before.uidnext or 0):
        return f"{folder.control}: UIDNEXT was {before.uidnext} and is {status.uidnext}: an older state"
    return ""


def contradiction(seen: Sequence[Seen], said: Said | None, before: Mapping[str, Iterable[str]] | None) -> str:
    """What speaks against believing the files, "" for nothing. `before`: what had no UID before the server was asked;
    None: nobody has looked."""
    for each in seen:
        name = each.folder.name
        waiting = each.without_uid if before is None else each.without_uid.intersection(before.get(name, ()))
        if waiting:
            return (
                f"{each.folder.path}: {len(waiting)} messages have no UID, such as {min(waiting)}; asked for"
                " STATUS, the server gives one, and has not"
            )
        if each.status is None and (said is None or name not in said.survey.statuses):
            return f"{each.folder.control}: there is no list of UIDs"
    if said is None:
        return ""
    return _against(seen, said)


def _against(seen: Sequence[Seen], said: Said) -> str:
    here, there = {each.folder.name for each in seen}, {each.name for each in said.survey.mailboxes}
    if here != there:
        odd = min(here ^ there)
        where = "in the tree and not over IMAP" if odd in here else "over IMAP and not in the tree"
        return (
            f"mailbox {odd!r} is {where}: look at the path, its LAYOUT and PREFIX, and whether it is mounted"
        )
    for each in seen:
        name, status = each.folder.name, each.status
        theirs = said.survey.statuses.get(name)
        if theirs is None:
            return f"mailbox {name!r}: IMAP says no STATUS of it"
        if status is None:
            if theirs.messages:
                return f"{each.folder.control}: no list of UIDs, and {theirs.messages} messages over IMAP"
            continue
        if status.uidvalidity != theirs.uidvalidity:
            return (
                f"{each.folder.control}: UIDVALIDITY {status.uidvalidity}, over IMAP {theirs.uidvalidity}: another"
                " tree, or another CONTROL"
            )
        if status.messages < theirs.messages or (status.uidnext or 0) < (theirs.uidnext or 0):
            return (
                f"{each.folder.path}: {status.messages} messages below UID {status.uidnext}, over IMAP"
                f" {theirs.messages} below {theirs.uidnext}: the mount shows an older state"
            )
    return ""
