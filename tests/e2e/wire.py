"""Raw connections to the doors of a running platform."""

import socket


class Wire:
    """A raw connection: what is sent is what is written here."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.sock.makefile("rb")
        self.greeting = self.line()

    def line(self) -> str:
        return self.file.readline().decode("latin-1").rstrip("\r\n")

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def say(self, octets: bytes) -> str:
        """One line; the last line of an SMTP reply, or the next line of IMAP and POP3."""
        self.send(octets + b"\r\n")
        line = self.line()
        while line[3:4] == "-" and line[:3].isdigit():
            line = self.line()
        return line

    def tagged(self, octets: bytes) -> str:
        """An IMAP command with tag x; the tagged reply."""
        self.send(b"x " + octets + b"\r\n")
        while not (line := self.line()).startswith("x "):
            assert line, "the connection was closed"
        return line

    def close(self) -> None:
        self.file.close()
        self.sock.close()
