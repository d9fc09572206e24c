"""Every limit of a POP3 connection, with its reason."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class Pop3Limits:
    """Times in seconds, sizes in octets. Settings: [pop3.limits]."""

    # One command with its line end. RFC 2449 4 says 255; twice that lets names and passwords of people who write in
    # UTF-8 through (RFC 6856), and none of our replies quotes them.
    line: int = limit(512, least=255)
    # One line within AUTH: RFC 5034 4 lifts the limit of commands, RFC 4954 4 says how far.
    sasl_line: int = limit(12_288, least=1024)
    # RFC 1939 3: an autologout timer must be at least 10 minutes. Its end deletes nothing and says nothing.
    autologout: float = limit(10 * 60.0, least=10 * 60.0)
    # Who has not logged in gets less: a scanner must not hold a connection for ten minutes.
    preauth: float = 60.0
    # A client that takes nothing of what we write for this long is gone; its maildrop is locked meanwhile.
    write_stall: float = 120.0
    # A TLS handshake after STLS.
    handshake: float = 30.0
    # How long a session that must end (route moved, shutdown) may finish the command that runs.
    stop_grace: float = 5.0
    # Sessions of one process; beyond it: -ERR [SYS/TEMP] instead of a greeting.
    connections: int = limit(5000, setting="pop3.max_connections")
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
    # Messages of one piece that are read in one hop: who takes one after the other waits for a thread once in so
    # many.
    ahead: int = 100
    # Octets of messages that are read ahead: a session that stops in between holds no more than that.
    ahead_octets: int = 512 * 1024
    # Lines of LIST and UIDL that are made before the client has to read: about 2 ms of work.
    rows: int = 2000
