"""Makes patterns that repeat a group and never give up a part of it: linear in hostile texts."""

import sys


def repeated(body: str) -> str:
    """Returns the pattern for any number of `body`, possessive, which may itself contain such ones.

    Python before 3.11.5 matches a possessive group within another one wrongly. There it is an
    atomic group of a greedy one, which matches the same, but takes memory for each repetition.
    """
    return f"(?:{body})*+" if sys.version_info >= (3, 11, 5) else f"(?>(?:{body})*)"
