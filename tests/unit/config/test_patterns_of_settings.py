"""The patterns of settings: one that counts far is a large automaton in each gateway."""

import json
import re

import pytest
from pydantic import ValidationError

from gateway.config.health_checks import HealthCheckOptions
from gateway.config.load_reports import LoadReportOptions
from gateway.config.model import Config


def test_no_pattern_counts_far() -> None:
    schema = json.dumps(Config.model_json_schema())
    found = re.findall(r"\"pattern\": (\"(?:[^\"\\]|\\.)*\")", schema)
    patterns = [json.loads(text) for text in found]
    counts = [int(n) for pattern in patterns for n in re.findall(r"\{\d+,(\d+)\}", pattern)]
    assert counts
    assert max(counts) <= 100


@pytest.mark.parametrize("name", ["utilization.", "utilization.a\n", "request_cost." + "a" * 202])
def test_a_metric_has_a_name_of_bounded_length(name: str) -> None:
    LoadReportOptions(metric_names_for_computing_utilization=("utilization." + "a" * 202,))
    with pytest.raises(ValidationError):
        LoadReportOptions(metric_names_for_computing_utilization=(name,))


@pytest.mark.parametrize("path", ["a", "/a b", "/a\n", "/" + "a" * 1001])
def test_the_path_of_a_health_check_is_bounded(path: str) -> None:
    HealthCheckOptions(kind="http", path="/" + "a" * 1000)
    with pytest.raises(ValidationError):
        HealthCheckOptions(kind="http", path=path)
