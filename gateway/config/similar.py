"""Finds the known name that a mistyped one was meant to be."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns the most similar of the known names, or an empty text if none is similar.

    Two names are similar if at most a third of the characters of the shorter one differ: an
    inserted, a missing, another, or two exchanged characters each count as one difference. This is
    the threshold of common compilers: `lisen` is `listen`, but `true` is not `store`.
    """
    best, best_distance = "", len(name) + 1
    for other in known:
        most = min(len(name), len(other)) // 3
        # Compare only what can be similar: the name may be long, and the comparison is quadratic.
        if abs(len(name) - len(other)) > most:
            continue
        distance = _distance(name.lower(), other.lower())
        if distance <= most and distance < best_distance:
            best, best_distance = other, distance
    return best


def _distance(one: str, other: str) -> int:
    """Counts the edits from one text to the other (optimal string alignment distance)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, character in enumerate(one):
        above, before, row = before, row, [at + 1]
        for to, wanted in enumerate(other):
            least = min(before[to] + (character != wanted), before[to + 1] + 1, row[to] + 1)
            if at and to and character == other[to - 1] and one[at - 1] == wanted:
                least = min(least, above[to - 1] + 1)
            row.append(least)
    return row[-1]
