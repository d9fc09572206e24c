"""Reads a table of the configuration into a stage's frozen dataclass, strictly: an unknown key or a value of the
wrong kind is an error that names it and what would be right."""

import dataclasses
import difflib
import enum
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from mailplat.core.errors import InvalidInput

S = TypeVar("S")


def read(kind: type[S], table: Mapping[str, object], where: str) -> S:
    """`where` names the table in errors, such as "filter.limits". Field types may be bool, int, float, str,
    tuple[str, ...] and enums (by value). Raises InvalidInput; also passes on what the dataclass refuses itself."""
    assert dataclasses.is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise InvalidInput(f"{where}.{key} is no setting{nearest(key, known)}")
        values[key] = _convert(hints[key], value, f"{where}.{key}")
    return kind(**values)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the most similar known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


def _convert(hint: Any, value: object, where: str) -> object:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _member(hint, value, where)
    if typing.get_origin(hint) is tuple:
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise InvalidInput(f"{where} = {value!r} is wrong; write a list of strings")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise InvalidInput(f"{where} = {value!r} is wrong; write a {hint.__name__}")


def _member(kind: type[enum.Enum], value: object, where: str) -> enum.Enum:
    for member in kind:
        if value in (member, member.value):
            return member
    choices = [str(member.value) for member in kind]
    raise InvalidInput(f"{where} = {value!r} is wrong{nearest(str(value), choices)}")
