"""The IMAP server: IMAP4rev1 (RFC 3501) and the extensions that capability.py names.

Layout of this room
    server.py        ImapServer: makes sessions of connections; ends them when a route moves or the process leaves
    sessions.py      Sessions: who is connected, by account
    session.py       Session: one connection, its state (RFC 3501 3), what commands may do with both
    dialogue.py      Dialogue: its loop; framer events -> commands -> replies, in order
    moving.py        a session goes on when its account moves to another shard; between.py: what it is meanwhile
    command.py       Command: name, states, what it may send; the registry is the folder commands/
    commands/x.py    one file a command (twins such as FETCH and UID FETCH share one)
    view.py          View: what this client believes about its mailbox: sequence numbers, flags, MODSEQ
    resync.py        QRESYNC: what happened while the client was away
    fetch.py         plan of a FETCH; rows of the index to reply lines.   fetching.py: which way it is answered;
                     bodies.py: sections of message files; streaming.py: those of one large message
    progress.py      a long command says how far it is
    finding.py       what SEARCH, SORT and THREAD share: find messages, save them for "$"
    limiting.py      how many messages one command works on, where that is limited
    matching.py      SEARCH keys that the view alone can answer
    place.py         where a mailbox is and what may be done with it: the table of rights (RFC 4314 4)
    sharing.py       mailboxes of others: names, homes, giving and taking of rights.   locating.py: the one way there
    copying.py       COPY and MOVE, also between accounts.   lookaround.py: all that a session may see
    listing.py       the names that LIST and LSUB answer, with their attributes
    appending.py     Appender: pipelined APPENDs gathered into one commit, answered in order
    authentication.py  LOGIN and AUTHENTICATE behind one door; hands forwarded accounts to access/proxy
    notifying.py     tell a client what it did not ask for just now, between commands and in IDLE (idle.py)
    watch.py         Watch: what NOTIFY asked for and what was told.   outline.py: all mailboxes at one moment
    counting.py      the numbers of STATUS
    refusal.py       errors of the house to NO and BAD.   capability.py: what is advertised when.
    limits.py        limits (core/limits/imap.py) as the framer takes them

The way of a command: socket -> wire.imap.Framer -> Dialogue (state, flags of the Command) -> commands/x.py ->
store (in a thread) -> untagged replies -> View.flush (EXPUNGE only where the Command allows it) -> tagged reply.

Invariants
    * Nothing is written to a client while a transaction is open: store calls return first, then we write.
    * A sequence number means what the client believes: only View.flush renumbers, and only while a command runs that
      may send EXPUNGE (RFC 3501 5.5, 7.4.1). FETCH, STORE and SEARCH (not their UID twins) never do. NOTIFY with
      SELECTED (RFC 5465 5.3) has it between commands too, but not while one is arriving.
    * Replies come in the order of commands. One command runs at a time; consecutive APPENDs are gathered.
    * First subscribe to hints, then read the mailbox: a hint that is lost costs time (limits.view_lease, idle_poll),
      never truth.
    * A message that another client expunged, still numbered here: FLAGS and UID are answered from the view; anything
      else makes FETCH, STORE and COPY end in NO [EXPUNGEISSUED] after what could be answered (RFC 2180 4.1.2, 4.2.2,
      4.4.1). The UID forms skip it silently.
    * \\Recent is never set: 0 RECENT always (RFC 9051 appendix E dropped it; RFC 3501 clients lose nothing that
      UIDNEXT does not tell them better).

What must never happen: an exception's text on the wire; a write under an epoch that is not the account's (the store
refuses, we say BYE); a literal read as a command; a plaintext octet from before STARTTLS read after it.
"""

from mailplat.access.imap.server import ImapServer
from mailplat.access.imap.sharing import Sharing
from mailplat.core.limits.imap import ImapLimits

__all__ = ["ImapLimits", "ImapServer", "Sharing"]
