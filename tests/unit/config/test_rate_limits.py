"""Settings of rate limits."""

import json

import pytest
from pydantic import ValidationError

from gateway.config.model import Config
from gateway.config.rate_limits import OnStoreFailure


def test_the_password_of_a_store_is_not_shown() -> None:
    store = "redis://user:s3cret@localhost:6379/0"
    config = Config.model_validate({"rate_limits": {"store": store}})
    assert config.rate_limits.store == store
    assert "s3cret" not in config.model_dump_json()
    assert "s3cret" not in repr(config)


def test_a_store_that_is_down_lets_calls_through_unless_told_otherwise() -> None:
    assert Config().rate_limits.on_store_failure is OnStoreFailure.OPEN


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"on_store_failure": "ajar"}, id="neither open nor closed"),
        pytest.param({"timeout_s": 0}, id="no time at all"),
        pytest.param({"limit": 5}, id="limits belong to policies"),
    ],
)
def test_what_means_nothing_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"rate_limits": settings})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@h:6379/0",
        "redis://:s3cret/s3cret@h:6379/0",
        "redis://u:s3c@s3cret@h:6379/0",
        "redis://u:s3cret:s3cret@h/0?prefix=a:",
        "rediss://:s3cret#s3cret?s3cret@h",
        "unix:///socket?db=1&password=s3cret",
        "redis://h/0?username=u&password=s3cret",
    ],
)
def test_no_password_is_shown_however_it_is_written(url: str) -> None:
    config = Config.model_validate({"rate_limits": {"store": url}, "auth": {"store": url}})
    assert "s3c" not in config.model_dump_json()
    assert "***" in config.model_dump_json()


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), "inf"])
@pytest.mark.parametrize(
    "settings",
    [
        {"policies": [{"selector": "*", "rate_limits": [{"limit": 5, "window_s": None}]}]},
        {"policies": [{"selector": "*", "timeout_s": None}]},
        {"auth": {"tokens": {"access_ttl_s": None}}},
        {"deadlines": {"default_s": None}},
    ],
)
def test_no_time_is_endless(settings: dict[str, object], seconds: object) -> None:
    filled = json.loads(json.dumps(settings), object_hook=lambda o: _filled(o, seconds))
    with pytest.raises(ValidationError, match=r"finite|greater than"):
        Config.model_validate(filled)


def _filled(values: dict[str, object], seconds: object) -> dict[str, object]:
    return {name: seconds if value is None else value for name, value in values.items()}
