"""Writes the table of docs/metrics.md from the definitions: `python -m tools.metrics_page`."""

import argparse
import sys
from pathlib import Path

from gateway.telemetry.metrics.definitions import METRICS
from gateway.telemetry.metrics.metric import Kind, Metric

PAGE = Path("docs/metrics.md")
_BEGIN = "<!-- metrics -->\n"
_END = "<!-- /metrics -->"


def table() -> str:
    """The table of all metrics."""
    rows = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    rows += [_row(metric) for metric in METRICS]
    rows += [
        "| `gateway_build_info` | gauge | `version`, `python`, `compiled`, `loop` | Always 1 |",
        "| `target_info` | gauge | `service_name`, `service_version`, more | Always 1 |",
    ]
    return "\n".join(rows) + "\n"


def _row(metric: Metric) -> str:
    name = f"{metric.name}_total" if metric.kind is Kind.COUNTER else metric.name
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{name}` | {metric.kind} | {labels} | {metric.help} |"


def page(text: str) -> str:
    """Returns the text of the page with the table as it should be."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + table() + _END + after


def main() -> int:
    """Writes the page, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only check that it is up to date")
    text = PAGE.read_text()
    if parser.parse_args().check:
        if text != page(text):
            print(f"{PAGE} is not up to date: run python -m tools.metrics_page", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(page(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
