"""What is borne of a legacy platform: how long it may be silent, and how much it may say or show."""

from dataclasses import dataclass

from mailplat.core.limits import limit

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """Read by migration/sources; every backend carries them."""

    # Seconds until a connection stands and its server has greeted; who takes longer is away.
    connect: float = limit(10.0, most=300.0)
    # Seconds without an octet while an IMAP command is out; then the server is gone. Dovecot's first SELECT after a
    # crash can take more than 30.
    silence: float = limit(60.0, most=3600.0)
    # Seconds for one answer of POP3 or ManageSieve: longer than any server takes to open a large maildrop, short of
    # what a fence can wait.
    answer: float = limit(30.0, most=3600.0)
    # Seconds for one piece of work on the files of a mount: NFS lists some 10,000 names/s and gives some 100 MB/s.
    # Others do not wait so long for a mount that hangs: its lane refuses them.
    mount: float = limit(300.0, most=3600.0)
    # Octets of one message, decompressed where it lies so: what a literal may have. An account with a larger one does
    # not move on.
    message: int = limit(2**31, least=MIB)
    # Octets of a line of IMAP: short but for flags and names; a longer one is not IMAP.
    line: int = limit(MIB, least=16_384)
    # Octets of all lines of one answer of IMAP: ten times what a list of two million messages takes.
    lines: int = limit(2**31, least=MIB)
    # Octets of all literals of one answer of IMAP: what lies in the spool at once.
    literals: int = limit(2**34, least=MIB)
    # Octets of an answer of IMAP that are kept in memory until it is whole: a LIST of a million mailboxes.
    kept: int = limit(256 * MIB, least=MIB)
    # COMPRESS (RFC 4978): octets that one compressed octet may become, in the mean of a connection. Mail becomes two
    # or three; beyond the allowance it is a bomb.
    deflate_ratio: int = limit(50, least=5)
    # Octets beyond that mean: room for some messages of nothing but zeros.
    deflate_allowance: int = limit(512 * MIB, least=MIB)
    # Messages of a maildrop over POP3, which are listed at once.
    messages: int = limit(2_000_000, least=1)
    # Octets of one Sieve script: sixteen times what Pigeonhole takes by default.
    script: int = limit(16 * MIB, least=4096)
    # Octets of all scripts of an account.
    scripts_octets: int = limit(64 * MIB, least=4096)
    # Scripts of one account, and lines of any answer of ManageSieve: what it can do is some twenty.
    scripts: int = limit(1000, least=100)
    # Octets of the file that says whom a vacation has answered: a million of them.
    answers: int = limit(64 * MIB, least=4096)
    # Mailboxes of an account as files: more is a tree that leads in circles.
    mailboxes: int = limit(100_000, least=1)
    # Levels of folders in each other: more is such a circle too.
    depth: int = limit(64, least=2)
    # Octets of a server's own file beside a mailbox, as its list of UIDs: that of four million messages.
    index: int = limit(512 * MIB, least=MIB)
    # Octets of a list of rights (dovecot-acl).
    rights: int = limit(MIB, least=4096)
