"""Which octets of an account were compared with the source's already. Kept in the ledger, mailbox by mailbox: what
was compared is not read again, neither for the next comparison nor after a pause, a crash or a fence that was taken
back. Messages never change (RFC 9051 2.3.1.1), so a UID says it all; `migrate resume` after a halt forgets it.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

# An account below this, in octets, is compared whole before it is READY: at what a source gives (some 50 MB/s) that
# takes 20 s. A larger one would be read twice for what a sample and everything new show as well.
WHOLE_BELOW = 1_000_000_000
# Of a larger account: of each mailbox as the first copy left it; what came later is compared whole.
SAMPLE_SHARE = 0.02
SAMPLE_LEAST = 10

Place = tuple[int, int]  # UIDVALIDITY, the UID below which it holds


@dataclass(slots=True)
class Compared:
    mailboxes: int = 0  # in the last comparison
    messages: int = 0
    hashed: int = 0  # messages whose octets were compared, in all comparisons together
    octets: int = 0
    whole: bool = False  # every message's, not a sample
    copied: dict[str, Place] = field(default_factory=dict)  # by mailbox: what the first copy brought
    below: dict[str, Place] = field(
        default_factory=dict
    )  # by mailbox: what was compared, or left out of the sample

    @classmethod
    def from_json(cls, text: str) -> "Compared":
        """Of what `to_json` made; {} is nothing compared."""
        values = json.loads(text)
        for name in ("copied", "below"):
            values[name] = {key: tuple(place) for key, place in values.get(name, {}).items()}
        return cls(**values)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    def counts(self) -> dict[str, int | bool]:
        """For people: `messages` of the last comparison, of `hashed` ones the octets too."""
        names = ("mailboxes", "messages", "hashed", "octets", "whole")
        return {name: getattr(self, name) for name in names}

    def choose(self, name: str, uidvalidity: int, uids: Sequence[int], choice: random.Random) -> list[int]:
        """Those of `uids` whose octets are still to be compared. A mailbox that was renamed counts as one that came
        after the first copy: what is known goes by the name, and one time more is better than one too few."""
        known, first = self.below.get(name), self.copied.get(name)
        if known is not None and known[0] == uidvalidity:
            return [uid for uid in uids if uid >= known[1]]
        if self.whole or (self.copied and first is None):
            return list(uids)
        old = [uid for uid in uids if first is None or (uid < first[1] and first[0] == uidvalidity)]
        count = min(len(old), max(SAMPLE_LEAST, int(len(old) * SAMPLE_SHARE)))
        return sorted([*choice.sample(old, count), *set(uids).difference(old)])
