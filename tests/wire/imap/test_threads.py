"""THREAD's algorithms against the RFC's words, and against what hostile mail makes of them."""

import re
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.wire.imap.threads import (
    MAX_NESTING,
    Forest,
    Threadable,
    by_references,
    by_subject,
    thread_line,
)


def shown(forest: Forest) -> str:
    return thread_line(forest, int).decode().removeprefix("* THREAD").strip()


def uids(forest: Forest) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", shown(forest))]


def letter(
    uid: int, own: int = 0, *references: int, subject: str = "", reply: bool = False, sent: int = 0
) -> Threadable:
    return Threadable(uid, sent or uid, subject, reply, own, references)


def test_by_subject() -> None:
    """Threads by the date of their first message; its children by date."""
    messages = [
        letter(1, subject="B", sent=30),
        letter(2, subject="A", sent=20),
        letter(3, subject="B", sent=10),
        letter(4, subject="A", sent=40),
        letter(5, subject="B", sent=30),
        letter(6, subject="", sent=5),
    ]
    assert shown(by_subject(messages)) == "(6)(3 (1)(5))(2 4)"


@pytest.mark.parametrize(
    ("messages", "line"),
    [
        ([], ""),
        ([letter(1), letter(2)], "(1)(2)"),
        ([letter(1, 10), letter(2, 20, 10), letter(3, 30, 10, 20)], "(1 2 3)"),
        ([letter(1, 10), letter(2, 20, 10), letter(3, 30, 10)], "(1 (2)(3))"),
        ([letter(1, 30, 10, 20), letter(2, 20, 10), letter(3, 10)], "(3 2 1)"),  # answers came first
        ([letter(1, 20, 10), letter(2, 30, 10)], "((1)(2))"),  # to a message that is not here
        ([letter(1, 20, 10)], "(1)"),
        ([letter(1, 30, 10, 20), letter(2, 40, 10, 21)], "((1)(2))"),  # two missing in between
        ([letter(1, 10), letter(2, 30, 10, 20), letter(3, 40, 10, 20)], "(1 (2)(3))"),  # a missing parent in between
        ([letter(1, 10), letter(2, 10), letter(3, 30, 10)], "(1 3)(2)"),  # one ID twice
        ([letter(1, 10, 10)], "(1)"),  # its own parent
        ([letter(1, 10, 20), letter(2, 20, 10)], "(2 1)"),  # each other's
        ([letter(1, 10, 20, 10, 20)], "(1)"),
        # 2 says nothing of a parent, but 3 does, later; and 1 did, too early (step 1.B)
        ([letter(1, 10), letter(2, 20), letter(3, 30, 10, 20)], "(1 2 3)"),
        ([letter(1, 30, 10, 20), letter(2, 20), letter(3, 10)], "(2 1)(3)"),
        # what a message says of its own parent counts, not what others say
        ([letter(1, 10), letter(2, 30, 10, 20), letter(3, 20, 11)], "(1)(3 2)"),
        # siblings and threads by date
        ([letter(1, 10, sent=9), letter(2, 20, 10, sent=8), letter(3, 30, 10, sent=7), letter(4, 40, sent=1)],
         "(4)(1 (3)(2))"),
        ([letter(1, 20, 10, sent=9), letter(2, 30, 10, sent=3), letter(3, sent=5)], "((2)(1))(3)"),
    ],
)  # fmt: skip
def test_by_references(messages: list[Threadable], line: str) -> None:
    assert shown(by_references(messages)) == line


@pytest.mark.parametrize(
    ("messages", "line"),
    [
        ([letter(1, subject="A"), letter(2, subject="A", reply=True)], "(1 2)"),
        ([letter(1, subject="A", reply=True), letter(2, subject="A")], "(2 1)"),
        ([letter(1, subject="A"), letter(2, subject="A")], "((1)(2))"),
        ([letter(1, subject="A"), letter(2, subject="A"), letter(3, subject="A", reply=True)], "((1)(2)(3))"),
        ([letter(1, subject="A", reply=True), letter(2, subject="A", reply=True)], "((1)(2))"),
        ([letter(1), letter(2)], "(1)(2)"),  # the empty subject groups nothing
        # a reply joins, then another that is none: X stays the parent of its reply
        ([letter(1, subject="A"), letter(3, subject="A", reply=True, sent=2), letter(4, subject="A", sent=3)],
         "((1 3)(4))"),
        # two dummies become one; a dummy takes what comes
        ([letter(1, 1, 9, subject="A"), letter(2, 2, 9), letter(3, 3, 8, subject="A"), letter(4, 4, 8)],
         "((1)(2)(3)(4))"),
        ([letter(1, subject="A", sent=5), letter(2, 2, 9, subject="A"), letter(3, 3, 9)], "((2)(3)(1))"),
        # only roots are looked at
        ([letter(1, 1, subject="A"), letter(2, 2, 1, subject="B"), letter(3, 3, subject="B")], "(1 2)(3)"),
    ],
)  # fmt: skip
def test_subjects_join_threads(messages: list[Threadable], line: str) -> None:
    """Step 5 of REFERENCES."""
    assert shown(by_references(messages)) == line


# The six steps as the RFC words them, on objects, in its order; with a walk for each look-out for a loop.


class Box:
    def __init__(self, message: Threadable | None) -> None:
        self.message = message
        self.parent: Box | None = None
        self.children: list[Box] = []

    def attach(self, child: "Box") -> None:
        above: Box | None = self
        while above is not None:
            if above is child:
                return
            above = above.parent
        child.parent = self
        self.children.append(child)

    def detach(self) -> None:
        if self.parent is not None:
            self.parent.children.remove(self)
            self.parent = None

    @property
    def speaker(self) -> Threadable:
        return self.message or self.children[0].speaker

    @property
    def place(self) -> tuple[int, int]:
        return self.speaker.sent, self.speaker.uid


def steps_one_to_three(messages: Iterable[Threadable]) -> list[Box]:
    table: dict[int, Box] = {}
    boxes: list[Box] = []

    def box(reference: int) -> Box:
        if reference not in table:
            table[reference] = Box(None)
            boxes.append(table[reference])
        return table[reference]

    for message in messages:
        if message.id and (message.id not in table or table[message.id].message is None):
            own = box(message.id)
            own.message = message
        else:
            own = Box(message)
            boxes.append(own)
        for elder, younger in zip(message.references, message.references[1:], strict=False):
            if box(younger).parent is None:
                box(elder).attach(box(younger))
        own.detach()
        if message.references:
            box(message.references[-1]).attach(own)

    def pruned(children: list[Box], top: bool) -> Iterator[Box]:
        for child in children:
            child.children = list(pruned(child.children, False))
            if child.message is None and (not top or len(child.children) < 2):
                yield from child.children
            else:
                yield child

    return list(pruned([each for each in boxes if each.parent is None], True))


def step_five(roots: list[Box]) -> list[Box]:
    table: dict[str, Box] = {}
    for root in roots:
        subject = root.speaker.subject
        old = table.get(subject)
        if subject and (
            old is None
            or (root.message is None and old.message is not None)
            or (old.message and old.message.is_reply and root.message and not root.message.is_reply)
        ):
            table[subject] = root
    kept = list(roots)
    for root in roots:
        other = table.get(root.speaker.subject, root)
        if other is root or root not in kept:
            continue
        kept.remove(root)
        if other.message is None and root.message is None:
            other.children += root.children
        elif other.message is None or (root.message and root.message.is_reply and not other.message.is_reply):
            other.children.append(root)
        else:
            kept.remove(other)
            table[root.speaker.subject] = dummy = Box(None)
            dummy.children = [other, root]
            kept.append(dummy)
    return kept


def in_order(boxes: list[Box]) -> list[Box]:
    for each in boxes:
        each.children = in_order(each.children)
    return sorted(boxes, key=lambda each: each.place)


def written(box: Box) -> str:
    own = str(box.message.uid) if box.message else ""
    if len(box.children) == 1:
        return f"{own} {written(box.children[0])}".strip()
    return f"{own} {''.join(f'({written(child)})' for child in box.children)}".strip()


def by_the_letter(messages: list[Threadable]) -> str:
    roots = in_order(step_five(in_order(steps_one_to_three(messages))))
    return "".join(f"({written(root)})" for root in roots)


def mailbox(references: Callable[[int], st.SearchStrategy[list[int]]]) -> st.SearchStrategy[list[Threadable]]:
    """Messages with IDs 1 to 8, in any order, with gaps and doubles."""

    def one(own: int) -> st.SearchStrategy[tuple[int, int, str, bool, list[int]]]:
        subjects = st.sampled_from(["", "A", "B", "C"])
        return st.tuples(st.just(own), st.integers(1, 4), subjects, st.booleans(), references(own))

    return st.lists(st.integers(0, 8).flatmap(one), max_size=8).map(
        lambda rows: [
            Threadable(uid, sent, subject, reply, own, others)
            for uid, (own, sent, subject, reply, others) in enumerate(rows, 1)
        ]
    )


# Real references agree on who is elder than whom: the smaller ID.
elder = mailbox(
    lambda own: st.lists(st.integers(1, max(own - 1, 1)), unique=True, max_size=4 if own > 1 else 0).map(
        sorted
    )
)
any_at_all = mailbox(lambda own: st.lists(st.integers(1, 9), max_size=5))


@given(elder)
def test_as_the_rules_stand(messages: list[Threadable]) -> None:
    """Where nobody contradicts himself to the point of a loop."""
    assert shown(by_references(messages)) == by_the_letter(messages)


@given(any_at_all)
def test_every_message_once_whatever_they_say(messages: list[Threadable]) -> None:
    forest = by_references(messages)
    assert sorted(uids(forest)) == [message.uid for message in messages]
    assert all(len(forest.children[root]) > 1 for root in forest.roots if root < 0)
    assert all(child > 0 for children in forest.children.values() for child in children)


@settings(max_examples=20)
@given(any_at_all)
def test_by_subject_every_message_once(messages: list[Threadable]) -> None:
    assert sorted(uids(by_subject(messages))) == [message.uid for message in messages]


COUNT = 10_000


@pytest.mark.parametrize(
    "messages",
    [
        [letter(n, n, n - 1) for n in range(1, COUNT)],
        [letter(n, n, n + 1) for n in range(1, COUNT)],
        [letter(n, n, n % 100 * 100 + n // 100) for n in range(1, COUNT)],
        [letter(1, 1, *range(2, COUNT))],
        [letter(1, 1, *range(COUNT, 1, -1)), *(letter(n, n, n + 1, n - 1) for n in range(2, COUNT))],
        # each would close a loop of everything that there is
        [
            *(letter(n, n, n - 1) for n in range(1, COUNT)),
            *(letter(n, n, COUNT, 1, COUNT, 1) for n in range(COUNT, 2 * COUNT)),
        ],
        [letter(n, 0, subject="A", reply=n % 2 == 0) for n in range(1, COUNT)],
    ],
    ids=["down", "up", "across", "one", "both ways", "loops", "subject"],
)
def test_hostile_chains(messages: list[Threadable]) -> None:
    """No recursion, and the time of as many unrelated messages; quadratic, each would take minutes."""
    assert len(uids(by_references(messages))) == len(messages)


def test_nesting_of_a_reply_is_bounded() -> None:
    """Each of a chain has a second child: each level opens a parenthesis, but only so many."""
    forest = Forest([1], {2 * n - 1: [2 * n, 2 * n + 1] for n in range(1, 300)})
    line = shown(forest)
    depth = deepest = 0
    for character in line:
        depth += {"(": 1, ")": -1}.get(character, 0)
        deepest = max(deepest, depth)
    assert depth == 0
    assert deepest == MAX_NESTING
    assert sorted(uids(forest)) == list(range(1, 600))


def test_example_of_the_rfc() -> None:
    """RFC 5256 4, the response's own examples."""
    forest = Forest([2, 3], {3: [6], 6: [4, 44], 4: [23], 44: [7], 7: [96]})
    assert shown(forest) == "(2)(3 6 (4 23)(44 7 96))"
    assert shown(Forest([-1], {-1: [3, 5]})) == "((3)(5))"
    assert thread_line(Forest(), int) == b"* THREAD\r\n"
