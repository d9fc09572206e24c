"""SMTP without I/O: paths and mailboxes, ESMTP parameters, the DATA decoder (RFC 5321, 6531, 1870).

Invariants: nothing here awaits or raises anything but InvalidInput; every parser is linear in its input and
bounded by the protocol's own limits. What must never happen: a control character or a line end inside an
address that was accepted, or a message that ends anywhere but at CRLF "." CRLF.
"""
