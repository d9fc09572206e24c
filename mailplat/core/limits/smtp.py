"""Every limit of an SMTP or LMTP connection, with its reason."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class SmtpLimits:
    """Times in seconds, sizes in octets. Settings: [smtp.limits]."""

    # RFC 1870; what most large providers accept, so that nothing they relay is refused here.
    message_size: int = limit(50_000_000, setting="smtp.max_message_size")
    # RFC 5321 4.5.3.1.8 asks for at least 100; beyond, 452 4.5.3 and the client sends the rest again.
    recipients: int = limit(1000, setting="smtp.max_recipients")
    # RFC 5321 4.5.3.1.4 says 512 with CRLF; SIZE, SMTPUTF8 and long UTF-8 paths add to it (RFC 6531 3.4), and so do
    # ENVID, ORCPT (RFC 3461 10.2) and the eight attributes of an XCLIENT.
    command_line: int = limit(2048, least=512)
    # Refused commands (unknown, malformed, out of order) since the last accepted message; then 421 4.7.0.
    errors: int = 20
    # RFC 5321 4.5.3.2.7: the server waits at least 5 minutes for a command.
    command_timeout: float = 300.0
    # RFC 5321 4.5.3.2.5: 3 minutes for each chunk of DATA. Restarts with every chunk that arrives.
    data_timeout: float = 180.0
    # One message altogether: 50 MB at 128 kbit/s. A client that trickles one octet a minute ends here.
    data_total: float = 3600.0
    # A TLS handshake after STARTTLS.
    tls_handshake: float = 60.0
    # What a trusted proxy says of its client comes with the first packet.
    proxy_header: float = 5.0
    # After close() a client that does not read what we still have for it is cut off.
    close_grace: float = 5.0
    # Open at once in one process. About 9 kB each when idle, one Body in memory (256 KiB) each when busy.
    connections: int = limit(5000, setting="smtp.max_connections")
    # Open at once from one address, so that one client cannot take all of them. The largest senders use some 20 from
    # one address; a legacy platform that relays everything to us belongs into smtp.trusted_networks, which have only
    # the limit above.
    connections_per_address: int = 50
    # The same of one /24 or /64, where a rented range pretends to be many.
    connections_per_network: int = 250
    # Connections that the kernel keeps while we are busy accepting.
    backlog: int = 1024
    # How long the greeting of an address that is not known yet is held back: a client that speaks before it is no
    # mail server. 0: it is not.
    greet_wait: float = limit(2.0, zero=True)
    # What is known of addresses, in one process, the most recent ones: 400 octets each.
    remembered: int = 50_000
    # Points of an address (ingress/conduct.py) from which refusals come late: twenty mistakes, or ten recipients who
    # are not here.
    tarpit_points: float = 20.0
    # Points from which no connection of an address is taken.
    closed_points: float = 100.0
    # Half of the points are forgiven after so long.
    forgiven: float = 600.0
    # The longest that one refusal is held back.
    tarpit_delay: float = limit(10.0, zero=True)
