"""The public suite of HTTP caches: npm `http-cache-tests`, by http_cache/.

`python -m tests.interop.http_cache` runs it alone, also in another version.
"""

import os
from pathlib import Path

import pytest

from tests.interop.http_cache.run import settled_results, unexpected
from tests.interop.servers import node_packages

REQUIRED = 160 if "HTTP_CACHE_TESTS" in os.environ else 157
"""The number of required tests in the repository of the suite, and in what npm has."""

pytestmark = pytest.mark.slow


async def test_required_tests_pass_or_are_listed(request: pytest.FixtureRequest) -> None:
    cache: Path = request.config.cache.mkdir("interop")
    place = node_packages(cache, "http_cache").resolve()
    results = await settled_results(place)
    assert sum(one.kind == "required" for one in results) == REQUIRED
    assert not unexpected(results)
