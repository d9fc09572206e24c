"""Back from the vault: each message is appended like any other, under the account's epoch and quota, with a new UID.

Its date, flags and keywords are the old ones, but \\Deleted: the next EXPUNGE would take it again. Then its row goes,
or stays and is counted where a legal hold keeps it. A restore that was cut short between the two is begun again
without doubling anything: the dedupe key is the file's name and how often it was restored.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

from mailplat.core.errors import AlreadyExists, NotFound, OverQuota
from mailplat.core.quota import NO_QUOTA, Quota
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store.door import Store
from mailplat.store.maildir import parse_name
from mailplat.store.names import check_name
from mailplat.store.opening import open_file
from mailplat.store.site import Site
from mailplat.store.types import NewMessage
from mailplat.store.vault.finding import Filter, Item, find
from mailplat.store.vault.place import place_waiting
from mailplat.store.vault.prune import take_out

# One append: so many messages are open files at a time, and no more octets than are written in a second or two.
_MESSAGES = 100
_OCTETS = 64 << 20


@dataclass(slots=True)
class Restored:
    messages: int = 0
    octets: int = 0
    mailboxes: list[str] = field(default_factory=list)
    missing: list[Item] = field(default_factory=list)  # their files are gone, or a later release's


def restore(
    store: Store,
    source: str,
    account_ids: Sequence[int],
    wanted: Filter,
    residence: Residence,
    *,
    into: str | None = None,
    quota: Quota = NO_QUOTA,
) -> Restored:
    """What shard `source` keeps of these accounts and `wanted` takes, into the account of `residence`, which may be
    another one: an account that was removed and added again. `into`: a mailbox for all; else each goes where it was:
    into the mailbox with its number, whatever the name by now, or into one of its old name, made where it is
    absent. Not for the event loop's thread. Raises OverQuota (what came before it
    stays), StaleEpoch, Unavailable, DiskFull."""
    target = store.shard(residence.shard)
    target.grant(residence.account_id, residence.epoch)
    site = store.shard(source).site
    result = Restored()
    boxes: dict[str, list[Item]] = {}
    own = {mailbox.id: mailbox.name for mailbox in target.mailboxes(residence)}
    for item in _found(site, account_ids, wanted):
        here = item.account_id == residence.account_id and source == residence.shard
        name = into or (own.get(item.mailbox_id, item.mailbox) if here else item.mailbox)
        boxes.setdefault(check_name(name, target.site.limits), []).append(item)
    with asyncio.Runner() as runner:
        for name, items in boxes.items():
            with suppress(AlreadyExists):
                target.create(residence, name)
            result.mailboxes.append(name)
            for some in _batches(items):
                try:
                    _bring(store, runner, source, residence, name, some, quota, result)
                except OverQuota as error:
                    done = result.messages
                    raise OverQuota(
                        f"{error}; {done} messages were restored; raise the quota, then call it again"
                    ) from error
    return result


def _found(site: Site, account_ids: Sequence[int], wanted: Filter) -> list[Item]:
    """With their files in the vault: those of what is expunged just now have to be brought there first, and with some
    it is only then that it is known who sent them."""
    place_waiting(site)
    items = list(find(site, account_ids, wanted))
    if not all(item.name for item in items):  # expunged since then
        place_waiting(site)
        items = list(find(site, account_ids, Filter(ids=frozenset(item.id for item in items))))
    return items


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    octets = 0
    for item in items:
        if batch and (len(batch) >= _MESSAGES or octets + item.size > _OCTETS):
            yield batch
            batch, octets = [], 0
        batch.append(item)
        octets += item.size
    if batch:
        yield batch


def _bring(
    store: Store,
    runner: asyncio.Runner,
    source: str,
    residence: Residence,
    mailbox: str,
    items: Sequence[Item],
    quota: Quota,
    result: Restored,
) -> None:
    """One append, one commit; then the rows of the vault, in another one."""
    site = store.shard(source).site
    with ExitStack() as stack:
        present: list[Item] = []
        messages: list[NewMessage] = []
        for item in items:
            path = site.path / item.path
            fd = open_file(path) if parse_name(path.name).readable else None
            if fd is None:
                if _is_there(site, item):  # not restored or pruned meanwhile
                    result.missing.append(item)
                continue
            body = Body.of_descriptor(fd)
            stack.callback(body.close)
            present.append(item)
            messages.append(_message(item, body))
        if not messages:
            return
        _append(store, runner, residence, mailbox, messages, quota)
    site.write(lambda connection: take_out(site, connection, [item.id for item in present]), alone=True)
    site.changed.set()
    result.messages += len(present)
    result.octets += sum(item.size for item in present)


def _is_there(site: Site, item: Item) -> bool:
    with site.read() as connection:
        found = connection.exec_driver_sql("SELECT 1 FROM vault WHERE id = ?", (item.id,)).fetchone()
    return found is not None


def _append(
    store: Store,
    runner: asyncio.Runner,
    residence: Residence,
    mailbox: str,
    messages: Sequence[NewMessage],
    quota: Quota,
) -> None:
    """Until each is in the mailbox. A key that is known from a restore that was cut short speaks of a message that
    may have been expunged since; it then comes once more, under a key of that one's UID."""
    shard = store.shard(residence.shard)
    while messages:
        done = runner.run(store.append(residence, mailbox, messages, quota=quota))
        twice = [(each.uid, each.uid) for each in done if each.duplicate]
        number = shard.mailbox(residence, mailbox).id
        here = {uid for (uid,) in shard.rows(residence, number, twice, ["uid"])} if twice else set()
        messages = [
            replace(message, dedupe=f"{message.dedupe}/{each.uid}")
            for message, each in zip(messages, done, strict=True)
            if each.duplicate and each.uid not in here
        ]


def _message(item: Item, body: Body) -> NewMessage:
    return NewMessage(
        body,
        flags=tuple(flag for flag in item.flags.split() if flag != "\\Deleted"),
        internaldate=item.internaldate,
        internaldate_zone=item.zone,
        dedupe=f"vault/{parse_name(item.file).unique}/{item.restored}",
    )


def restore_one(
    store: Store,
    source: str,
    item: Item,
    residence: Residence,
    *,
    into: str | None = None,
    quota: Quota = NO_QUOTA,
) -> Restored:
    """As `restore`, one message that somebody has before their eyes. Raises NotFound when it has left the vault."""
    wanted = Filter(ids=frozenset({item.id}))
    result = restore(store, source, [item.account_id], wanted, residence, into=into, quota=quota)
    if not result.messages:
        raise NotFound(f"message {item.id} is not in the vault of shard {source} any more")
    return result
