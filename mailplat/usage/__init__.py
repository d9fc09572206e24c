"""What the users of each domain get of the platform, hour by hour: logins, octets, mail that came and how late.

    counts    the counters, and what they count
    meter     Meter: in the memory of one process; doors and delivery count into it
    book      UsageBook: the table `usage`, to which all processes add
    keeping   every few seconds from the one to the other; old hours go

    usage(domain, hour, home, logins ... later_600)     one row for each hour in which something was counted

Of accounts that are served here and of those that are passed through to a backend alike: `home` is the account's home
as its route says it, so that an hour in which accounts moved tells what was before and what after. What it is for:
domains that have moved are compared with others that have not (migration/gates.py). It is no bill and no log: names,
addresses and mailboxes are not in it.

Crash table

    step           true then                               the next start
    (count)        in memory alone                         those seconds are lost: figures are a little too low
    usage.added    in the table, and not in memory         nothing to do
    (in doubt)     perhaps in the table                    not added again: too low rather than doubled

Losing seconds is harmless, since every figure is a share of another that loses the same seconds.

Invariants. Counting never waits, never fails, and never asks the database. The loss of all of it loses no mail. What
the platform reads by itself (directory/reading_passes.py) is no user's and is not counted. Who is no account of ours
is not counted: it would be a count of guesses.
"""

from mailplat.usage.book import UsageBook, UsageRow
from mailplat.usage.counts import Counts
from mailplat.usage.keeping import UsageKeeper
from mailplat.usage.meter import Meter, Tap

__all__ = ["Counts", "Meter", "Tap", "UsageBook", "UsageKeeper", "UsageRow"]
