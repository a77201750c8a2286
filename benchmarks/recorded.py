"""The recorded instructions of a request, and how a new count compares with them.

`instructions.json` holds a count for each form of request, by the Python that it was made with:
another version, or one built without profile-guided optimisation, needs other numbers of
instructions for the same work. A commit that makes a request dearer changes the file, and says why.
"""

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "instructions.json"
FORMS: Final = ("same", "varied")
"""The forms that are recorded and compared."""
MOST_GROWTH: Final = 0.03
"""On a machine with free cores, two runs of one build differ by a tenth of that."""
MOST_OF_SAME: Final = 1.3
"""How many times those of an equal request a request that differs may take."""

Counts = dict[str, int]
"""Instructions of a request, by its form."""


def this_python() -> str:
    """The name of the Python that runs, as the file has it: version, build, compiler, machine.

    Builds of one version differ, for example in profile-guided optimisation; only the time of the
    build tells all of them apart.
    """
    return f"{' '.join(sys.version.split())} on {platform.machine()}"


def read(file: Path = FILE) -> dict[str, Counts]:
    """The recorded counts, by Python; empty if there is no file.

    Raises:
        ValueError: the file is not JSON of that form; the message names it.
    """
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text())
        return {
            str(python): {str(form): int(count) for form, count in counts.items()}
            for python, counts in found.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected an object of counts by form, by Python: {error}"
        ) from error


def record(counts: Mapping[str, int], python: str, file: Path = FILE) -> None:
    """Replaces the counts of one Python in the file."""
    known = read(file) | {python: dict(counts)}
    file.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def objections(counts: Mapping[str, int], recorded: Mapping[str, int]) -> list[str]:
    """What is wrong with new counts, in sentences; none if they may stay.

    A form that is missing in either is not compared.
    """
    found = []
    for form, before in recorded.items():
        now = counts.get(form, 0)
        if now > before * (1 + MOST_GROWTH):
            found.append(
                f"{form}: {now:,} instructions a request, {now / before - 1:+.1%} of the recorded "
                f"{before:,}; at most {MOST_GROWTH:+.0%} is allowed. If it has to be, record the "
                "new count (--record), and say why in the commit"
            )
    same, varied = counts.get("same", 0), counts.get("varied", 0)
    if same and varied > same * MOST_OF_SAME:
        found.append(
            f"a request that differs takes {varied / same:.2f} times the {same:,} instructions of "
            f"one that repeats; at most {MOST_OF_SAME} is allowed"
        )
    return found
