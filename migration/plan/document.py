"""A plan as its TOML file says it."""

import re
import tomllib
import typing
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator

from mailplat.app.keys import unknown_keys
from mailplat.app.sections import Section
from mailplat.core.errors import InvalidInput
from mailplat.directory.names import domain_key
from migration.plan.window import WEEKDAYS, Window, minutes

# No name of a wave is that of a domain, which has a dot or is this.
_NAME = re.compile(r"(?!localhost\Z)[A-Za-z0-9_-]{1,64}", re.ASCII)

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class WindowTerms(Section):
    days: list[Day] = Field(default_factory=lambda: list(typing.get_args(Day)))
    opens: str = "00:00"
    closes: str = "24:00"  # before `opens`: on the next day
    zone: str = "UTC"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if minutes(self.opens) == minutes(self.closes) or minutes(self.opens) == minutes("24:00"):
            raise ValueError(f"a window from {self.opens} to {self.closes} is never open")
        if not self.days:
            raise ValueError("a window without days is never open")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{self.zone!r} is no time zone, such as Europe/Berlin") from error
        return self

    def window(self) -> Window:
        days = frozenset(WEEKDAYS.index(each) for each in self.days)
        return Window(days, minutes(self.opens), minutes(self.closes), ZoneInfo(self.zone))


class LimitTerms(Section):
    """Of one backend, while the wave is under way. The settings' hold beside it: the lower one counts."""

    connections: int = Field(ge=1)
    latency: float = Field(ge=0, le=3600, allow_inf_nan=False)  # seconds; 0: never slowed down


class WaveTerms(Section):
    name: str
    position: int = Field(ge=1)
    domains: list[str]
    # Share of the accounts that may be halted, or whose fence was taken back: 2 % (research/migration.md 4.30)
    error_budget: float = Field(default=0.02, ge=0, le=1, allow_inf_nan=False)
    approval: bool = True
    # Hours from the last cutover until it is judged: one day, since mail has a rhythm of days; a year at most
    bake: float = Field(default=24.0, ge=0, le=8784, allow_inf_nan=False)
    # The next wave is copied while this one bakes: without it thirty waves take sixty days (docs/scaling.md)
    copy_ahead: bool = True
    on_breach: Literal["halt", "rollback-domain"] = "halt"
    unknown_passwords: bool = False
    window: WindowTerms = WindowTerms()
    backends: dict[str, LimitTerms] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: letters, digits, dash and underscore, 64 at most")
        return name

    @field_validator("domains")
    @classmethod
    def _keys(cls, domains: list[str]) -> list[str]:
        try:
            return [domain_key(each) for each in domains]
        except InvalidInput as error:
            raise ValueError(str(error)) from error


class PlanTerms(Section):
    plan: str
    wave: list[WaveTerms] = Field(default_factory=list)

    @field_validator("plan")
    @classmethod
    def _named(cls, name: str) -> str:
        return WaveTerms._named(name)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        domains = Counter(domain for wave in self.wave for domain in wave.domains)
        yield from (f"domain {each} is named more than once" for each, count in domains.items() if count > 1)
        names = Counter(wave.name for wave in self.wave)
        yield from (f"two waves are called {each}" for each, count in names.items() if count > 1)
        places = Counter(wave.position for wave in self.wave)
        yield from (f"two waves have position {each}" for each, count in places.items() if count > 1)

    def in_order(self) -> list[WaveTerms]:
        return sorted(self.wave, key=lambda each: each.position)


def parse(text: str, where: str) -> PlanTerms:
    """Raises InvalidInput with one line that names the key, what is wrong and the nearest known key; `where` is named
    too."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{where}: {error}") from error
    unknown = next(_unknown(content), None)
    if unknown:
        raise InvalidInput(f"{where}: {unknown}")
    try:
        return PlanTerms.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in _place(content, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{where}: {place}: {said}" if place else f"{where}: {said}") from error


def _unknown(content: dict[str, Any]) -> Iterator[str]:
    yield from unknown_keys(PlanTerms, content, ())
    waves = content.get("wave")
    for number, wave in enumerate(waves if isinstance(waves, list) else []):
        if isinstance(wave, dict):
            yield from unknown_keys(WaveTerms, wave, ("wave", _called(wave, number)))


def _place(content: dict[str, Any], place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """With the name of a wave and not its number."""
    if len(place) > 1 and place[0] == "wave" and isinstance(place[1], int):
        return ("wave", _called(content["wave"][place[1]], place[1]), *place[2:])
    return place


def _called(wave: Any, number: int) -> str:
    name = wave.get("name") if isinstance(wave, dict) else None
    return name if isinstance(name, str) else str(number + 1)
