"""Which keys a configuration may have: sections, tables of shards, and tables of limits."""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mailplat.core.limits import elsewhere


def unknown_keys(model: type, content: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    """One line for each key that is none, with the nearest known one. `model` is a BaseModel or a class of limits."""
    if dataclasses.is_dataclass(model):
        yield from (_unknown((*place, key), _keys(model)) for key in content if key not in _keys(model))
        return
    assert issubclass(model, BaseModel)
    fields = model.model_fields
    for key, value in content.items():
        if key not in fields:
            if model.model_config.get("extra") != "allow":
                yield _unknown((*place, key), fields)
            continue
        inner = fields[key].annotation
        if isinstance(inner, type) and _is_table(inner) and isinstance(value, dict):
            yield from unknown_keys(inner, value, (*place, key))
        elif typing.get_origin(inner) is dict and isinstance(value, dict):
            element = typing.get_args(inner)[1]
            for name, table in value.items():
                if isinstance(element, type) and issubclass(element, BaseModel) and isinstance(table, dict):
                    yield from unknown_keys(element, table, (*place, key, name))


def _is_table(kind: type) -> bool:
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)


def _keys(limits: type) -> list[str]:
    assert dataclasses.is_dataclass(limits)
    names = [field.name for field in dataclasses.fields(limits)]
    return [name for name in names if name not in elsewhere(limits)]


def _unknown(place: tuple[str, ...], known: Iterable[str]) -> str:
    near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.0)
    hint = ".".join((*place[:-1], near[0])) if near else "none"
    return f"unknown key {'.'.join(place)}; the nearest known key is {hint}"
