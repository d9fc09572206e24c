from mailplat.bus.memory import Counters, slide
from mailplat.core.clock import ManualClock


def test_counters_are_bounded_and_forget_the_longest_unused() -> None:
    counters = Counters(ManualClock(), limit=3)
    for key in ("a", "b", "c"):
        counters.add(key, 60, 1)
    counters.add("a", 60, 1)
    counters.add("d", 60, 1)
    assert counters.add("a", 60, 0) == 2
    assert counters.add("b", 60, 0) == 0


def test_windows_of_one_key_are_apart() -> None:
    counters = Counters(ManualClock())
    counters.add("k", 60, 3)
    assert counters.add("k", 3600, 1) == 1


def test_slide() -> None:
    assert slide(5, 10, 0.0) == 15
    assert slide(5, 10, 1.0) == 5
