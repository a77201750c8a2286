"""A terminal that shows one frame after another, with the escape sequences of ECMA-48."""

import select
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Final

try:
    import termios
    import tty
except ImportError:  # not on every platform; keys are then not read
    termios = None  # type: ignore[assignment]

# The alternate screen (xterm's private mode 1049) leaves what was on the terminal as it was.
_OPEN: Final = "\x1b[?1049h\x1b[?25l"
_CLOSE: Final = "\x1b[?25h\x1b[?1049l"
_TO_BEGIN: Final = "\x1b[H"
_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"
_NO_TERMINAL: Final = (200, 60)
"""The columns and lines where the output is no terminal."""


class Screen:
    """Shows frames; on a terminal each in place of the one before, else one below the other."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        self.reads_keys = self.is_terminal and termios is not None and sys.stdin.isatty()

    @property
    def size(self) -> tuple[int, int]:
        """The columns and lines that there are now."""
        return get_terminal_size(_NO_TERMINAL) if self.is_terminal else _NO_TERMINAL

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Takes the terminal while the block runs, and then gives it back as it was."""
        before = termios.tcgetattr(sys.stdin) if self.reads_keys else None
        try:
            if before is not None:
                tty.setcbreak(sys.stdin)
            if self.is_terminal:
                sys.stdout.write(_OPEN)
            yield
        finally:
            if self.is_terminal:
                sys.stdout.write(_CLOSE)
                sys.stdout.flush()
            if before is not None:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def show(self, lines: Sequence[str]) -> None:
        """Shows a frame."""
        if self.is_terminal:
            text = "".join(f"{line}{_CLEAR_LINE}\n" for line in lines[: self.size[1] - 1])
            sys.stdout.write(f"{_TO_BEGIN}{text}{_CLEAR_BELOW}")
        else:
            sys.stdout.write("\n".join([*lines, ""]))
        sys.stdout.flush()

    def wait(self, seconds: float) -> str:
        """Waits, or until a key is pressed; returns the key, `q` at the end of the input, or ""."""
        if not self.reads_keys:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        # At its end, the input would be ready at once for ever.
        return (sys.stdin.read(1) or "q") if ready else ""
