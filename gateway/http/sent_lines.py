"""The header lines of responses that differ only in the id of their request, made once."""

from typing import Final

ID_NAME: Final = "X-Request-Id"
MOST_CHARACTERS: Final = 1024
"""The length up to which lines are kept; most heads have half of it."""


class SentLines:
    """The lines of a head, in one text before the id of its request and one after it."""

    __slots__ = ("_at", "_first", "_fixed", "_rest", "after", "before")

    def __init__(self, fixed: str, headers: list[tuple[str, str]], at: int) -> None:
        """Takes prepared lines, and headers of which the one with index `at` has the id."""
        self._at = at
        self._fixed = fixed
        self._first = headers[:at]
        self._rest = headers[at + 1 :]
        # As machine code, an f-string copies character by character, and `join` whole texts.
        self.before = "".join([fixed, _joined(self._first), ID_NAME, ": "])
        self.after = "".join(["\r\n", _joined(self._rest)])

    def id_of(self, fixed: str, headers: list[tuple[str, str]]) -> str | None:
        """Returns the id of a head that is else the same; None if it is not."""
        at = self._at
        # Whole lists: machine code would make a new tuple of each field to compare it.
        if len(headers) <= at or headers[:at] != self._first or headers[at + 1 :] != self._rest:
            return None
        name, value = headers[at]
        return value if name == ID_NAME and fixed == self._fixed else None


def _joined(headers: list[tuple[str, str]]) -> str:
    parts: list[str] = []
    for name, value in headers:
        parts += [name, ": ", value, "\r\n"]
    return "".join(parts)


def sent_lines(fixed: str, headers: list[tuple[str, str]]) -> SentLines | None:
    """Returns the lines of a head; None if it has no id of a request, or they are too long."""
    for at, (name, _) in enumerate(headers):
        if name == ID_NAME:
            made = SentLines(fixed, headers, at)
            return made if len(made.before) + len(made.after) <= MOST_CHARACTERS else None
    return None
