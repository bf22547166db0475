"""Takes the network from this process, for good: faces are personal data, and nothing of them leaves the machine.

Used before MediaPipe starts, which otherwise reports its use to Google (its log service at googleapis.com) from a
thread of its own and has no switch against it. Linux's seccomp refuses internet sockets to the process, all its threads
and what they start; sockets of the machine itself (AF_UNIX) stay. docs/privacy.md says how this was checked.
"""

import ctypes
import errno
import os
import platform
import socket
import struct

from fedn_pipeline.files import InputError

# Per processor: its number in the kernel's audit interface, and of the system calls socket and seccomp.
SYSTEM_CALLS = {"x86_64": (0xC000003E, 41, 317), "aarch64": (0xC00000B7, 198, 277)}
NO_NEW_PRIVILEGES, SET_FILTER, ALL_THREADS = 38, 1, 1
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # instructions of the kernel's packet filter
# A proxy that cannot be reached: else MediaPipe would have its server's name looked up by a service of this machine.
NOWHERE = "http://127.0.0.1:1"
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
CALL, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in what the filter reads of a system call


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_sealed():
    """Whether this process can open no internet socket; tried, not remembered."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except PermissionError:
        return True
    return False


def seal():
    """Refuse every further internet socket to this process, IPv4 and IPv6. InputError where the kernel cannot."""
    os.environ["https_proxy"] = NOWHERE
    if is_sealed():
        return
    machine = platform.machine()
    if machine not in SYSTEM_CALLS:
        raise InputError(
            f"{machine}: cannot take the network from MediaPipe on this processor; {' or '.join(SYSTEM_CALLS)}"
        )
    architecture, socket_call, seccomp_call = SYSTEM_CALLS[machine]
    program = (  # (instruction, jump if true, jump if false, operand); a jump counts the instructions it passes over
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 0, 5, architecture),
        (LOAD, 0, 0, CALL),
        (EQUAL, 0, 3, socket_call),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (EQUAL, 2, 0, int(socket.AF_INET)),
        (EQUAL, 1, 0, int(socket.AF_INET6)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    )
    instructions = b"".join(struct.pack("HBBI", *step) for step in program)
    system = ctypes.CDLL(None, use_errno=True)
    given = _Filter(len(program), instructions)
    refused = system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or system.syscall(
        seccomp_call, SET_FILTER, ALL_THREADS, ctypes.byref(given)
    )
    if refused or not is_sealed():
        reason = os.strerror(ctypes.get_errno()) if refused == -1 else "it has no effect"
        raise InputError(
            f"the network cannot be taken from MediaPipe ({reason}), which would report its use to Google: allow the "
            "system call seccomp in this container"
        )
