"""The description of a legacy platform's directory: a TOML file that names a backend and where its accounts stand.

backend = "old"                     # the accounts' home
domains = ["customer.example"]      # take these alone; without it all
add_domains = true                  # a domain of an account need not be listed by a source

[[source]]                          # as many as there are; what an earlier one says of an account holds
format = "dovecot-passwd-file"
file = "/etc/dovecot/users"
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.directory import formats
from migration.directory.entries import Entry
from migration.directory.options import Options

M = TypeVar("M", bound=BaseModel)


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    backend: str
    domains: list[str] = []
    add_domains: bool = False
    source: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Source:
    number: int  # from 1, in the order of the file
    options: Options
    folder: Path

    def entries(self) -> Iterator[Entry]:
        """Raises InvalidInput, Unavailable where it cannot be read."""
        return formats.find(self.options.format).read(self.options, self.folder)


@dataclass(frozen=True, slots=True)
class Description:
    path: Path  # absolute
    backend: str
    domains: frozenset[str]  # empty: all
    add_domains: bool
    sources: tuple[Source, ...]

    def covers(self, domain: str) -> bool:
        return not self.domains or domain in self.domains


def load(path: Path) -> Description:
    """Raises InvalidInput that names the file and the key; no value is in the text, it could be a password."""
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        head = _checked(_Head, content, "")
        if not head.source:
            raise InvalidInput("there is no [[source]]")
        sources = tuple(
            Source(number, _options(table, f"source {number}: "), path.resolve().parent)
            for number, table in enumerate(head.source, 1)
        )
        domains = frozenset(domain_key(name) for name in head.domains)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error
    return Description(path.resolve(), head.backend, domains, head.add_domains, sources)


def _options(table: dict[str, Any], place: str) -> Options:
    name = table.get("format")
    if not isinstance(name, str):
        raise InvalidInput(f"{place}format is missing; known: {', '.join(formats.names())}")
    return _checked(formats.find(name).options, table, place)


def _checked(model: type[M], content: dict[str, Any], place: str) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        known = f"; known: {', '.join(model.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise InvalidInput(f"{place}{key}: {first['msg']}{known}") from None
