"""What oasdiff calls a breaking change of the document, `gateway diff` calls so too."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.openapi.changes.findings import Level
from tests.interop.servers import go_program
from tests.unit.openapi.changes.test_changes import TABLE, Api, changes

pytestmark = pytest.mark.slow
MODULE = "github.com/oasdiff/oasdiff@v1.37.0"
_TIMEOUT_S = 60.0
AGREED = {
    # AIP-180: clients must expect values that they do not know. A warning.
    "response-property-enum-value-added": "response-enum-value-added",
}
"""The checks of oasdiff that find what is not breaking here, each with the rule for it."""


@pytest.fixture(scope="module")
def oasdiff(request: pytest.FixtureRequest) -> Path:
    return go_program(request.config.cache.mkdir("interop"), MODULE)


def breaking(oasdiff: Path, old: Api, new: Api, place: Path) -> set[str]:
    """The ids of what oasdiff reports as an error or a warning."""
    files = []
    for name, api in (("old", old), ("new", new)):
        file = place / f"{name}.json"
        file.write_text(json.dumps(api.build()[0]), encoding="utf-8")
        files.append(str(file))
    done = subprocess.run(
        [str(oasdiff), "breaking", *files, "--format", "json"],
        check=True,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    return {one["id"] for one in json.loads(done.stdout or "[]") or []}


@pytest.mark.parametrize(("old", "new", "rules"), TABLE)
def test_nothing_that_oasdiff_calls_breaking_is_missed(
    oasdiff: Path, old: Api, new: Api, rules: str, tmp_path: Path
) -> None:
    theirs = breaking(oasdiff, old, new, tmp_path)
    if not any(one.level is Level.BREAKING for one in changes(old, new)):
        assert {AGREED.get(one) for one in theirs} <= set(rules.split())


def test_oasdiff_reads_these_documents(oasdiff: Path, tmp_path: Path) -> None:
    """It finds breaking changes in most pairs: it would find none in files that it cannot read."""
    found = 0
    for old, new, _ in (pair.values for pair in TABLE[:20]):
        assert isinstance(old, Api)
        assert isinstance(new, Api)
        found += bool(breaking(oasdiff, old, new, tmp_path))
    assert found >= 10
