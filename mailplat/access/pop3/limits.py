"""Every limit of a POP3 connection, with its reason. An admin changes them through settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pop3Limits:
    """Times in seconds, sizes in octets. The limits of lines are the protocol's: wire/pop3.py."""

    # RFC 1939 3: an autologout timer must be at least 10 minutes. Its end deletes nothing and says nothing.
    autologout: float = 10 * 60.0
    # Who has not logged in gets less: a scanner must not hold a connection for ten minutes.
    preauth: float = 60.0
    # A client that takes nothing of what we write for this long is gone; its maildrop is locked meanwhile.
    write_stall: float = 120.0
    # A TLS handshake after STLS.
    handshake: float = 30.0
    # How long a session that must end (route moved, shutdown) may finish the command that runs.
    stop_grace: float = 5.0
    # Sessions of one process; beyond it: -ERR [SYS/TEMP] instead of a greeting.
    connections: int = 5000
    # Failed logins on one connection before it is closed; the throttle by address is the login service's.
    login_failures: int = 3
    # Lines in a row that were no command: an HTTP client or a scanner is speaking.
    bad_commands: int = 10
    # Replies are joined to writes of about this size; beyond it we wait for the client to read. Twenty messages of
    # those that are fetched one after the other.
    write_batch: int = 128 * 1024
    # What may stand in the socket's buffer before we wait.
    write_buffer: int = 256 * 1024
    # One read from the socket.
    read_size: int = 16 * 1024
    # One piece of a message file: most messages are read in one hop to a thread.
    chunk: int = 128 * 1024
    # Messages of one piece that are read in one hop, and their octets together: who takes one after the other
    # waits for a thread once in so many. A session that stops in between holds no more than that.
    ahead: int = 100
    ahead_octets: int = 512 * 1024
    # Lines of LIST and UIDL that are made before the client has to read: about 2 ms of work.
    rows: int = 2000


DEFAULTS = Pop3Limits()
