"""Becomes a program for which the kernel has no Landlock, as an old one has none."""

import ctypes
import os
import struct
import sys

CREATE_RULESET = 444
ENOSYS = 38
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
FILTER = [
    (0x20, 0, 0, 0),  # the number of the system call
    (0x15, 0, 1, CREATE_RULESET),
    (0x06, 0, 0, 0x00050000 | ENOSYS),
    (0x06, 0, 0, 0x7FFF0000),
]


def main() -> None:
    code = b"".join(struct.pack("HBBI", *line) for line in FILTER)
    held = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(FILTER), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, 2, program)]:
        if libc.prctl(*words):
            sys.exit(f"prctl {words[0]}: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
