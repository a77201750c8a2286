"""Reads the environment variables of OpenTelemetry's SDKs as defaults of `tracing` and `metrics`.

Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter". An
invalid value is ignored with a warning, as the specification demands.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_AGGREGATIONS: Final = {
    "explicit_bucket_histogram": "explicit",
    "base2_exponential_bucket_histogram": "exponential",
}
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
_SAMPLERS: Final[Mapping[str, tuple[float | None, str]]] = {
    "always_on": (1.0, "none"),
    "always_off": (0.0, "none"),
    "traceidratio": (None, "none"),
    "parentbased_always_on": (1.0, "all"),
    "parentbased_always_off": (0.0, "all"),
    "parentbased_traceidratio": (None, "all"),
}
"""The ratio of each sampler, None for that in its argument; and the value of `tracing.trust`."""

Say = Callable[[str], None]


def read_opentelemetry(environment: Mapping[str, str], say: Say) -> dict[str, Any]:
    """Returns the settings in the variables `OTEL_*`; empty if there are none.

    `say` gets a warning about each value that is ignored.
    """
    said: set[str] = set()

    def say_once(text: str) -> None:
        # Variables for all signals are read for each of them.
        if text not in said:
            said.add(text)
            say(text)

    # The specification treats empty values as unset.
    found = {name: text for name, text in environment.items() if name.startswith("OTEL_") and text}
    tracing = {
        **_traces(found, say_once),
        **_sampler(found, say_once),
        **_service(found, say_once),
    }
    settings = {"tracing": tracing, "metrics": _metrics(found, say_once)}
    return {name: section for name, section in settings.items() if section}


def _traces(found: Mapping[str, str], say: Say) -> dict[str, Any]:
    url = _collector("TRACES", found, say)
    if not url:
        return {}
    return {"otlp": url, **_sending("TRACES", found, say)}


def _metrics(found: Mapping[str, str], say: Say) -> dict[str, Any]:
    url = _collector("METRICS", found, say)
    if not url:
        return {}
    sending = _sending("METRICS", found, say)
    settings: dict[str, Any] = {"otlp": url}
    settings |= {f"otlp_{setting}": value for setting, value in sending.items()}
    every_s = _seconds("OTEL_METRIC_EXPORT_INTERVAL", found, say)
    if every_s is not None:
        settings["otlp_every_s"] = every_s
    name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    aggregation = found.get(name, "").lower()
    if aggregation in _AGGREGATIONS:
        settings["otlp_histograms"] = _AGGREGATIONS[aggregation]
    elif aggregation:
        say(f"warning: {name} is ignored: expected one of {', '.join(_AGGREGATIONS)}")
    temporality = found.get(_TEMPORALITY, "cumulative").lower()
    if temporality != "cumulative":
        say(f"warning: {_TEMPORALITY} is ignored: only cumulative is supported")
    return settings


def _collector(signal: str, found: Mapping[str, str], say: Say) -> str:
    """Returns the URL to which a signal (TRACES, METRICS) is sent; empty if it is not."""
    own = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    url = found.get(own) or found.get(_ENDPOINT, "")
    is_off = found.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporters = [one.strip() for one in found.get(f"OTEL_{signal}_EXPORTER", "otlp").split(",")]
    if not url or is_off or "otlp" not in exporters:
        return ""
    name = _specific(signal, "PROTOCOL", found)
    if found.get(name, "http/protobuf") != "http/protobuf":
        say(
            f"warning: {name}: only http/protobuf is supported, so nothing is sent by it; set "
            "tracing.otlp or metrics.otlp to the collector's HTTP port, which is usually 4318"
        )
        return ""
    # The general endpoint is a base for all signals; that of one signal is used as it is.
    return url if own in found else f"{url.rstrip('/')}/v1/{signal.lower()}"


def _specific(signal: str, what: str, found: Mapping[str, str]) -> str:
    """Returns the variable of a signal if it is set, and else that of all signals."""
    own = f"OTEL_EXPORTER_OTLP_{signal}_{what}"
    return own if own in found else f"OTEL_EXPORTER_OTLP_{what}"


def _sending(signal: str, found: Mapping[str, str], say: Say) -> dict[str, Any]:
    """Reads how a signal is sent: the headers, the time limit and the compression."""
    settings: dict[str, Any] = {}
    headers = _pairs("OTEL_EXPORTER_OTLP_HEADERS", found, say)
    headers |= _pairs(f"OTEL_EXPORTER_OTLP_{signal}_HEADERS", found, say)
    if headers:
        settings["headers"] = headers
    timeout_s = _seconds(_specific(signal, "TIMEOUT", found), found, say)
    if timeout_s is not None:
        settings["timeout_s"] = timeout_s
    name = _specific(signal, "COMPRESSION", found)
    compression = found.get(name, "")
    if compression in {"gzip", "none"}:
        settings["compression"] = compression
    elif compression:
        say(f"warning: {name} is ignored: expected gzip or none")
    return settings


def _seconds(name: str, found: Mapping[str, str], say: Say) -> float | None:
    """Reads milliseconds; None if there are none that can be used."""
    text = found.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        say(f"warning: {name} is ignored: expected a number of milliseconds, from 1")
        return None
    return int(text) / 1000


def _sampler(found: Mapping[str, str], say: Say) -> dict[str, Any]:
    name = found.get(_SAMPLER)
    if name is None:
        return {}
    if name not in _SAMPLERS:
        say(f"warning: {_SAMPLER} is ignored: expected one of {', '.join(_SAMPLERS)}")
        return {}
    ratio, trust = _SAMPLERS[name]
    if ratio is None:
        ratio = _ratio(found.get("OTEL_TRACES_SAMPLER_ARG", "1"))
        if ratio is None:
            say("warning: OTEL_TRACES_SAMPLER_ARG is ignored: expected a number from 0 to 1")
            return {"trust": trust}
    return {"ratio": ratio, "trust": trust}


def _ratio(text: str) -> float | None:
    try:
        ratio = float(text)
    except ValueError:
        return None
    return ratio if 0 <= ratio <= 1 else None


def _service(found: Mapping[str, str], say: Say) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    resource = _pairs("OTEL_RESOURCE_ATTRIBUTES", found, say)
    name = found.get("OTEL_SERVICE_NAME") or resource.pop("service.name", "")
    resource.pop("service.name", None)
    if name:
        settings["service_name"] = name
    if resource:
        settings["resource"] = resource
    return settings


def _pairs(name: str, found: Mapping[str, str], say: Say) -> dict[str, str]:
    """Parses `key=value,key=value`, percent-encoded; all or nothing, as the specification says."""
    pairs: dict[str, str] = {}
    for part in found.get(name, "").split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            say(f"warning: {name} is ignored: expected key=value, separated by commas")
            return {}
        pairs[unquote(key.strip())] = unquote(value.strip())
    return pairs
