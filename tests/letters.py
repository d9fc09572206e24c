"""Letters that look like real mail, each different, each with a token to know it by. CRLF line ends."""

import random
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

NAMES = (
    "Ada Lovelace",
    "Grace Hopper",
    "José Núñez",
    "Zoë Müller",
    "Łukasz Żak",
    "山田 太郎",
    "Ολυμπία Νίκου",
)
WORDS = [
    "invoice",
    "meeting",
    "tomorrow",
    "garden",
    "weather",
    "budget",
    "draft",
    "review",
    "harbour",
    "ticket",
    "rehearsal",
    "concert",
    "window",
    "recipe",
    "über",
    "naïve",
    "señor",
    "coöperate",
    "zażółć",
    "gęślą",
    "東京",
    "данные",
    "release",
    "branch",
    "merge",
    "coffee",
    "letter",
]

TOKEN = "X-Letter-Token"


def letter(number: int, sender: str, recipient: str, *, seed: int = 0) -> bytes:
    """Letter `number`: plain, alternative, with attachment, nested, flowed with long lines, or raw 8-bit."""
    rng = random.Random(seed * 1_000_003 + number)
    message = EmailMessage(policy=SMTP)
    local, _, domain = sender.partition("@")
    message["From"] = Address(rng.choice(NAMES), local, domain)
    message["To"] = recipient
    message["Subject"] = " ".join(rng.choices(WORDS, k=rng.randint(1, 14)))
    message["Date"] = format_datetime(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number))
    message["Message-ID"] = make_msgid(f"{seed}.{number}", domain)
    message[TOKEN] = token(number, seed)
    text = _paragraphs(rng)
    message.set_content(text, cte=rng.choice(["quoted-printable", "base64", "8bit"]))
    kind = number % 5
    if kind in (1, 3):
        message.add_alternative(f"<p>{text}</p>", subtype="html")
    if kind in (2, 3):
        size = rng.randint(100, 60_000)
        message.add_attachment(
            rng.randbytes(size), maintype="application", subtype="octet-stream", filename="naïve.bin"
        )
    if kind == 4:
        inner = EmailMessage(policy=SMTP)
        inner["Subject"] = "forwarded: " + rng.choice(WORDS)
        inner["From"] = sender
        inner.set_content(".leading dot\n..two\n" + text)
        message.add_attachment(inner)
    return message.as_bytes()


def token(number: int, seed: int = 0) -> str:
    return f"{seed}-{number}"


def token_of(octets: bytes) -> str | None:
    """The token of a letter as it came back, None for any other mail."""
    for line in octets.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == TOKEN.encode():
            return value.strip().decode()
    return None


def _paragraphs(rng: random.Random) -> str:
    lines = []
    for _ in range(rng.randint(2, 40)):
        lines.append(" ".join(rng.choices(WORDS, k=rng.randint(1, 60 if rng.random() < 0.1 else 12))))
        if rng.random() < 0.1:
            lines.append("." * rng.randint(1, 3) + rng.choice(WORDS))
    return "\n".join(lines) + "\n"
