"""Values of settings that are spelled in a certain way, as pydantic takes them."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from mailplat.core.errors import InvalidInput
from mailplat.core.wording import check_wording
from mailplat.wire.smtp.address import parse_address

# Neither a wildcard of LIST nor what modified UTF-7 spells in another way.
_PREFIX = re.compile(r"[A-Za-z0-9 ._-]{1,60}")


def _address_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not address:port, such as 127.0.0.1:25 or [::]:25")
    return text


def _mail_address(text: str) -> str:
    try:
        return text and str(parse_address(text))
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _words(text: str) -> str:
    try:
        return check_wording(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _shared_prefix(text: str) -> str:
    level = text.removesuffix("/")
    if text and not (text.endswith("/") and _PREFIX.fullmatch(level) and level.upper() != "INBOX"):
        raise ValueError(f'{text!r} is not one level of a mailbox name and a slash, such as "user/"')
    return text


SharedPrefix = Annotated[str, AfterValidator(_shared_prefix)]
Network = Annotated[str, AfterValidator(_network)]
Endpoint = Annotated[str, AfterValidator(_address_and_port)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
Percent = Annotated[int, Field(ge=1, le=100)]
Words = Annotated[str, AfterValidator(_words)]
