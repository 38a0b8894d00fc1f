"""Runs a command on a terminal and types TEXT once it has asked "ready? ".

    typed.py TEXT PROGRAM ARGUMENT...
"""

import os
import pty
import signal
import sys


def main() -> int:
    """The command's exit status."""
    text, *command = sys.argv[1:]
    shown = bytearray()

    child, handle = pty.fork()
    if child == 0:
        # Who runs the tests in the background ignores some.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.execv(command[0], command)
    while True:
        try:
            data = os.read(handle, 65536)
        except OSError:
            break
        if not data:
            break
        asked = b"ready? " in shown
        shown.extend(data)
        if not asked and b"ready? " in shown:
            os.write(handle, text.encode())
    _, status = os.waitpid(child, 0)
    sys.stdout.buffer.write(shown)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
