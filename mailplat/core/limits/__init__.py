"""Limits as frozen dataclasses: each field is one limit, its comment is the reason, and settings take the class as it
is. `limit` says what a setting may say, where more than "above 0" is to be said."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def limit(
    default: T,
    *,
    least: float | None = None,
    most: float | None = None,
    setting: str = "",
    zero: bool = False,
) -> T:
    """The default of a field. `least` and `most`: what a setting may say; `zero`: 0 too; `setting`: the key that
    has it, where that is not of the same name."""
    metadata = {"least": least, "most": most, "setting": setting, "zero": zero}
    return dataclasses.field(default=default, metadata=metadata)


def elsewhere(limits: Any) -> dict[str, str]:
    """Fields of a class of limits that have a setting of another name, and its key."""
    return {
        field.name: field.metadata["setting"]
        for field in dataclasses.fields(limits)
        if field.metadata.get("setting")
    }


def check(limits: T) -> T:
    """What settings say of limits. Raises ValueError that names the first that cannot be."""
    for fault in _faults(limits):
        raise ValueError(fault)
    return limits


def _faults(limits: Any) -> Iterator[str]:
    for field in dataclasses.fields(limits):
        value = getattr(limits, field.name)
        if key := field.metadata.get("setting"):
            if value != field.default:
                yield f"{field.name} is set by {key}"
            continue
        least, most = field.metadata.get("least"), field.metadata.get("most")
        if value == 0 and field.metadata.get("zero"):
            continue
        if least is not None and value < least:
            yield f"{field.name} must be at least {least}"
        elif value <= 0:
            yield f"{field.name} must be more than 0"
        elif most is not None and value > most:
            yield f"{field.name} must be at most {most}"
