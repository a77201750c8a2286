"""Settings of the export of metrics, and the variables of OpenTelemetry's SDKs for it."""

import pytest

from gateway.config.collectors import Compression
from gateway.config.loader import ConfigError, load_config
from gateway.config.metrics import Histograms, MetricsOptions

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OWN = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


def loaded(*said: list[str], **environment: str) -> MetricsOptions:
    warnings = said[0] if said else []
    return load_config(None, environment, {}, warnings.append).metrics


def test_the_path_is_added_to_a_url_without_one() -> None:
    assert loaded(GATEWAY_METRICS__OTLP="http://c:4318").otlp == "http://c:4318/v1/metrics"
    assert loaded(GATEWAY_METRICS__OTLP="https://c/in").otlp == "https://c/in"
    with pytest.raises(ConfigError, match=r"credentials belong in metrics\.otlp_headers"):
        loaded(GATEWAY_METRICS__OTLP="http://me:pw@c")


def test_values_of_headers_are_never_printed() -> None:
    options = loaded(GATEWAY_METRICS__OTLP_HEADERS="{X-Key: secret}")
    assert options.otlp_headers == {"x-key": "secret"}
    assert "secret" not in options.model_dump_json()


def test_the_variables_of_opentelemetry_are_defaults() -> None:
    options = loaded(
        **{
            ENDPOINT: "http://c:4318/base/",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "more=c",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "9000",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "1500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
                "BASE2_EXPONENTIAL_BUCKET_HISTOGRAM"
            ),
            "GATEWAY_METRICS__OTLP_EVERY_S": "7",
        }
    )
    assert options.otlp == "http://c:4318/base/v1/metrics"
    assert options.otlp_headers == {"api-key": "a b", "more": "c"}
    assert (options.otlp_every_s, options.otlp_timeout_s) == (7, 1.5)
    assert options.otlp_compression is Compression.NONE
    assert options.otlp_histograms is Histograms.EXPONENTIAL
    assert loaded(**{ENDPOINT: "http://c", OWN: "http://m/x"}).otlp == "http://m/x"
    both = {ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": "prometheus, otlp"}
    assert loaded(**both).otlp == "http://c/v1/metrics"


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SDK_DISABLED": "TRUE"},
        {"OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_METRICS_EXPORTER": "prometheus"},
        {ENDPOINT: ""},
    ],
)
def test_the_export_can_be_off(variables: dict[str, str]) -> None:
    assert loaded(**{ENDPOINT: "http://c", **variables}).otlp is None


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_METRIC_EXPORT_INTERVAL": "0"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "often"},
        {"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "-1"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION": "br"},
        {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"},
        {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "fine"},
        {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"},
    ],
)
def test_what_cannot_be_used_is_ignored_with_a_warning(variables: dict[str, str]) -> None:
    said: list[str] = []
    options = loaded(said, **{ENDPOINT: "http://c", **variables})
    (name,) = variables
    (warning,) = said
    assert warning.startswith(f"warning: {name}")
    assert options == MetricsOptions(
        otlp=None if name.endswith("PROTOCOL") else "http://c/v1/metrics"
    )
