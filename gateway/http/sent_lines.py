"""The header lines of responses that differ only in the id of their request, made once."""

from typing import Final

ID_NAME: Final = "X-Request-Id"
MOST_CHARACTERS: Final = 1024
"""The length up to which lines are kept; most heads have half of it."""


class SentLines:
    """The lines of a head, in one text before the id of its request and one after it."""

    __slots__ = ("_at", "_fixed", "_headers", "after", "before")

    def __init__(self, fixed: str, headers: list[tuple[str, str]], at: int) -> None:
        """Takes prepared lines, and headers of which the one with index `at` has the id."""
        self._fixed = fixed
        self._headers = headers.copy()
        self._headers[at] = (ID_NAME, "")
        self._at = at
        lines = [f"{name}: {value}\r\n" for name, value in self._headers]
        self.before = f"{fixed}{''.join(lines[:at])}{ID_NAME}: "
        self.after = "\r\n" + "".join(lines[at + 1 :])

    def id_of(self, fixed: str, headers: list[tuple[str, str]]) -> str | None:
        """Returns the id of a head that is else the same; None if it is not."""
        kept, at = self._headers, self._at
        if len(headers) != len(kept) or fixed != self._fixed:
            return None
        for index, field in enumerate(headers):
            # Headers that are kept somewhere are the same objects; an equal one is made anew.
            if field is not kept[index] and index != at:
                return None
        name, value = headers[at]
        return value if name == ID_NAME else None


def sent_lines(fixed: str, headers: list[tuple[str, str]]) -> SentLines | None:
    """Returns the lines of a head; None if it has no id of a request, or they are too long."""
    for at, (name, _) in enumerate(headers):
        if name == ID_NAME:
            made = SentLines(fixed, headers, at)
            return made if len(made.before) + len(made.after) <= MOST_CHARACTERS else None
    return None
