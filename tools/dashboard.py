"""Writes the Grafana dashboard: `python -m tools.dashboard`."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.dashboard_queries import OF_JOB, REQUESTS, Query
from tools.dashboard_rows import ROWS

FILE = Path("deploy/grafana/dashboard.json")
_SCHEMA = 39
"""The version of the dashboard's JSON model; Grafana 10.4 and later read it."""
_SOURCE = {"type": "prometheus", "uid": "$datasource"}
_COLUMNS, _HEIGHT = 24, 8


def queries() -> Iterator[str]:
    """Every query of the panels."""
    for _, panels in ROWS:
        for _, _, asked in panels:
            yield from (query for query, _ in asked)


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    return {
        "uid": "grpc-rest-gateway",
        "title": "gRPC-REST gateway",
        "tags": ["gateway"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }


def _variables() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source"}
    ]
    for name, metric, label in (
        ("job", "gateway_build_info", "job"),
        ("route", f"{REQUESTS}_count{{{OF_JOB}}}", "http_route"),
        ("upstream", f"gateway_upstream_endpoints{{{OF_JOB}}}", "gateway_upstream"),
    ):
        query = f"label_values({metric}, {label})"
        found.append(
            {
                "name": name,
                "type": "query",
                "datasource": _SOURCE,
                "query": {"query": query, "refId": name},
                "definition": query,
                "refresh": 2,
                "sort": 1,
                "multi": True,
                "includeAll": True,
                # Also requests without a route, which have no such label.
                "allValue": ".*",
                "current": {"text": ["All"], "value": ["$__all"]},
            }
        )
    return found


def _panels() -> Iterator[dict[str, Any]]:
    y = number = 0
    for row, panels in ROWS:
        number += 1
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": row, "gridPos": place, "panels": []}
        y += 1
        in_a_line = 2 if len(panels) in (2, 4) else 3
        width = _COLUMNS // in_a_line
        for index, (title, unit, asked) in enumerate(panels):
            number += 1
            line, column = divmod(index, in_a_line)
            place = {"x": column * width, "y": y + line * _HEIGHT, "w": width, "h": _HEIGHT}
            yield _panel(number, title, unit, asked) | {"gridPos": place}
        y += -(-len(panels) // in_a_line) * _HEIGHT


def _panel(number: int, title: str, unit: str, asked: Sequence[Query]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expr, "legendFormat": name}
            for at, (expr, name) in enumerate(asked)
        ],
    }


def text() -> str:
    """The text of the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


def main() -> int:
    """Writes the dashboard, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only check that it is up to date")
    if parser.parse_args().check:
        if FILE.read_text() != text():
            print(f"{FILE} is not up to date: run python -m tools.dashboard", file=sys.stderr)
            return 1
        return 0
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
