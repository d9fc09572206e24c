"""The POP3 server: RFC 1939 with CAPA (2449), STLS (2595), SASL PLAIN (5034), response codes (3206), UTF8
and LANG (6856).

    server         Pop3Server: all sessions of the process; ends them when a route moves or the process leaves
    session        Session: one connection; lines -> commands -> replies; the states of RFC 1939
    authorization  USER, PASS, AUTH, STLS, UTF8: to the account's maildrop, or through to its backend
    language       LANG
    transaction    STAT, LIST, UIDL, RETR, TOP, DELE, RSET, NOOP
    maildrop       Maildrop: what INBOX was at login, and what the client wants deleted
    lock           one session an account, over all processes of the machine
    capability     what CAPA names when. Every limit, with its reason: core/limits/pop3

A maildrop is locked by flock(2) on SHARD/locks/ACCOUNT.pop3, an empty file that stays. The kernel gives the lock back
when the process dies.

Invariants
    * The maildrop is what it was at login: numbers, sizes and UIDLs of a session never change (RFC 1939 5). A message
      that IMAP expunged meanwhile keeps its number; RETR of it is refused.
    * Messages go at QUIT, all that were marked in one transaction, or not at all. A connection that ends otherwise
      deletes nothing.
    * STAT, LIST and UIDL are answered from the index; only RETR and TOP open a file, and hold one piece of it, or
      some small messages that were read ahead.
    * Each octet of a message is sent as it is kept, but to a client that has not said UTF8 where headers have UTF-8:
      that gets a surrogate (wire/mime/downgrade.py), since -ERR [UTF8] would keep the message from it for ever
      (RFC 6856 2.1). LIST and STAT have the sizes of what is kept: those of surrogates are known when a message is
      read, and to read them all is more than a login may cost.
    * Flags are IMAP's: reading over POP3 does not set \\Seen.

What must never happen: two sessions in one maildrop; a message deleted that this client did not name by the number
it saw; a password read from a connection in clear that the settings do not allow; an exception's text on the wire.
"""

from mailplat.access.pop3.server import Pop3Server
from mailplat.core.limits.pop3 import Pop3Limits

__all__ = ["Pop3Limits", "Pop3Server"]
