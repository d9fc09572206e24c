"""A gate in front of a worker's system calls: each of some calls waits until it is let through, refused, or the last.

The kernel's seccomp filter hands the chosen calls of all threads to us (SECCOMP_RET_USER_NOTIF, Linux 5.5), one after
the other, before they happen. So "the Nth fsync" is the Nth of the whole process, SQLite's own among them; strace
counts for each thread by itself, and which of a pool's threads gets a piece of work is chance.

    child     listen() before any thread is started, and send what it returns through a socket
    parent    Gate(descriptor, pid, judge): a thread that asks `judge` about each call

Only calls on files below `root` are judged; all others go on at once.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import struct
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

# Where the path is: an argument that is a descriptor, or (index of the argument, directory's descriptor or -1).
_FD, _AT = "descriptor", "path"
# Numbers of Linux on x86-64, and which argument says the file that a call changes: of two paths the new one.
CALLS: dict[str, tuple[int, str, int]] = {
    "write": (1, _FD, 0), "pwrite64": (18, _FD, 0), "copy_file_range": (326, _FD, 2), "ftruncate": (77, _FD, 0),
    "fsync": (74, _FD, 0), "fdatasync": (75, _FD, 0), "syncfs": (306, _FD, 0),
    "rename": (82, _AT, 1), "renameat": (264, _AT, 3), "renameat2": (316, _AT, 3),
    "link": (86, _AT, 1), "linkat": (265, _AT, 3), "unlink": (87, _AT, 0), "unlinkat": (263, _AT, 1),
    "openat": (257, _AT, 1), "mkdir": (83, _AT, 0), "mkdirat": (258, _AT, 1), "rmdir": (84, _AT, 0),
}  # fmt: skip
SYNCS = ("fsync", "fdatasync", "syncfs")
NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat")
OPENS = ("openat",)  # for writing; others are not judged
REMOVALS = ("unlink", "unlinkat", "rmdir")
WRITES = ("write", "pwrite64", "copy_file_range", "ftruncate")

_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER = 317, 1, 8
_PR_SET_NO_NEW_PRIVS = 38
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_AUDIT_ARCH_X86_64 = 0xC000003E
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_*
_CONTINUE = 1
_CALL = struct.Struct("=QIIiIQ6Q")  # seccomp_notif: id, pid, flags, nr, arch, instruction, arguments
_REPLY = struct.Struct("=QqiI")  # seccomp_notif_resp: id, value, error, flags

# BPF: load a word of seccomp_data, return, jump if equal.
_LOAD, _RETURN, _EQUAL = 0x20, 0x06, 0x15

_PATH_MAX = 4096


class Verdict(Enum):
    PASS = "pass"
    KILL = "kill"  # the process ends with SIGKILL, the call never happens


@dataclass(frozen=True, slots=True)
class Call:
    """A call that waits. `path` is what it changes."""

    name: str
    path: str


# What becomes of a call: a verdict, or the errno it fails with.
Judge = Callable[[Call], Verdict | int]


def reason_to_skip() -> str:
    """Empty where calls can be held back."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "system calls are numbered for Linux on x86-64 only"
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError:
        return "this kernel has no seccomp filters"
    return "" if "user_notif" in actions else "seccomp cannot notify here"


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def listen(names: Collection[str] = tuple(CALLS)) -> int:
    """Put this process under the gate; the descriptor that the parent needs. Raises OSError."""
    numbers = [CALLS[name][0] for name in names]
    program = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, 0),
    ]
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        program.append((_EQUAL, left, 0, number))
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    octets = b"".join(struct.pack("=HBBI", *line) for line in program)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    filter_ = _Filter(len(program), octets)
    descriptor: int = libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(filter_))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return descriptor


class Gate:
    def __init__(self, descriptor: int, pid: int, root: Path, judge: Judge) -> None:
        """Takes over `descriptor`. `judge` runs in this gate's thread and may be replaced at any time."""
        self.judge = judge
        self._descriptor = descriptor
        self._pid = pid
        self._root = os.fspath(root) + "/"
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"gate of {pid}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """After the end of the process: calls of one that lives would fail from here on."""
        os.write(self._wake, b"x")
        self._thread.join()
        for each in (self._descriptor, self._stop, self._wake):
            os.close(each)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if ready.get(self._descriptor, 0) & select.POLLIN:
                self._serve()
            elif ready:
                return  # told to stop, or nobody is left on the other side

    def _serve(self) -> None:
        notice = bytearray(_CALL.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, notice)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # it was killed meanwhile
                return
            raise
        identity, thread, _, number, _, _, *arguments = _CALL.unpack(notice)
        verdict = self._ask(thread, number, arguments)
        if verdict is Verdict.KILL:
            os.kill(self._pid, signal.SIGKILL)
            return
        error_number = -verdict if isinstance(verdict, int) else 0
        flags = _CONTINUE if verdict is Verdict.PASS else 0
        try:
            fcntl.ioctl(self._descriptor, _SEND, bytearray(_REPLY.pack(identity, 0, error_number, flags)))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _ask(self, thread: int, number: int, arguments: list[int]) -> Verdict | int:
        name = _BY_NUMBER[number]
        _, kind, index = CALLS[name]
        if name in OPENS and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return Verdict.PASS
        try:
            path = _of_descriptor(thread, arguments[index]) if kind == _FD else ""
            if kind == _AT:
                path = _of_memory(thread, arguments[index])
                if "at" in name and not path.startswith("/"):
                    path = f"{_of_descriptor(thread, arguments[index - 1])}/{path}"
        except OSError:
            return Verdict.PASS  # gone: so is the call
        if not path.startswith(self._root):
            return Verdict.PASS
        return self.judge(Call(name, path.removeprefix(self._root)))


_BY_NUMBER = {number: name for name, (number, _, _) in CALLS.items()}


def _of_descriptor(thread: int, descriptor: int) -> str:
    return os.readlink(f"/proc/{thread}/fd/{descriptor & 0xFFFFFFFF}")


def _of_memory(thread: int, address: int) -> str:
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        # Page by page: what follows the last one need not be readable.
        octets = b""
        while b"\0" not in octets and len(octets) < _PATH_MAX:
            more = memory.read(_PATH_MAX - (address + len(octets)) % _PATH_MAX)
            if not more:
                raise ProcessLookupError(f"thread {thread} was killed while it waited")
            octets += more
    return os.fsdecode(octets.partition(b"\0")[0])
