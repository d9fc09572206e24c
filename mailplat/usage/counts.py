"""The counters of one domain, hour and home."""

from dataclasses import dataclass, fields

# Seconds: from these on a delivery is late, later, too late. 60 s is when people begin to wait for a mail that they
# were told of on the phone; 600 s is behind the first retries of a sender that was deferred.
LATE_S = (10, 60, 600)


@dataclass(slots=True)
class Counts:
    """Every field is a column; all are sums."""

    logins: int = 0  # that succeeded, here or at the backend
    refused: int = 0  # wrong password, of accounts that there are
    users: int = 0  # accounts that logged in; each once an hour in each process
    prompted: int = 0  # accounts that were refused, likewise: their owners were asked for a password
    octets: int = 0  # to clients over IMAP and POP3 after the login, as they are on the wire but for TLS
    delivered: int = 0  # recipients: into a shard, or taken by the next hop
    deferred: int = 0  # attempts for a recipient that are to be made again, by us or by whom we told to
    failed: int = 0  # recipients whose sender was told that it is over
    delay_ms: int = 0  # from our 250 to the delivery, of all that were delivered
    later_10: int = 0  # delivered more than 10 s after our 250
    later_60: int = 0
    later_600: int = 0

    def add(self, other: "Counts") -> None:
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


NAMES = tuple(each.name for each in fields(Counts))
