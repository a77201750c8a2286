"""As many clients are connected as files can be open, less those that others need."""

import resource
from collections.abc import Iterator

import pytest

from gateway.app.file_limit import fit_connections
from gateway.config.model import Config


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("files", "wanted", "connections"),
    [
        pytest.param(1024, 10_000, 768, id="fewer files than connections"),
        pytest.param(1024, 1000, 768, id="as many, and none for others"),
        pytest.param(1024, 768, 768, id="just enough"),
        pytest.param(1024, 10, 10, id="enough"),
        pytest.param(300, 10_000, 150, id="hardly any"),
    ],
)
def test_connections_follow_the_limit_on_files(files: int, wanted: int, connections: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    config, said = fit_connections(Config.model_validate({"limits": {"connections": wanted}}))
    assert config.limits.connections == connections
    assert [f"is {connections} instead of {wanted}" in one for one in said] == (
        [True] if connections < wanted else []
    )
    assert all(f"{files} files" in one for one in said)
