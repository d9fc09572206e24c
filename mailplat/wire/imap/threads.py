"""THREAD: messages to trees, by subject or by references, and trees to a reply (RFC 5256 3, 4).

Both algorithms are linear but for sorting, whatever the messages say, and nothing here recurses: a chain of 10,000
replies, or one message with as many references, is no more work than as many unrelated messages.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Parentheses inside each other. Real threads branch some twenty times on one path; clients that read a reply by
# recursion must survive what strangers send. What lies deeper is written as one line of descent.
MAX_NESTING = 100

# A node is a UID, or below 0 a message that is not there ("dummy").
Node = int


class Threadable(NamedTuple):
    """What threading knows of a message. IDs are numbers, 0 is none; references end with the parent."""

    uid: int
    sent: int  # RFC 5256 2.2
    subject: str  # base subject in the form that is compared
    is_reply: bool  # or a forward, by its subject
    id: int = 0
    references: Sequence[int] = ()


@dataclass(slots=True)
class Forest:
    """Every UID is in it once. A dummy is a root with two children or more."""

    roots: list[Node] = field(default_factory=list)
    children: dict[Node, list[Node]] = field(default_factory=dict)


def by_subject(messages: Sequence[Threadable]) -> Forest:
    """ORDEREDSUBJECT: of each base subject the message sent first, and the others its children. `messages` are in
    UID order."""
    forest = Forest()
    first: dict[str, Node] = {}
    for message in sorted(messages, key=lambda message: message.sent):
        root = first.setdefault(message.subject, message.uid)
        if root == message.uid:
            forest.roots.append(root)  # ascending by the date of the first message, as is asked for
        else:
            forest.children.setdefault(root, []).append(message.uid)
    return forest


def by_references(messages: Sequence[Threadable]) -> Forest:
    """REFERENCES. `messages` are in UID order."""
    return _References(messages).forest()


class _References:
    """The six steps of RFC 5256 3. Step 1 is done in two passes with the same outcome, unless references contradict
    each other to the point of a loop: then what a message says of its own parent outranks what others say of it. So
    a link, once made, is never broken, and whether another one would close a loop is asked of a union-find
    structure."""

    def __init__(self, messages: Sequence[Threadable]) -> None:
        self._messages = messages
        self._by_uid = {message.uid: message for message in messages}
        self._node_of: dict[int, Node] = {}  # by ID
        for message in messages:
            if message.id:
                # Of two messages with one ID the second has none (step 1).
                self._node_of.setdefault(message.id, message.uid)
        self._dummies = 0
        self._parent: dict[Node, Node] = {}
        self._group: dict[Node, Node] = {}  # union-find: towards the representative of the tree
        self._children: defaultdict[Node, list[Node]] = defaultdict(list)
        self._grown: set[Node] = set()  # by step 5: to be sorted again

    def forest(self) -> Forest:
        self._link()
        roots = self._prune()
        for siblings in self._children.values():
            siblings.sort(key=self._place)  # step 6, for these; a dummy is only ever a root
        roots.sort(key=self._place)  # step 4
        roots = self._group_subjects(roots)  # step 5; what changed is sorted there
        roots.sort(key=self._place)
        return Forest(roots, dict(self._children))

    def _link(self) -> None:
        """Steps 1 and 2. B first: the last reference is the parent. Then A: of the others each is the parent of the
        next, where that one has none."""
        for message in self._messages:
            if message.references:
                self._adopt(self._node(message.references[-1]), message.uid)
        for message in self._messages:
            for elder, younger in zip(message.references, message.references[1:], strict=False):
                child = self._node(younger)
                # A message that names no parent keeps none of those that were found for it before its turn (1.B).
                if child not in self._parent and child < message.uid:
                    self._adopt(self._node(elder), child)

    def _node(self, reference: int) -> Node:
        node = self._node_of.get(reference)
        if node is None:
            node = self._node_of[reference] = self._dummy()
        return node

    def _dummy(self) -> Node:
        self._dummies += 1
        return -self._dummies

    def _adopt(self, parent: Node, child: Node) -> None:
        """`child` has no parent yet, so it is the top of its tree: a loop is where `parent` is in the same one."""
        above, below = self._representative(parent), self._representative(child)
        if above != below:
            self._parent[child] = parent
            self._group[below] = above

    def _representative(self, node: Node) -> Node:
        group = self._group
        while (above := group.get(node, node)) != node:
            group[node] = group.get(above, above)  # halves the path for the next who asks
            node = above
        return node

    def _prune(self) -> list[Node]:
        """Step 3: dummies go, their children take their place; but at the top one stays for two or more."""
        anchors: dict[Node, Node] = {}
        roots: list[Node] = []
        for message in self._messages:
            parent = self._parent.get(message.uid)
            if parent is None:
                roots.append(message.uid)
            else:
                self._children[self._anchor(parent, anchors)].append(message.uid)
        for node in [node for node in self._children if node < 0]:
            if len(self._children[node]) > 1:
                roots.append(node)
            else:
                roots += self._children.pop(node)
        return roots

    def _anchor(self, node: Node, anchors: dict[Node, Node]) -> Node:
        """The nearest message at or above `node`, or the dummy at the top."""
        passed: list[Node] = []
        while node < 0 and node in self._parent:
            if node in anchors:
                node = anchors[node]
                break
            passed.append(node)
            node = self._parent[node]
        for each in passed:
            anchors[each] = node
        return node

    def _speaker(self, node: Node) -> Threadable:
        """The message that gives a node its date and subject: itself, or the first child of a dummy."""
        return self._by_uid[node if node > 0 else self._children[node][0]]

    def _place(self, node: Node) -> tuple[int, int]:
        """RFC 5256 2.2: by sent date, then by sequence number."""
        speaker = self._speaker(node)
        return speaker.sent, speaker.uid

    def _group_subjects(self, roots: list[Node]) -> list[Node]:
        """Step 5: threads of one base subject become one."""
        table = self._subject_table(roots)
        kept: dict[Node, None] = dict.fromkeys(roots)
        for root in roots:
            speaker = self._speaker(root)
            other = table.get(speaker.subject, root)  # itself, where the subject is empty
            if other == root or root not in kept:
                continue
            if other < 0 and root < 0:
                self._append(other, self._children.pop(root))
            elif other < 0 or (speaker.is_reply and not self._by_uid[other].is_reply):
                self._append(other, [root])
            else:
                dummy = table[speaker.subject] = self._dummy()
                del kept[other]
                kept[dummy] = None
                self._append(dummy, [other, root])
            del kept[root]
        for grown in self._grown:
            self._children[grown].sort(key=self._place)
        return list(kept)

    def _subject_table(self, roots: list[Node]) -> dict[str, Node]:
        table: dict[str, Node] = {}
        for root in roots:
            speaker = self._speaker(root)
            if not speaker.subject:
                continue
            other = table.setdefault(speaker.subject, root)
            better = root < 0 or (self._speaker(other).is_reply and not speaker.is_reply)
            if other > 0 and better:
                table[speaker.subject] = root
        return table

    def _append(self, parent: Node, children: Sequence[Node]) -> None:
        self._children[parent].extend(children)
        self._grown.add(parent)


def thread_line(forest: Forest, number: Callable[[int], int]) -> bytes:
    """THREAD (RFC 5256 4): a line of descent as `(1 2 3)`, several children as lists in parentheses: `(1 (2)(3 4))`,
    and `((1)(2))` below a dummy. `number` is what the client calls a message of that UID."""
    written: list[bytes] = [b"* THREAD"]
    if forest.roots:
        written.append(b" ")
    # What is still to be written, the next last: ")" as None, else a node that opens a list, and its depth.
    pending: list[tuple[Node, int] | None] = [(root, 1) for root in reversed(forest.roots)]
    while pending:
        opening = pending.pop()
        if opening is None:
            written.append(b")")
            continue
        node, depth = opening
        descent, branches = _descent(forest, node) if depth < MAX_NESTING else (_all_below(forest, node), ())
        written.append(b"(" + b" ".join([b"%d" % number(uid) for uid in descent]))
        if branches and descent:
            written.append(b" ")
        pending.append(None)
        pending += [(branch, depth + 1) for branch in reversed(branches)]
    written.append(b"\r\n")
    return b"".join(written)


def _descent(forest: Forest, node: Node) -> tuple[list[Node], Sequence[Node]]:
    """From `node` down for as long as there is one child; then the children that follow."""
    line: list[Node] = []
    while True:
        if node > 0:
            line.append(node)
        below = forest.children.get(node, ())
        if len(below) != 1:
            return line, below
        node = below[0]


def _all_below(forest: Forest, node: Node) -> list[Node]:
    found: list[Node] = []
    pending = [node]
    while pending:
        node = pending.pop()
        if node > 0:
            found.append(node)
        pending += reversed(forest.children.get(node, ()))
    return found
