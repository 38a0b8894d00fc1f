"""Runs a command on a terminal, and writes what it shows.

    terminal.py COLUMNS[xLINES] [when TEXT ACTION]... PROGRAM ARGUMENT...

Once TEXT was shown, and after the events before it, ACTION is done: `interrupt`
presses Ctrl-C, COLUMNSxLINES makes the terminal so large (and puts the mark
ESC ] resized ; COLUMNSxLINES BEL where that was). The exit status is the
command's, or 97 where it left the terminal in another mode.
"""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios


def resize(handle: int, size: str) -> None:
    """Makes the terminal so large."""
    columns, _, lines = size.partition("x")
    packed = struct.pack("HHHH", int(lines or 50), int(columns), 0, 0)
    fcntl.ioctl(handle, termios.TIOCSWINSZ, packed)


def show(data: bytes) -> None:
    """Passes on what the terminal is sent."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def act(handle: int, action: str) -> None:
    """Does what an event asks for."""
    if action == "interrupt":
        os.write(handle, b"\x03")
    else:
        show(f"\x1b]resized;{action}\x07".encode())
        resize(handle, action)


def main() -> int:
    """The command's exit status."""
    size, *command = sys.argv[1:]
    events = []
    while command[0] == "when":
        _, text, action, *command = command
        events.append((text.encode(), action))
    shown = bytearray()

    # The child waits until the terminal has its size.
    ready, go = os.pipe()
    child, handle = pty.fork()
    if child == 0:
        os.read(ready, 1)
        # Who runs the tests in the background ignores some.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    resize(handle, size)
    mode = left = termios.tcgetattr(handle)
    os.write(go, b"!")
    while True:
        try:
            data = os.read(handle, 65536)
        except OSError:
            break
        if not data:
            break
        show(data)
        shown.extend(data)
        while events and events[0][0] in shown:
            act(handle, events.pop(0)[1])
            shown.clear()
        left = termios.tcgetattr(handle)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if left == mode else 97


if __name__ == "__main__":
    sys.exit(main())
