"""Settings of traces: in the file, and from the variables of OpenTelemetry."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config.collectors import Compression
from gateway.config.loader import ConfigError, load_config
from gateway.config.tracing import TracingOptions, Trust

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def loaded(said: list[str] | None = None, /, **environment: str) -> TracingOptions:
    """The settings with these variables."""
    warnings = list[str]() if said is None else said
    return load_config(None, environment, {}, warnings.append).tracing


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/mine", "https://c/otlp/mine"),
    ],
)
def test_a_url_without_a_path_gets_that_of_otlp(given: str, url: str) -> None:
    assert loaded(GATEWAY_TRACING__OTLP=given).otlp == url


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("c:4318", "expected the URL of a collector, such as http://localhost:4318"),
        ("grpc://c:4317", "expected the URL of a collector"),
        ("http://c:x", "expected the URL of a collector"),
        ("http://me:pw@c", "credentials belong in tracing.headers"),
        ("http://c?key=1", "without a query"),
    ],
)
def test_a_wrong_url_is_refused(given: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(GATEWAY_TRACING__OTLP=given)
    assert "tracing.otlp: " in str(refused.value)
    assert why in str(refused.value)
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize(
    "headers", ["{'a b': x}", "{host: x}", '{key: "se\\ncret"}', "{key: 'secret '}"]
)
def test_wrong_headers_are_refused_without_their_values(headers: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(GATEWAY_TRACING__HEADERS=headers)
    assert "tracing.headers" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_values_of_headers_are_never_printed() -> None:
    options = loaded(GATEWAY_TRACING__HEADERS="{X-Key: secret}")
    assert options.headers == {"x-key": "secret"}
    assert "secret" not in options.model_dump_json()


def test_the_variables_of_opentelemetry_are_defaults(tmp_path: Path) -> None:
    environment = {
        ENDPOINT: "http://c:4318/base",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b,other=c",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "9000",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1500",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_SERVICE_NAME": "edge",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=no,deployment.environment.name=test",
    }
    options = loaded(**environment)
    assert options.otlp == "http://c:4318/base/v1/traces"
    assert options.headers == {"api-key": "a b", "other": "c"}
    assert (options.timeout_s, options.compression) == (1.5, Compression.NONE)
    assert (options.ratio, options.trust) == (0.25, Trust.ALL)
    assert options.service_name == "edge"
    assert options.resource == {"deployment.environment.name": "test"}
    file = tmp_path / "gateway.yaml"
    file.write_text("tracing: {ratio: 0.5, otlp: null}")
    options = load_config(file, environment, {}).tracing
    assert (options.ratio, options.otlp) == (0.5, None)


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("always_on", (1.0, Trust.NONE)),
        ("always_off", (0.0, Trust.NONE)),
        ("traceidratio", (0.1, Trust.NONE)),
        ("parentbased_always_on", (1.0, Trust.ALL)),
        ("parentbased_always_off", (0.0, Trust.ALL)),
    ],
)
def test_samplers(sampler: str, expected: tuple[float, Trust]) -> None:
    options = loaded(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG="0.1")
    assert (options.ratio, options.trust) == expected


def test_the_endpoint_of_traces_is_used_as_it_is() -> None:
    options = loaded(**{ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"})
    assert options.otlp == "http://t/x"


@pytest.mark.parametrize(
    "variables",
    [{"OTEL_SDK_DISABLED": "TRUE"}, {"OTEL_TRACES_EXPORTER": "none"}, {ENDPOINT: ""}],
    ids=str,
)
def test_variables_that_switch_it_off(variables: dict[str, Any]) -> None:
    assert loaded(**{ENDPOINT: "http://c", **variables}).otlp is None


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0"},
        {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "br"},
        {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
        {"OTEL_RESOURCE_ATTRIBUTES": "nonsense"},
    ],
    ids=str,
)
def test_what_cannot_be_used_is_ignored_with_a_warning(variables: dict[str, str]) -> None:
    said: list[str] = []
    options = loaded(said, **{ENDPOINT: "http://c", **variables})
    assert len(said) == 1
    assert next(reversed(variables)).removesuffix("_ARG") in said[0]
    assert options.ratio == TracingOptions().ratio
    assert (options.otlp is None) is ("OTEL_EXPORTER_OTLP_PROTOCOL" in variables)
