"""Limits of an IMAP connection (core/limits/imap.py) as the framer takes them."""

from mailplat.core.limits.imap import ImapLimits
from mailplat.wire.imap.framer import Limits


def before_login(limits: ImapLimits) -> Limits:
    return _framer(limits, limits.line_before_login, limits.literal_before_login, limits.command_before_login)


def after_login(limits: ImapLimits) -> Limits:
    return _framer(limits, limits.line, limits.literal, limits.command)


def _framer(limits: ImapLimits, line: int, literal: int, command: int) -> Limits:
    # What is refused must be followed to its end at least as far as what is taken.
    swallow = max(limits.message_size, limits.swallow)
    return Limits(line, literal, command, limits.message_size, swallow)
