"""The text forms of Prometheus, merged over the files of all workers.

Sources: Prometheus, "Exposition formats", text format 0.0.4; OpenMetrics 1.0.
"""

import json
import platform
import re
import struct
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from itertools import accumulate
from typing import Final

from gateway.config.metrics import MetricsOptions
from gateway.config.tracing import TracingOptions
from gateway.telemetry.metrics.cells import CellFile
from gateway.telemetry.metrics.definitions import metrics_of
from gateway.telemetry.metrics.metric import Kind, Merge, Metric, Slot, used
from gateway.telemetry.metrics.otlp import export_request
from gateway.telemetry.metrics.own_metrics import read_definition

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = (
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
)
_FACTS: Final = {
    "gateway_build_info": "The version of the gateway and of that on which it runs; always 1",
    "target_info": "The service that this is; always 1",
}
_NAME: Final = "grpc-rest-gateway"
_UNNAMED: Final = TracingOptions()
_PAUSE_EVERY: Final = 32
"""The number of children after which other threads may run: half a millisecond's worth."""

_LABELS: Final = "\0"
_WORKER: Final = "worker"

Children = dict[str, "array[float]"]
"""The cells of the children of one metric, by the values of their labels as JSON.

Not lists: a million numbers as objects cost more than the sums.
"""


class Exposition:
    """The text of all metrics of a gateway, from the files of its workers.

    It needs nothing of the processes that count, so it works in any process that has the files.
    """

    def __init__(
        self,
        options: MetricsOptions,
        files: Sequence[CellFile],
        service: TracingOptions = _UNNAMED,
    ) -> None:
        """Takes the settings of metrics, and those that name this service."""
        self._facts = _facts(service)
        self._metrics = metrics_of(options)
        self._files = files
        self._per_worker = options.per_worker

    def prefers_openmetrics(self, accept: str) -> bool:
        """True if a value of `Accept` asks for OpenMetrics and not for the older text form."""
        return prefers_openmetrics(accept)

    def text(self, accept: str = "") -> tuple[str, bytes]:
        """Returns the media type that `accept` prefers, and the text; call it in a thread."""
        media_type, pieces = self.pieces(accept)
        return media_type, b"".join(pieces)  # CPython lets other threads run if it is large

    def pieces(self, accept: str = "") -> tuple[str, list[bytes]]:
        """Returns the text in pieces, between which other threads run."""
        merged, metrics = self._merged()
        return render(merged, metrics, self._facts, accept)

    def export(self, resource: Mapping[str, str]) -> bytes:
        """Returns all metrics as a request of OTLP; `resource` names this service.

        Call it in a thread.
        """
        merged, metrics = self._merged()
        found = {metrics[name]: children for name, children in merged.items()}
        return export_request(resource, version(_NAME), found, time.time())

    def _merged(self) -> tuple[dict[str, Children], Mapping[str, Metric]]:
        """Returns the sums, and all metrics by the same names: also those of interceptors."""
        metrics = dict(self._metrics)
        merged = merge(self._files, metrics, per_worker=self._per_worker)
        if self._per_worker:
            metrics = {name: _of_a_worker(metric) for name, metric in metrics.items()}
        return merged, metrics

    def bounds(self, histogram: Metric) -> Sequence[float]:
        """Returns the upper bounds of the buckets of a histogram, without infinity."""
        return self._metrics[histogram.name].edges

    def sums(self, *metrics: Metric) -> "Iterator[dict[tuple[str, ...], array[float]]]":
        """Yields, for each metric, the cells of its children by their labels' values.

        See `Slot` for their order. Call it in a thread.
        """
        merged = merge(self._files, {one.name: self._metrics[one.name] for one in metrics})
        for one in metrics:
            children = merged.get(one.name, {})
            yield {tuple(json.loads(labels)): cells for labels, cells in children.items()}


def render(
    merged: Mapping[str, Children],
    metrics: Mapping[str, Metric],
    facts: Mapping[str, Mapping[str, str]],
    accept: str = "",
) -> tuple[str, list[bytes]]:
    """Returns the media type that `accept` prefers, and pieces of text with all metrics of `merge`.

    It empties what `merge` has found.

    `facts` are gauges of value 1: labels by name. It takes up to a tenth of a second of CPU, so
    call it in a thread; it lets other threads run meanwhile.
    """
    is_open = prefers_openmetrics(accept)
    # Not one text: no other thread runs while a large one is encoded, or a buffer grows.
    pieces: list[bytes] = []
    for name, labels in facts.items():
        # OpenMetrics has a type for them, which text 0.0.4 writes as a gauge.
        family = name.removesuffix("_info") if is_open else name
        pieces.append(f"# HELP {family} {_FACTS[name]}.\n".encode())
        pieces.append(f"# TYPE {family} {'info' if is_open else 'gauge'}\n".encode())
        pieces.append(f"{name}{_braces(labels.items())} 1\n".encode())
    for name, metric in metrics.items():
        children = merged.get(name)
        if children:
            pieces.extend(map(str.encode, _head(metric, is_open=is_open)))
            pieces.extend(map(str.encode, _samples(metric, children, is_open=is_open)))
    if is_open:
        pieces.append(b"# EOF\n")
    return OPENMETRICS if is_open else TEXT, pieces


def merge(
    files: Iterable[CellFile], metrics: dict[str, Metric], *, per_worker: bool = False
) -> dict[str, Children]:
    """Returns the sums over all files: labels and cells of each child, by name of the metric.

    With `per_worker`, each file alone: the number of the worker is the first label, unless the
    metric has one for it. Those of interceptors are added to `metrics`.
    """
    merged: dict[str, Children] = {}
    own = _OwnMetrics(merged, metrics)
    for worker, file in enumerate(files, 1):
        for number, (key, cells) in enumerate(file.children()):
            if number % _PAUSE_EVERY == 0:
                time.sleep(0)
            name, labels = _name_and_labels(key)
            if not name:
                own.found(labels, cells[Slot.CREATED])
            metric = metrics.get(name)
            if metric is None or metric.slots != len(cells):
                continue  # written with other settings
            if metric.merge is not Merge.SUM and not cells[Slot.CREATED]:
                continue  # of a process that has ended
            if per_worker and _WORKER not in metric.labels:
                labels = f'["{worker}"{", " if len(labels) > len("[]") else ""}{labels[1:]}'
            children = merged.setdefault(name, {})
            known = children.get(labels)
            if known is None:
                children[labels] = cells
            else:
                _add(metric, known, cells)
    return merged


@dataclass(slots=True)
class _OwnMetrics:
    """The metrics of interceptors that `merge` finds; of several forms of one, the latest."""

    merged: dict[str, Children]
    metrics: dict[str, Metric]
    latest: dict[str, tuple[float, str]] = field(default_factory=dict)
    """The time of a form, and the name of its children in the files, by the name of the metric."""

    def found(self, values: str, defined_s: float) -> None:
        """Takes a definition, and forgets the form before it."""
        stored, metric = read_definition(json.loads(values))
        before_s, before = self.latest.get(metric.name, (-1.0, ""))
        if defined_s <= before_s:
            return
        if stored != before:  # and not the same form in the file of another worker
            self.merged.pop(before, None)
            self.metrics.pop(before, None)
            self.metrics[stored] = metric
        self.latest[metric.name] = defined_s, stored


def _of_a_worker(metric: Metric) -> Metric:
    """Returns a metric with a label for the worker, which is the first, as in `merge`."""
    if _WORKER in metric.labels:
        return metric
    return replace(metric, labels=(_WORKER, *metric.labels))


def _add(metric: Metric, total: "array[float]", cells: "array[float]") -> None:
    """Adds the cells of another file."""
    total[Slot.CREATED] = min(total[Slot.CREATED], cells[Slot.CREATED])
    if metric.merge is Merge.SUM:
        total[Slot.VALUE] += cells[Slot.VALUE]
    else:
        choose = min if metric.merge is Merge.LEAST else max
        total[Slot.VALUE] = choose(total[Slot.VALUE], cells[Slot.VALUE])
    if metric.kind is Kind.HISTOGRAM:
        at = _exemplar_at(metric)
        for counted in used(cells, Slot.BUCKETS, at):
            total[counted] += cells[counted]
        if cells[at + 1] > total[at + 1]:
            total[at:] = cells[at:]


@lru_cache(maxsize=65_536)
def _name_and_labels(key: str) -> tuple[str, str]:
    """Returns the name of a metric, and its labels as JSON: they are named when written."""
    name, *values = json.loads(key)
    return name, json.dumps(values)


def _head(metric: Metric, *, is_open: bool) -> Iterator[str]:
    name = metric.name
    if metric.kind is Kind.COUNTER and not is_open:
        name += "_total"
    if is_open and metric.unit:
        yield f"# UNIT {name} {metric.unit}\n"
    yield f"# HELP {name} {metric.help}.\n"
    yield f"# TYPE {name} {metric.kind}\n"


def _samples(metric: Metric, children: Children, *, is_open: bool) -> Iterator[str]:
    """Yields the lines of each child, as one text, and removes it."""
    lines = _template(metric, is_open=is_open)
    is_histogram = metric.kind is Kind.HISTOGRAM
    end = _exemplar_at(metric)
    places = [metric.edges.index(bound) for bound in metric.bounds]
    for number, text in enumerate(list(children)):
        cells = children.pop(
            text
        )  # one at a time: no thread runs while a million numbers are freed
        if number % _PAUSE_EVERY == 0:
            time.sleep(0)
        pairs = zip(metric.labels, json.loads(text), strict=False)
        labels = ",".join([f'{name}="{_escaped(value)}"' for name, value in pairs if value])
        values: list[object] = [repr(cells[Slot.VALUE])]
        if is_histogram:
            buckets = list(accumulate(cells[Slot.BUCKETS : end]))
            if places:
                buckets = [*[buckets[at] for at in places], buckets[-1]]
            values = [*buckets, *values, buckets[-1]]
        if is_open and metric.kind is not Kind.GAUGE:
            values.append(f"{cells[Slot.CREATED]:.3f}")
        form = lines.with_labels(labels.replace("%", "%%")) if labels else lines.bare
        written = form % tuple(values)
        yield _with_exemplar(metric, cells, written) if is_open and is_histogram else written


@dataclass(frozen=True, slots=True)
class _Template:
    """The lines of a child in `%` form: all of them are filled in by one operation."""

    labelled: str
    """With `_LABELS` in the place of the labels."""
    bare: str
    """For a metric without labels."""

    def with_labels(self, labels: str) -> str:
        """Returns the lines with these labels."""
        return self.labelled.replace(_LABELS, labels)


def _template(metric: Metric, *, is_open: bool) -> _Template:
    name = metric.name
    created = [f"{name}_created{{}} %s"] if is_open and metric.kind is not Kind.GAUGE else []
    if metric.kind is Kind.HISTOGRAM:
        shown = metric.bounds or metric.edges
        bounds = [*(_bound(edge, is_open=is_open) for edge in shown), "+Inf"]
        lines = [f'{name}_bucket{{,le="{bound}"}} %d' for bound in bounds]
        lines += [f"{name}_sum{{}} %s", f"{name}_count{{}} %d"]
    else:
        lines = [f"{name}_total{{}} %s" if metric.kind is Kind.COUNTER else f"{name}{{}} %s"]
    text = "".join(f"{line}\n" for line in [*lines, *created])
    return _Template(text.replace("{", "{" + _LABELS), text.replace("{}", "").replace("{,", "{"))


def _bound(edge: float, *, is_open: bool) -> str:
    """Returns an upper bound; OpenMetrics demands the form of a float."""
    text = f"{edge:.0f}" if edge == int(edge) else repr(edge)
    return f"{text}.0" if is_open and "." not in text else text


def _with_exemplar(metric: Metric, cells: Sequence[float], written: str) -> str:
    exemplar, bucket = _exemplar(metric, cells)
    if not exemplar:
        return written
    lines = written.split("\n")
    lines[bucket] += exemplar
    return "\n".join(lines)


def _exemplar(metric: Metric, cells: Sequence[float]) -> tuple[str, int]:
    """Returns the exemplar of a histogram as the end of a line, and the index of its bucket."""
    value, time_s, *ids = cells[_exemplar_at(metric) :]
    if not time_s:
        return "", -1
    hexadecimal = struct.pack("=3d", *ids).hex()
    bucket = sum(edge < value for edge in metric.bounds or metric.edges)
    labels = f'trace_id="{hexadecimal[:32]}",span_id="{hexadecimal[32:]}"'
    return f" # {{{labels}}} {value!r} {time_s:.3f}", bucket


def _exemplar_at(metric: Metric) -> int:
    return Slot.BUCKETS + len(metric.edges) + 1


def _braces(labels: Iterable[tuple[str, str]]) -> str:
    """Returns labels with their values in braces; empty if there are none."""
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{text}}}" if text else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def prefers_openmetrics(accept: str) -> bool:
    """True if a value of `Accept` prefers OpenMetrics 1.0 to text (RFC 9110 section 12.5.1)."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for item in accept.lower().split(","):
        name, *parameters = [part.strip() for part in item.split(";")]
        given = dict(part.partition("=")[::2] for part in parameters)
        is_known = given.get("version", "1.0.0").strip('"') in ("0.0.1", "0.0.4", "1.0.0")
        if name in weights and is_known:
            weights[name] = max(weights[name], _weight(given.get("q", "1")))
    return weights["application/openmetrics-text"] > weights["text/plain"]


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _facts(service: TracingOptions) -> Mapping[str, Mapping[str, str]]:
    """Returns what is true of the whole gateway, as labels of gauges of value 1."""
    release = version(_NAME)
    module = find_spec("gateway.call")  # compiled if any module is
    is_python = module is None or str(module.origin).endswith(".py")
    resource = {"service.name": service.service_name, "service.version": release}
    return {
        "gateway_build_info": {
            "version": release,
            "python": platform.python_version(),
            "compiled": "false" if is_python else "true",
            "loop": "asyncio" if find_spec("uvloop") is None else "uvloop",
        },
        "target_info": {
            _label(name): value for name, value in {**resource, **service.resource}.items()
        },
    }


def _label(attribute: str) -> str:
    """Returns an attribute's name as that of a label (OpenTelemetry, "Metric Attributes")."""
    label = re.sub("[^a-zA-Z0-9_]+", "_", attribute)
    return label if label[:1].isalpha() else f"key_{label}"
