"""Plans as TOML: what is read is what was written, and what cannot be is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from migration.plan.document import LimitTerms, PlanTerms, WaveTerms, WindowTerms, parse
from migration.plan.writing import render

TEXT = """
plan = "old"
[[wave]]
name = "alpha"
position = 1
domains = ["a.example", "B\u00fccher.example"]
bake = 12
[wave.window]
days = ["mon", "tue"]
opens = "22:00"
closes = "06:00"
zone = "Europe/Berlin"
[wave.backends.old]
connections = 2
latency = 0.05
[[wave]]
name = "rest"
position = 2
domains = ["c.example"]
"""


def test_a_plan_is_read() -> None:
    plan = parse(TEXT, "old.toml")
    first, second = plan.in_order()
    assert first.domains == ["a.example", "xn--bcher-kva.example"]
    assert (first.bake, first.window.zone, first.backends["old"]) == (
        12.0,
        "Europe/Berlin",
        LimitTerms(connections=2, latency=0.05),
    )
    assert (second.error_budget, second.approval, second.copy_ahead) == (0.02, True, True)
    assert (second.bake, second.on_breach, second.unknown_passwords) == (24.0, "halt", False)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bake = 12", "bakes = 12", "unknown key wave.alpha.bakes; the nearest known key is wave.alpha.bake"),
        (
            "opens =",
            "opened =",
            "unknown key wave.alpha.window.opened; the nearest known key is wave.alpha.window.opens",
        ),
        (
            "connections",
            "conections",
            "wave.alpha.backends.old.conections; the nearest known key is wave.alpha",
        ),
        ('plan = "old"', 'plans = "old"', "unknown key plans; the nearest known key is plan"),
        ("bake = 12", 'bake = "long"', "wave.alpha.bake: "),
        ("bake = 12", "bake = -1", "wave.alpha.bake: "),
        ("bake = 12", "bake = inf", "wave.alpha.bake: "),
        ("bake = 12", "bake = 1e20", "wave.alpha.bake: "),
        ("bake = 12", "bake = nan", "wave.alpha.bake: "),
        ("bake = 12", "error_budget = nan", "wave.alpha.error_budget: "),
        ("bake = 12", "error_budget = 2", "wave.alpha.error_budget: "),
        ("bake = 12", 'on_breach = "shrug"', "wave.alpha.on_breach: "),
        ("Europe/Berlin", "Europe/Atlantis", "wave.alpha.window: 'Europe/Atlantis' is no time zone"),
        ("22:00", "25:00", "'25:00' is no time of day"),
        ("22:00", "06:00", "a window from 06:00 to 06:00 is never open"),
        ('"mon", "tue"', "", "a window without days"),
        ('"mon", "tue"', '"monday"', "wave.alpha.window.days.0: "),
        ('"rest"', '"alpha"', "two waves are called alpha"),
        ('"rest"', '"the rest"', "'the rest' is no name"),
        ("position = 2", "position = 1", "two waves have position 1"),
        ("c.example", "a.example", "domain a.example is named more than once"),
        ("c.example", "nodots", "'nodots' is no domain name"),
        ("[[wave]]", "[[wave", "old.toml: "),
        ("position = 2\n", "", "wave.rest.position: Field required"),
    ],
)
def test_what_cannot_be_is_named(old: str, new: str, said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse(TEXT.replace(old, new), "old.toml")
    assert str(raised.value).startswith("old.toml: ")
    assert said in str(raised.value)


waves = st.lists(
    st.builds(
        WaveTerms,
        name=st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True).filter(lambda name: name != "localhost"),
        position=st.integers(1, 10_000),
        domains=st.lists(st.from_regex(r"[a-z]{1,9}\.test", fullmatch=True), max_size=4),
        error_budget=st.floats(0, 1),
        approval=st.booleans(),
        bake=st.floats(0, 1000),
        copy_ahead=st.booleans(),
        on_breach=st.sampled_from(["halt", "rollback-domain"]),
        unknown_passwords=st.booleans(),
        window=st.just(WindowTerms(days=["sun"], opens="23:59", closes="00:01", zone="America/New_York")),
        backends=st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
            st.builds(LimitTerms, connections=st.integers(1, 99), latency=st.floats(0, 9)),
            max_size=2,
        ),
    ),
    max_size=5,
)


@given(waves)
def test_what_is_written_is_read_again(found: list[WaveTerms]) -> None:
    try:
        plan = PlanTerms(plan="old", wave=found)
    except ValueError:
        return  # two of one name, position or domain
    read = parse(render(plan, {each.name: "a note\nof two lines" for each in found}), "x")
    assert read.in_order() == plan.in_order()
