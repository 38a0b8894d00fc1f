"""Runs a command on a terminal of COLUMNS columns, and writes what it shows.

    terminal.py COLUMNS PROGRAM ARGUMENT...
"""

import fcntl
import os
import pty
import struct
import sys
import termios


def main() -> int:
    """The command's exit status."""
    columns, *command = sys.argv[1:]
    child, handle = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, int(columns), 0, 0))
        os.execv(command[0], command)
    while True:
        try:
            data = os.read(handle, 65536)
        except OSError:
            break
        if not data:
            break
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
