"""Scripts and rights at the source, as their owners set them."""

from collections.abc import Mapping

from mailplat.directory import Backend
from mailplat.sieve.scripts import Scripts
from migration.sources.managesieve import ManageSieve
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, backend_of

USERS = [f"person{number:02}@{DOMAIN}" for number in range(60)]

KEEP = b'require ["fileinto"];\r\nif header :is "subject" "x" { fileinto "INBOX"; }\r\n'
# Octets that a line of quoted text could not carry, LF and CRLF mixed.
ODD = '# Grüße\nkeep; # "quoted" {3+}\r\n'.encode()


def sieve_backend(legacy: Dovecot, **changes: str) -> Backend:
    values = {"managesieve": f"127.0.0.1:{legacy.managesieve_port}", "managesieve_tls": "none"}
    return backend_of(legacy, **{**values, **changes})


async def scripts_there(legacy: Dovecot, user: str) -> Scripts:
    source = await ManageSieve.open(sieve_backend(legacy), user)
    try:
        return await source.read()
    finally:
        await source.close()


async def write_scripts(
    legacy: Dovecot, user: str, scripts: Mapping[str, bytes], active: str | None = None, *removed: str
) -> None:
    """`active` None: as it was."""
    source = await ManageSieve.open(sieve_backend(legacy), user)
    try:
        for name, octets in scripts.items():
            await source.put(name, octets)
        if active is not None:
            await source.activate(active)
        for name in removed:
            await source.remove(name)
    finally:
        await source.close()
