"""Postfix's virtual_alias_maps as text (virtual(5)): `address target, target`, `@domain target` for the catch-all,
`@domain @other` for a domain that is another's twin, `domain anything` for a virtual alias domain.
"""

from pathlib import Path

from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.directory import postmap
from migration.directory.addresses import aliases, split
from migration.directory.entries import DomainEntry, Entries, Remark
from migration.directory.options import MapOptions, domain_option


class Options(MapOptions):
    pass


def read(options: Options, folder: Path) -> Entries:
    origin = domain_option(options.origin)
    for pair in postmap.pairs(options.path(folder)):
        if isinstance(pair, Remark):
            yield pair
            continue
        try:
            items = split(pair.value)
        except InvalidInput as error:
            yield Remark(pair.place, f"alias {pair.key[:80]!r}: {error}")
            continue
        if "@" not in pair.key and "." in pair.key and len(items) == 1 and "@" not in items[0]:
            try:
                yield DomainEntry(domain_key(pair.key), pair.place)
                continue
            except InvalidInput:
                pass  # no name of a domain: one of a user, as the next says
        yield from aliases(pair.key, items, pair.place, origin)
