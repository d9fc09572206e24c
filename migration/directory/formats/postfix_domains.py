"""Postfix's virtual_mailbox_domains: a text map `domain anything`, or a list with a domain in each line."""

from pathlib import Path

from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.directory.entries import DomainEntry, Entries, Remark
from migration.directory.lines import logical
from migration.directory.options import MapOptions


class Options(MapOptions):
    pass


def read(options: Options, folder: Path) -> Entries:
    for line in logical(options.path(folder)):
        if isinstance(line, Remark):
            yield line
            continue
        name = line.text.split()[0].rstrip(",")
        try:
            yield DomainEntry(domain_key(name), line.place)
        except InvalidInput as error:
            yield Remark(line.place, str(error))
