"""Every limit of the SMTP and LMTP doors by name, with its reason. Times are in seconds, sizes in octets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IngressLimits:
    # RFC 1870; what most large providers accept, so that nothing they relay is refused here.
    message_size: int = 50_000_000

    # RFC 5321 4.5.3.1.8 asks for at least 100; beyond, 452 4.5.3 and the client sends the rest again.
    recipients: int = 1000

    # RFC 5321 4.5.3.1.4 says 512 with CRLF; SIZE, SMTPUTF8 and long UTF-8 paths add to it (RFC 6531 3.4).
    command_line: int = 2048

    # Refused commands (unknown, malformed, out of order) since the last accepted message; then 421 4.7.0.
    errors: int = 20

    # RFC 5321 4.5.3.2.7: the server waits at least 5 minutes for a command.
    command_timeout: float = 300.0

    # RFC 5321 4.5.3.2.5: 3 minutes for each chunk of DATA. Restarts with every chunk that arrives.
    data_timeout: float = 180.0

    # One DATA altogether: 50 MB at 128 kbit/s. A client that trickles one octet a minute ends here.
    data_total: float = 3600.0

    tls_handshake: float = 60.0

    # After close() a client that does not read what we still have for it is cut off.
    close_grace: float = 5.0

    # Open at once in one process. About 9 kB each when idle, one Body in memory (256 KiB) each when busy.
    connections: int = 5000

    # Open at once from one address, so that one client cannot take all of them. A legacy platform that relays
    # everything to us from one address stays well below.
    connections_per_address: int = 1000

    # Connections that the kernel keeps while we are busy accepting.
    backlog: int = 1024
