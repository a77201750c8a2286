"""Reads the environment variables of OpenTelemetry's SDKs as defaults of `tracing`.

Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter". An
invalid value is ignored with a warning, as the specification demands.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_OF_TRACES: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
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
    # The specification treats empty values as unset.
    found = {name: text for name, text in environment.items() if name.startswith("OTEL_") and text}
    tracing = {**_exporter(found, say), **_sampler(found, say), **_service(found, say)}
    return {"tracing": tracing} if tracing else {}


def _exporter(found: Mapping[str, str], say: Say) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    url = found.get(_OF_TRACES) or found.get(_ENDPOINT, "")
    is_off = found.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if not url or is_off or found.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return settings
    protocol = found.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or found.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    )
    if protocol != "http/protobuf":
        say(
            "warning: OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is supported, so no traces "
            "are sent; set tracing.otlp to the collector's HTTP port, which is usually 4318"
        )
        return settings
    # The general endpoint is a base for all signals; that of traces is used as it is.
    settings["otlp"] = url if _OF_TRACES in found else f"{url.rstrip('/')}/v1/traces"
    headers = _pairs("OTEL_EXPORTER_OTLP_HEADERS", found, say)
    headers |= _pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS", found, say)
    return {**settings, "headers": headers} if headers else settings


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
