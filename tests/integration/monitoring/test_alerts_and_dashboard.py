"""The alerts and the dashboard ask for metrics and labels that the gateway has.

Prometheus' own tool checks their syntax, and runs the stories of `alerts_test.yaml`.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.telemetry.metrics.definitions import METRICS
from gateway.telemetry.metrics.metric import Kind
from tests.support.collector import collector
from tests.support.http import echo_gateway
from tests.support.polling import first
from tools import dashboard

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
_SUFFIXES = {
    Kind.COUNTER: ["_total"],
    Kind.GAUGE: [""],
    Kind.HISTOGRAM: ["_bucket", "_sum", "_count"],
}
_FACTS = {"gateway_build_info": {"version", "python", "compiled", "loop"}}
_OF_PROMETHEUS = {"job", "instance", "le"}
_WORDS = {
    *("absent", "and", "by", "histogram_quantile", "increase", "label_values", "or", "rate", "sum"),
    *("max", "min", "time"),
}


def promtool() -> str:
    """The path of Prometheus' tool; without it the test is skipped."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    return found


def rules() -> list[dict[str, Any]]:
    """All rules of the file."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[str]:
    """The names of all alerts."""
    return [rule["alert"] for rule in rules() if "alert" in rule]


def samples() -> dict[str, set[str]]:
    """The labels of each sample that exists: of a scrape, or recorded by a rule."""
    found = {
        f"{metric.name}{suffix}": {*metric.labels, *_OF_PROMETHEUS}
        for metric in METRICS
        for suffix in _SUFFIXES[metric.kind]
    }
    found |= {name: labels | _OF_PROMETHEUS for name, labels in _FACTS.items()}
    return found | {rule["record"]: {"job"} for rule in rules() if "record" in rule}


def of_sloth() -> dict[float, list[str]]:
    """The queries of the example for Sloth, by their objective in percent."""
    found = yaml.safe_load(ALERTS.with_name("sloth.yaml").read_text())
    return {
        one["objective"]: [
            query.replace("{{.window}}", "5m") for query in one["sli"]["events"].values()
        ]
        for one in found["slos"]
    }


def of_pyrra() -> dict[float, list[str]]:
    """The metrics of the example for Pyrra, by their objective in percent."""
    found = yaml.safe_load_all(ALERTS.with_name("pyrra.yaml").read_text())
    return {
        float(one["spec"]["target"]): [
            part["metric"]
            for indicator in one["spec"]["indicator"].values()
            for part in indicator.values()
        ]
        for one in found
    }


def examples() -> list[str]:
    """Every query of the examples for programs that make rules of objectives."""
    return [
        query for found in (of_sloth(), of_pyrra()) for some in found.values() for query in some
    ]


def queries() -> list[str]:
    """Every query of the alerts, the examples and the dashboard, also those of its variables."""
    shown = json.loads(dashboard.FILE.read_text())
    variables = [one["definition"] for one in shown["templating"]["list"] if "definition" in one]
    alerting = [rule["expr"] for rule in rules()]
    return [*alerting, *examples(), *dashboard.queries(), *variables]


def unknown(query: str) -> Iterator[str]:
    """The names in a query that no sample, or not this sample, has."""
    known = samples()
    plain = re.sub(r'"[^"]*"', '""', query)
    for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", plain):
        labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
        yield from labels - known.get(name, set())
    plain = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", plain)
    names = set(re.findall(r"(?<![\w$])[a-zA-Z_:][\w:]*", plain))
    labels = set().union(*known.values())
    yield from names - known.keys() - labels - _WORDS


@pytest.mark.parametrize("query", queries())
def test_every_metric_and_label_exists(query: str) -> None:
    assert list(unknown(query)) == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("rate(gateway_connection_total[5m])", "gateway_connection_total"),
        ('gateway_connections{route="x"}', "route"),
        ("sum by (routes) (gateway_connections)", "routes"),
    ],
)
def test_a_name_that_nothing_has_is_seen(query: str, name: str) -> None:
    assert list(unknown(query)) == [name]


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(dashboard.queries())
    assert [metric.name for metric in METRICS if metric.name not in shown] == []


def test_the_dashboard_is_up_to_date() -> None:
    assert dashboard.FILE.read_text() == dashboard.text(), "run python -m tools.dashboard"


async def test_counters_whose_first_step_is_an_alert_are_there_from_the_start() -> None:
    asked = {
        found
        for rule in rules()
        if "alert" in rule
        for found in re.findall(r"increase\((\w+)(?:{(\w+=\"\w+\")})?\[", rule["expr"])
    }
    assert ("gateway_reloads_total", 'outcome="refused"') in asked
    asked.discard(("gateway_tls_certificate_reloads_total", 'outcome="refused"'))  # only with TLS
    with collector() as received:
        async with echo_gateway(tracing={"otlp": received.url}) as gateway:
            exposition = gateway.exposition
            assert exposition is not None

            async def lines() -> list[str]:
                return exposition.text()[1].decode().splitlines()

            wanted = [f"{name}{{{label}}} 0.0" if label else f"{name} 0.0" for name, label in asked]
            await first(lines, lambda found: set(wanted) <= set(found), within_s=20)


def test_the_examples_have_the_objectives_of_the_alerts() -> None:
    assert sorted(of_sloth()) == sorted(of_pyrra()) == [99, 99.9]
    budgets = {float(one) for one in re.findall(r"> [0-9.]+ \* ([0-9.]+)", ALERTS.read_text())}
    assert budgets == {0.001, 0.01}
    failed = [rule["expr"] for rule in rules() if rule.get("record", "").endswith("ratio_rate5m")]
    for number, objective in enumerate((99.9, 99)):
        for some in (of_sloth(), of_pyrra()):
            selectors = re.findall(r"\{([^}]*)\}", " ".join(some[objective]))
            for matcher in {
                one for text in selectors for one in text.split(",") if "le=" not in one
            }:
                assert matcher in failed[number]


def test_panels_do_not_overlap() -> None:
    panels = json.loads(dashboard.FILE.read_text())["panels"]
    places = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_operators_are_told_what_to_do_about_each_alert() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    rows = {
        name: line
        for line in text.splitlines()
        if (found := re.match(r"\| `(Gateway\w+)` \|", line))
        for name in found.groups()
    }
    assert sorted(rows) == sorted(alerts())
    assert all(len(line.split("|")) == 5 for line in rows.values()), "name, meaning, what to do"


def test_each_alert_has_a_story() -> None:
    text = ALERTS.with_name("alerts_test.yaml").read_text()
    stories = yaml.safe_load(text)["tests"]
    asked = [one for story in stories for one in story["alert_rule_test"]]
    fired = {one["alertname"] for one in asked if one.get("exp_alerts")}
    assert fired == set(alerts())


def checked(*arguments: str, folder: Path = ALERTS.parent) -> None:
    """Runs Prometheus' tool, which must find no fault."""
    done = subprocess.run(
        [promtool(), *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_alerts_fire_when_they_should() -> None:
    checked("check", "rules", ALERTS.name)
    checked("test", "rules", "alerts_test.yaml")


@pytest.mark.slow
def test_the_queries_of_the_dashboard_and_the_examples_can_be_parsed(tmp_path: Path) -> None:
    recorded = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate([*dashboard.queries(), *examples()])
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    checked("check", "rules", file.name, folder=tmp_path)
