"""Postfix's virtual_mailbox_maps as text: `address place`. Says which accounts there are; where their mail lies says
the backend, and their passwords come from another source.
"""

from pathlib import Path

from mailplat.core.errors import InvalidInput
from migration.directory import postmap
from migration.directory.addresses import address
from migration.directory.entries import AccountEntry, Entries, Remark
from migration.directory.options import MapOptions, domain_option


class Options(MapOptions):
    pass


def read(options: Options, folder: Path) -> Entries:
    origin = domain_option(options.origin)
    for pair in postmap.pairs(options.path(folder)):
        if isinstance(pair, Remark):
            yield pair
        elif pair.key.startswith("@"):
            yield Remark(
                pair.place,
                f"{pair.key[:80]} is a mailbox for every address of a domain; make it an account with a catch-all:"
                " mailplat alias add @DOMAIN ADDRESS",
            )
        else:
            try:
                yield AccountEntry(address(pair.key, origin), pair.place)
            except InvalidInput as error:
                yield Remark(pair.place, str(error))
