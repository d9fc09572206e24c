"""The base subject: what is left of a subject without the marks of replies, forwards and lists (RFC 5256 2.1).

Clients that sort and thread while disconnected follow the same rules: they are kept to the letter, English prefixes
only, and "Re[2]:" is none of them.
"""

import re
from typing import NamedTuple

_BLOB = r"\[[^\[\]]*+\][ \t]*+"
# subj-leader but for its WSP: blobs, then "re", "fw" or "fwd", with a blob or without, then the colon
_LEADER = re.compile(rf"(?:{_BLOB})*(?:re|fwd?+)[ \t]*+(?:{_BLOB})?:[ \t]*+", re.IGNORECASE | re.ASCII)
_BLOBS = re.compile(rf"(?:{_BLOB})+")


class BaseSubject(NamedTuple):
    text: str
    is_reply: bool  # or a forward: something else than a blob or white space was taken away (RFC 5256 3, REFERENCES)


def base_subject(subject: str) -> BaseSubject:
    """Of a subject as words.decode_words gives it: decoded, its white space single spaces (step 1). Linear."""
    start, end = 0, len(subject)
    is_reply = False
    while True:
        end, forwarded = _without_trailers(subject, start, end)  # step 2
        start, replied = _without_leaders(subject, start, end)  # steps 3 to 5
        is_reply = is_reply or forwarded or replied
        if not (subject[start : start + 5].lower() == "[fwd:" and subject.endswith("]", start + 5, end)):
            return BaseSubject(subject[start:end], is_reply)
        start, end, is_reply = start + 5, end - 1, True  # step 6: and again


def _without_trailers(subject: str, start: int, end: int) -> tuple[int, bool]:
    forwarded = False
    while end > start:
        if subject[end - 1] in " \t":
            end -= 1
        elif end - start >= 5 and subject[end - 5 : end].lower() == "(fwd)":
            end -= 5
            forwarded = True
        else:
            break
    return end, forwarded


def _without_leaders(subject: str, start: int, end: int) -> tuple[int, bool]:
    replied = False
    while start < end and subject[start] in " \t":
        start += 1
    while found := _LEADER.match(subject, start, end):
        start, replied = found.end(), True
    # What stands behind all blobs is no "re:", or it would have been a leader: the blobs go, one by one by the rules,
    # and that is the end of it. The last of them stays where it is all there is (step 4).
    blobs = _BLOBS.match(subject, start, end)
    if blobs is not None:
        start = blobs.end() if blobs.end() < end else subject.rindex("[", start, end)
    return start, replied
