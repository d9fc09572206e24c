"""One file a format, named after it with dashes: `Options`, what its table may say, and `read(options, folder)`, its
entries. The folder is the registry. Formats import from the room above them, never from each other.

`read` raises InvalidInput or Unavailable where a source as a whole cannot be read; what is wrong with a single entry
is a Remark. It holds one entry at a time.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailplat.core.errors import InvalidInput
from migration.directory.entries import Entries
from migration.directory.options import Options


@dataclass(frozen=True, slots=True)
class Format:
    options: type[Options]
    read: Callable[[Any, Path], Entries]


def names() -> list[str]:
    return sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(__path__))


def find(name: str) -> Format:
    """Raises InvalidInput."""
    if name not in names():
        raise InvalidInput(f"{name!r} is no format; known: {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return Format(module.Options, module.read)
