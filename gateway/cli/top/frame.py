"""One frame of `gateway top`, as lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.cli.messages import visible
from gateway.cli.top.figures import Figures, by_name, figures

_ROWS_SHOWN: Final = 8
"""The most upstreams and workers; routes have what is left."""
_FAILURES_SHOWN: Final = 5
_LEAST_ROUTES: Final = 3
_NAMES: Final = 44
"""The width of the first column."""
_HEAD: Final = ("per s", "failed", "4xx", "p50", "p95", "p99", "since start")


@dataclass(frozen=True, slots=True)
class Sample:
    """The answers of the admin listener at one moment, by its paths."""

    status: Mapping[str, Any]
    workers: Sequence[Mapping[str, Any]]
    traffic: Mapping[str, Any]
    upstreams: Sequence[Mapping[str, Any]]
    failures: Sequence[Mapping[str, Any]]


def frame(before: Sample, after: Sample, width: int, height: int) -> list[str]:
    """Returns the lines for what went on between two samples, cut to the size of the terminal."""
    lines = [*_head(after.status), ""]
    workers = [_worker(one) for one in after.workers[:_ROWS_SHOWN]]
    below = [*_section("WORKERS", workers, len(after.workers))]
    failures = [_failure(one) for one in after.failures[:_FAILURES_SHOWN]]
    below += _section("LAST FAILURES", failures, len(failures))
    if not after.traffic["is_known"]:
        lines += ["metrics are off: there are no rates (set metrics.enabled)", ""]
    else:
        upstreams = list(_upstreams(before, after))
        limits = [_limit(one) for one in after.traffic["limits"]]
        stores = [_store(one) for one in after.traffic["stores"]]
        below = [
            *_table("UPSTREAMS, by calls", upstreams, _ROWS_SHOWN),
            *_section("LIMITS HIT", limits[:_ROWS_SHOWN], len(limits)),
            *_section("STORES", stores, len(stores)),
            *below,
        ]
        room = max(_LEAST_ROUTES, height - len(lines) - len(below) - 5)
        lines += _table("TOTAL", [("all requests", _total(before, after))], 1)
        lines += _table("ROUTES, by requests", list(_routes(before, after)), room)
    return [visible(line)[:width].rstrip() for line in [*lines, *below]][:height]


def _head(status: Mapping[str, Any]) -> Iterator[str]:
    state = "ready" if status["ready"] else f"not ready: {status['reason']}"
    yield (
        f"gateway {status['version']}  {state}  {status['listen'] or 'no port yet'}  "
        f"up {_age(status['uptime_s'])}"
    )
    yield (
        f"{status['workers']['serving']} of {status['workers']['configured']} workers serve  "
        f"{status['connections']} connections  {status['requests_in_progress']} in progress  "
        f"generation {status['generation']}  log level {status['log_level']}"
    )


def _over_s(before: Sample, after: Sample) -> float:
    """The seconds between the sums, which the gateway may have kept for a moment."""
    begun_s, ended_s = (float(one.traffic.get("at_s", 0)) for one in (before, after))
    return max(0.001, ended_s - begun_s)


def _total(before: Sample, after: Sample) -> Figures:
    old = before.traffic.get("total")
    bounds_s = after.traffic["bounds_s"]
    return figures(old, after.traffic["total"], bounds_s, _over_s(before, after))


def _routes(before: Sample, after: Sample) -> Iterator[tuple[str, Figures]]:
    old = by_name(before.traffic.get("routes", ()), "http_method", "route")
    rows = by_name(after.traffic["routes"], "http_method", "route")
    found = []
    for names, row in rows.items():
        name = f"{names[0]} {names[1] or '(no route)'}"
        bounds_s = after.traffic["bounds_s"]
        found.append((name, figures(old.get(names), row, bounds_s, _over_s(before, after))))
    found.sort(key=lambda one: (-one[1].per_second, -one[1].since_start))
    yield from found


def _upstreams(before: Sample, after: Sample) -> Iterator[tuple[str, Figures]]:
    old = by_name(before.traffic.get("upstreams", ()), "name")
    rows = by_name(after.traffic["upstreams"], "name")
    for upstream in after.upstreams:
        names = (str(upstream["name"]),)
        states: dict[str, int] = {}
        for endpoint in upstream["endpoints"]:
            for state in endpoint["states"]:
                states[state] = states.get(state, 0) + 1
        text = ", ".join(f"{count} {state}" for state, count in states.items())
        name = f"{names[0]} ({text})" if text else names[0]
        nothing = {"requests": 0, "failures": 0, "client_errors": 0, "buckets": []}
        row, bounds_s = rows.get(names, nothing), after.traffic["bounds_s"]
        yield name, figures(old.get(names), row, bounds_s, _over_s(before, after))


def _table(title: str, rows: Sequence[tuple[str, Figures]], most: int) -> Iterator[str]:
    yield f"{title:<{_NAMES}}" + "".join(f"{name:>9}" for name in _HEAD[:-1]) + f"{_HEAD[-1]:>13}"
    for name, row in rows[:most]:
        shown = name if len(name) < _NAMES else f"{name[: _NAMES - 2]}…"
        cells = (
            f"{row.per_second:.1f}",
            *(_percent(one) for one in (row.failed, row.client_errors)),
            *(_time(one) for one in (row.p50_s, row.p95_s, row.p99_s)),
        )
        columns = "".join(f"{cell:>9}" for cell in cells)
        yield f"{shown:<{_NAMES}}{columns}{row.since_start:>13}"
    if len(rows) > most:
        yield f"and {len(rows) - most} more"
    yield ""


def _section(title: str, rows: Sequence[str], count: int) -> Iterator[str]:
    if rows:
        yield title
        yield from rows
        if count > len(rows):
            yield f"and {count - len(rows)} more"
        yield ""


def _limit(row: Mapping[str, Any]) -> str:
    refused = "refuses now" if row["refused"] is None else f"{row['refused']} since start"
    return f"{row['kind']} {row['name']}  {refused}"


def _store(row: Mapping[str, Any]) -> str:
    state = "up" if row["up"] else "DOWN"
    return f"{row['name']}  {state}  {row['operations']} operations, {row['failures']} failed"


def _worker(worker: Mapping[str, Any]) -> str:
    counts = "no counts"
    if worker["connections"] is not None:
        counts = f"{worker['connections']} connections, {worker['requests_in_progress']} requests"
    return (
        f"{worker['number']:>3}  {worker['state']:<9} pid {worker['pid'] or '-':<8} "
        f"up {_age(worker['uptime_s']):<8} {counts}"
    )


def _failure(row: Mapping[str, Any]) -> str:
    return (
        f"{row['time'][11:19]}  {row['status']}  {row['code'] or row['error_type']}  "
        f"{_time(row['duration_s'])}  {row['http_method']} {row['path']}"
    )


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share:.{1 if 0 < share < 0.1 else 0}f} %"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
