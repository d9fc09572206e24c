"""The proxy: a client whose account lives on a backend talks to that backend, through us.

    imap      log in at an IMAP backend with what the client gave us
    pop3      the same for POP3
    upstream  the connection to a backend: endpoints, TLS, limits, the two ways to close it
    splice    octets both ways until one side closes or the route changes

The way of a session: LoginService grants Forward -> connect_imap or connect_pop3 logs in and enters the account's
list (access/forwarding.py) -> the door sends its own tagged OK or +OK with `Upstream.text` -> splice, with what the
client sent behind its login. The door closes the client's side.

Invariants
    * The backend alone decides whether the password is right. Its reasons never reach the client.
    * Octets are passed as they are, with backpressure; they are looked at only to know whether a line of ours could
      be said between two of the server's.
    * When the account's route changes nothing of the session reaches the backend any more once its Ending is done:
      the connection is reset, so that not even octets in the kernel's queue do.
"""

from mailplat.access.proxy.imap import connect_imap
from mailplat.access.proxy.pop3 import connect_pop3
from mailplat.access.proxy.splice import splice
from mailplat.access.proxy.upstream import Upstream

__all__ = ["Upstream", "connect_imap", "connect_pop3", "splice"]
