"""The comparator i;unicode-casemap (RFC 5051): how SORT and THREAD compare text (RFC 5256 3)."""

import unicodedata

# Characters whose form is remembered, some 3 MB: more than the mail of one provider holds. Mail that holds every
# character there is only costs more time.
MAX_KNOWN = 30_000


class _Titles(dict[int, str]):
    """Of each character its titlecase, decomposed; found out when it is first seen."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        title = character.title()
        # RFC 5051 2 takes the property of one character for another; Python also maps one to several ("ß" to "Ss").
        mapped = title if len(title) == 1 else character
        found = unicodedata.normalize("NFKD", mapped)
        if len(self) < MAX_KNOWN:
            self[point] = found
        return found


_TITLES = _Titles()


def unicode_casemap(text: str) -> str:
    """What is compared instead of `text`. Code points order as their UTF-8 does, by which RFC 5051 compares."""
    return text.upper() if text.isascii() else text.translate(_TITLES)
