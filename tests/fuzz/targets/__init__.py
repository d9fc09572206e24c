"""One file a target; the directory is the registry."""

import pkgutil
from importlib import import_module
from typing import cast

from tests.fuzz.engine import Target


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def target(name: str) -> Target:
    return cast(Target, import_module(f"{__name__}.{name}"))
