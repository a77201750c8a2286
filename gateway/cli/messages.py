"""Messages to the operator, on standard error: standard output is for the results of commands."""

import sys
from typing import NoReturn


def say(text: str) -> None:
    """Prints a message, with the program's name before each line."""
    lines = "\n".join(f"gateway: {visible(line)}" for line in text.split("\n"))
    print(lines, file=sys.stderr, flush=True)


def fail(text: str) -> NoReturn:
    """Prints a message and ends the program with exit code 1."""
    say(text)
    raise SystemExit(1)


def visible(text: str) -> str:
    """`text` with control characters escaped: untrusted names must not control the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
