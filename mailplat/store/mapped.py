"""A file as octets without reading it into our memory: the kernel keeps what was looked at, and may drop it."""

import mmap

# Octets that `count` looks at in one piece.
_PIECE = 1024 * 1024


class MappedFile(mmap.mmap):
    """A memory map with the methods of `bytes` that it lacks and that a scan of a message uses. Read only."""

    @classmethod
    def of(cls, fd: int) -> "MappedFile":
        """ValueError for an empty file."""
        return cls(fd, 0, access=mmap.ACCESS_READ)

    def startswith(self, prefix: bytes | tuple[bytes, ...], start: int = 0, end: int | None = None) -> bool:
        options = (prefix,) if isinstance(prefix, bytes) else prefix
        stop = len(self) if end is None else min(end, len(self))
        return any(self[start : min(start + len(each), stop)] == each for each in options)

    def endswith(self, suffix: bytes, start: int = 0, end: int | None = None) -> bool:
        stop = len(self) if end is None else min(end, len(self))
        return stop - len(suffix) >= start and self[stop - len(suffix) : stop] == suffix

    def index(self, piece: bytes, start: int = 0) -> int:
        found = self.find(piece, start)
        if found < 0:
            raise ValueError("subsection not found")
        return found

    def find(self, piece: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        stop = len(self) if end is None else min(end, len(self))
        for at in range(start, stop, _PIECE):
            found = super().find(piece, at, min(at + _PIECE + len(piece) - 1, stop))
            if found >= 0:
                return found
            self._forget(at)
        return -1 if piece or start > stop else start

    def count(self, octet: bytes, start: int = 0, end: int | None = None) -> int:
        """How often one octet is there; longer pieces could lie across two of our reads."""
        if len(octet) != 1:
            raise ValueError(f"count of {len(octet)} octets")
        stop = len(self) if end is None else min(end, len(self))
        found = 0
        for at in range(start, stop, _PIECE):
            found += self[at : min(at + _PIECE, stop)].count(octet)
            self._forget(at)
        return found

    def _forget(self, start: int) -> None:
        """Take a piece that was looked at out of our resident set; it stays in the page cache."""
        start -= start % mmap.PAGESIZE
        if hasattr(mmap, "MADV_DONTNEED"):
            self.madvise(mmap.MADV_DONTNEED, start, min(_PIECE + mmap.PAGESIZE, len(self) - start))
