"""`mailplat init DIR [--dev]`: a configuration and a data directory to begin with."""

import argparse
import socket
from pathlib import Path

from mailplat.app.console import Subparsers
from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.errors import AlreadyExists

DOORS = {
    "smtp": (25, 2525),
    "lmtp": (None, 2424),
    "imap": (143, 2143),
    "imaps": (993, 2993),
    "pop3": (110, 2110),
    "pop3s": (995, 2995),
}

PRODUCTION_TLS = """\
# certificate = "tls/cert.pem"            # PEM with its chain; then turn on imaps (993) and pop3s (995)
# key = "tls/key.pem\""""

TEMPLATE = """\
# mailplat.toml: relative paths start at this folder. `mailplat config check` says whether it is right.

[platform]
hostname = "{hostname}"
data_dir = "data"
workers = {workers}{workers_comment}

[listen]
{listen}

[tls]
{tls}

[auth]
plaintext_without_tls = {plaintext}

[database]
url = "sqlite:///data/mailplat.db"        # or postgresql://user:password@host/name

[store.shards.s1]
path = "data/shards/s1"

[store.shards.s2]
path = "data/shards/s2"

[filter]
stages = ["loops", "limits", "mailauth"]
dns = "{dns}"                             # "": the system's resolver; "host:port"; "zone:FILE" for rigs
"""


def register(verbs: Subparsers) -> None:
    parser = verbs.add_parser("init", help="make a configuration and a data directory")
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument(
        "--dev", action="store_true", help="loopback, high ports, a test TLS certificate, a zone file for DNS"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    directory: Path = args.directory
    config = directory / "mailplat.toml"
    if config.exists():
        raise AlreadyExists(f"{config} exists already; remove it or choose another directory")
    directory.mkdir(parents=True, exist_ok=True)
    hostname = "localhost" if args.dev else socket.getfqdn()
    if args.dev:
        make_test_certificate(directory / "tls", hostname)
        (directory / "zone.txt").write_text(
            "; DNS for this rig: one record a line, such as\n; example.test. 60 IN A 192.0.2.1\n"
        )
    config.write_text(content(hostname, dev=args.dev))
    platform = Platform(load(config, {}))
    for name in platform.shards:
        platform.store.shard(name)
    platform.close()
    print(
        f"{config}: made. Next: mailplat domain add, mailplat account add, mailplat serve (each with --config)"
    )
    return 0


def content(hostname: str, *, dev: bool) -> str:
    """The text of a configuration: production's ports on every address, or --dev's on loopback."""
    listen = []
    for door, (port, dev_port) in DOORS.items():
        chosen = dev_port if dev else port
        if chosen is None or (not dev and door in ("imaps", "pop3s")):
            listen.append(f"{door} = []")
        else:
            listen.append(f'{door} = ["{"127.0.0.1" if dev else "0.0.0.0"}:{chosen}"]')
    listen.append('http = ["127.0.0.1:8080"]')
    tls = 'certificate = "tls/cert.pem"\nkey = "tls/key.pem"' if dev else PRODUCTION_TLS
    return TEMPLATE.format(
        hostname=hostname,
        workers=1 if dev else 0,
        workers_comment="" if dev else "                               # one per core",
        listen="\n".join(listen),
        tls=tls,
        plaintext="true                 # loopback only" if dev else "false",
        dns="zone:zone.txt" if dev else "",
    )


def make_test_certificate(directory: Path, hostname: str) -> None:
    """A certificate for loopback, signed by a test authority whose certificate is left beside it (ca.pem)."""
    import trustme  # slow to import, and only needed here

    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert(hostname, "localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    (directory / "key.pem").chmod(0o600)
    (directory / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(directory / "ca.pem")
