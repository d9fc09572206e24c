"""How many messages may be gone before a person is asked."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """Read by migration/brake.py and migration/back/round.py."""

    # Messages of an account that one round may find gone, whatever share they are: whoever has ten mails may delete
    # five of them. What is explained (docs/migration.md, Halts) does not count.
    free: int = limit(20, zero=True)
    # Beyond these, so many halt the move: a source that shows nothing is more often a disk that is not mounted than a
    # tidy user.
    number: int = limit(100, least=1)
    # And so does this share of the account's messages: of a small account 100 may be all.
    share: float = limit(0.05, most=1.0)

    def held(self, gone: int, total: int) -> str:
        """By what `gone` of `total` messages are too many; "" where they are not."""
        if gone <= self.free:
            return ""
        if gone > self.number:
            return f"more than {self.number}"
        return f"more than {100 * self.share:g} %" if gone > self.share * total else ""
