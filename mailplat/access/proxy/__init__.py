"""The proxy: a client whose account lives on a backend talks to that backend, through us.

    imap      log in at an IMAP backend with what the client gave us
    pop3      the same for POP3
    upstream  the connection to a backend: endpoints, TLS, limits, the two ways to close it
    parking   what the client of a session believes, taken down before its backend is left
    splice    octets both ways until one side closes or the route changes

The way of a session: LoginService grants Forward -> connect_imap or connect_pop3 logs in and enters the account's
list (access/forwarding.py) -> the door sends its own tagged OK or +OK with `Upstream.text` -> splice, with what the
client sent behind its login. The door closes the client's side.

Invariants
    * The backend alone decides whether the password is right. Its reasons never reach the client.
    * Octets are passed as they are, with backpressure; they are looked at only to know whether a line of ours could
      be said between two of the server's.
    * A session whose account is fenced waits with its client for the next home (access/imap/carrying.py), where
      nothing is in doubt; else the client gets BYE.
    * When the account's route changes nothing of the session reaches the backend any more once its Ending is done:
      the connection is reset, so that not even octets in the kernel's queue do.
"""

from mailplat.access.proxy.imap import connect_imap
from mailplat.access.proxy.parking import Known, Parked, flags_of_all
from mailplat.access.proxy.pop3 import connect_pop3
from mailplat.access.proxy.splice import say_farewell, splice
from mailplat.access.proxy.upstream import Upstream

__all__ = [
    "Known",
    "Parked",
    "Upstream",
    "connect_imap",
    "connect_pop3",
    "flags_of_all",
    "say_farewell",
    "splice",
]
