"""A name server on loopback that answers, or misbehaves, as a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

# From a question to what goes over the wire; None: silence.
Behaviour = Callable[[dns.message.Message, str], dns.message.Message | bytes | None]


def answering(*records: str, soa_minimum: int = 30) -> Behaviour:
    """`records` such as "a.example. 60 IN A 192.0.2.1". Names that have none of them do not exist."""
    sets = [dns.rrset.from_text(*line.split(None, 3)[:1], *_ttl(line)) for line in records]

    def behave(question: dns.message.Message, transport: str) -> dns.message.Message:
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.RA
        asked = question.question[0]
        of_name = [one for one in sets if one.name == asked.name]
        reply.answer = [one for one in of_name if one.rdtype == asked.rdtype]
        if not reply.answer:
            soa = f". . 1 1 1 1 {soa_minimum}"
            reply.authority = [dns.rrset.from_text("example.", 900, "IN", "SOA", soa)]
            if not of_name:
                reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply

    return behave


def _ttl(line: str) -> tuple[int, str, str, str]:
    _, ttl, kind, rest = line.split(None, 3)
    type, _, text = rest.partition(" ")
    return int(ttl), kind, type, text


class Nameserver(asyncio.DatagramProtocol):
    """`asked` counts questions over UDP and TCP."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.asked = 0
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, octets: bytes, address: tuple[str, int]) -> None:
        reply = self._reply(octets, "udp")
        if reply is not None:
            self._transport.sendto(reply, address)  # type: ignore[attr-defined]

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            length = int.from_bytes(await reader.readexactly(2), "big")
            reply = self._reply(await reader.readexactly(length), "tcp")
            if reply is not None:
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        writer.close()

    def _reply(self, octets: bytes, transport: str) -> bytes | None:
        self.asked += 1
        reply = self.behave(dns.message.from_wire(octets), transport)
        return reply.to_wire() if isinstance(reply, dns.message.Message) else reply


@contextlib.asynccontextmanager
async def nameserver(behave: Behaviour) -> AsyncIterator[Nameserver]:
    loop = asyncio.get_running_loop()
    server = Nameserver(behave)
    tcp = await asyncio.start_server(server.serve_tcp, "127.0.0.1", 0)
    server.port = tcp.sockets[0].getsockname()[1]
    udp, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", server.port))
    try:
        yield server
    finally:
        udp.close()
        tcp.close()
