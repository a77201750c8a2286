"""Runs the public suite of HTTP caches: `python -m tests.interop.http_cache [ID …]`.

Exits 1 if a required test does not end as expected. `HTTP_CACHE_TESTS` names the folder of another
version of the suite than that of npm, for example a checkout of its repository.
"""

import asyncio
import sys
from pathlib import Path

from tests.interop.http_cache.run import settled_results, summary, unexpected
from tests.interop.servers import node_packages

_CACHE = Path(".pytest_cache/d/interop")


def main() -> int:
    """Prints the results."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    place = node_packages(_CACHE, "http_cache").resolve()
    results = asyncio.run(settled_results(place, *sys.argv[1:]))
    wrong = unexpected(results)
    print(*wrong, summary(results), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
