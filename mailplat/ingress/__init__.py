"""Mail comes in: SMTP (RFC 5321) and LMTP (RFC 2033) listeners. The only room that imports aiosmtpd.

    inlet       octets of a connection -> command lines and chunks of DATA
    connection  one connection: reading, replying, deadlines, TLS (the aiosmtpd subclass)
    session     its commands
    reception   one message: MAIL, RCPT, DATA -> filtering -> delivery -> reply; knows no socket
    rooms       what the doors need of the house
    screen      what the pipeline says before there is a message
    said        parameters of MAIL and RCPT
    trace       the Received field
    server      listening sockets, caps on connections, draining
    gate        who may connect, how many at once
    conduct     points for what a mail server does not do; late answers, closed doors

Way of a message: octets -> DataDecoder -> Body (content.py: spooled in the tmp/ of the first local recipient's shard,
of another one where that disk takes nothing, or of the queue) -> Pipeline.message -> forged Authentication-Results
out, our trace fields on top -> Delivery.accept -> reply.

Invariants: 250 is said only after Delivery.accept returned; from the final dot on, a client that vanishes
cancels nothing; an unknown recipient is refused at RCPT, so that nothing is bounced later; time that we take
ourselves never counts against the client; memory for one session is bounded whatever it sends.

What must never happen: a line that does not end in CRLF is obeyed as a command; octets sent in clear before
STARTTLS are obeyed after it; a message ends anywhere but at CRLF "." CRLF; text of an exception on the wire.
"""

from mailplat.ingress.rooms import Rooms
from mailplat.ingress.server import SmtpServer

__all__ = ["Rooms", "SmtpServer"]
