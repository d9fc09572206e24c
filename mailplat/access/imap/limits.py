"""Every limit of an IMAP connection, with its reason. An admin changes them through settings."""

from dataclasses import dataclass

from mailplat.wire.imap.framer import Limits

# A line takes the longest access token, in base64 (wire/sasl/oauth.py), as RFC 4954 4 has it for SMTP.
BEFORE_LOGIN = Limits(line=12_288, literal=4096, command=16384)
AFTER_LOGIN = Limits()


@dataclass(frozen=True, slots=True)
class ImapLimits:
    """Times in seconds, sizes in octets."""

    # RFC 3501 5.4: an inactivity timer must be at least 30 minutes. IDLE counts as inactivity (RFC 2177 3), its
    # clients start it anew every 29 minutes.
    autologout: float = 30 * 60.0
    # Who has not logged in gets less, all waiting together: a scanner must not hold a connection for half an hour by
    # an octet a minute.
    preauth: float = 60.0
    # A client that takes nothing of what we write for this long is gone; its buffers are needed elsewhere.
    write_stall: float = 120.0
    # A TLS handshake after STARTTLS; also what implicit TLS gets from the listener.
    handshake: float = 30.0
    # A command that takes long says how far it is this often (RFC 9585 3): clients wait for a minute or more.
    progress: float = 10.0
    # IDLE says `* OK` this often, so that NAT tables keep the connection and dead peers are found.
    keepalive: float = 120.0
    # Hints are lossy: IDLE reads the changes at least this often without one.
    idle_poll: float = 60.0
    # A command that needs no store call looks for changes when the last look is older than this, hint or not.
    view_lease: float = 1.0
    # How long a session that must end (route moved, shutdown) may finish the command that runs.
    stop_grace: float = 5.0
    # RFC 7889: largest message that APPEND takes.
    message_size: int = 50_000_000
    # Sessions of one process; beyond it: `* BYE [UNAVAILABLE]` instead of a greeting.
    connections: int = 20_000
    # Sessions of one account in one process: a runaway client must not starve the others.
    connections_per_account: int = 100
    # Failed logins on one connection before BYE; the throttle by address is the login service's.
    login_failures: int = 5
    # Commands that were not understood, in a row, before BYE: an HTTP client or a scanner is speaking.
    bad_commands: int = 20
    # Replies are joined to writes of about this size; beyond it we wait for the client to read.
    write_batch: int = 64 * 1024
    # What may stand in the socket's buffer before we wait: enough that the client is never starved while the next
    # batch is rendered.
    write_buffer: int = 256 * 1024
    # One read from the socket.
    read_size: int = 64 * 1024
    # Rows of the index that one hop to a thread renders: about 5 ms of work, so nobody waits long behind it.
    rows: int = 1000
    # Message octets held at once by one FETCH of many bodies.
    bodies: int = 1024 * 1024
    # A message larger than this is streamed from its file, or, where a MIME part is asked for, read alone.
    large_message: int = 512 * 1024
    # Messages above large_message that may be held whole in memory at once, in one process.
    large_messages: int = 4
    # Pipelined APPENDs that are gathered into one commit, and their octets.
    append_batch: int = 100
    append_octets: int = 8 * 1024 * 1024
    # Messages that COPY or MOVE brings to another account in one commit: each is an open file meanwhile.
    foreign_copy: int = 100
    # COMPRESS (RFC 4978): octets that one compressed octet may become, and how many more in the life of a connection.
    # Commands and mail deflate to a tenth; the allowance is for one message that is nothing but zeros.
    inflate_ratio: int = 100
    inflate_allowance: int = 64 * 1024 * 1024
    # Keywords of one mailbox that the FLAGS line of SELECT names: beyond, the line would be longer than clients read.
    keywords_shown: int = 200

    # Who has not logged in may send names, passwords and little else.
    before_login: Limits = BEFORE_LOGIN

    @property
    def after_login(self) -> Limits:
        return Limits(append=self.message_size, swallow=max(self.message_size, AFTER_LOGIN.swallow))


DEFAULTS = ImapLimits()
