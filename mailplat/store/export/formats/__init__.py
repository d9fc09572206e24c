"""How mail is laid out for another server. The directory is the registry: a format is one file or package here, with
a class `Layout` in it."""

import importlib
import pkgutil
from typing import Any, Protocol

from mailplat.core.errors import InvalidInput
from mailplat.store.export.files import Files
from mailplat.store.export.picture import Picture
from mailplat.store.export.tree import Tree
from mailplat.store.export.types import ExportReport, Owner


class Layout(Protocol):
    """Writes through `tree` and `files`; adds mailboxes, remarks and needs to `report`."""

    def __init__(self, tree: Tree, files: Files, report: ExportReport) -> None: ...

    def account(self, owner: Owner, picture: Picture) -> dict[str, Any]:
        """All of an account. Returns its entry of the manifest."""
        ...

    def finish(self) -> None:
        """What concerns all accounts, once they are written."""
        ...


def known() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> type[Layout]:
    """Raises InvalidInput."""
    if name not in known():
        raise InvalidInput(f"no format is called {name!r}; known: {', '.join(known())}")
    layout: type[Layout] = importlib.import_module(f"{__name__}.{name}").Layout
    return layout
