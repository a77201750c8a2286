"""The figures with which an upstream works without a setting: those of gRPC and Envoy, or shorter
ones where the gateway has said why."""

import pytest
from pydantic import ValidationError

from gateway.config.descriptions import describe_settings
from gateway.config.health_checks import HealthCheckOptions
from gateway.config.load_reports import LoadReportOptions
from gateway.config.mirrors import Mirror
from gateway.config.overload import AdaptiveOptions
from gateway.config.retries import RetryPolicy
from gateway.config.targets import ZoneOptions
from gateway.config.upstreams import Upstream


def test_limits_and_times_of_an_upstream() -> None:
    found = Upstream(target="localhost:50051")
    assert (found.max_connections, found.max_pending, found.max_requests) == (8, 1024, None)
    assert (found.panic_percent, found.drain_s, found.idle_close_s) == (50, 30, 1800)
    assert (found.max_connection_age_s, found.slow_start_s, found.subset_size) == (None, None, None)
    assert (found.max_ring_size, found.hash_balance_factor) == (4096, None)
    assert (found.slow_start_min_weight, found.slow_start_aggression) == (0.1, 1)
    assert (found.dns.refresh_s, found.dns.min_interval_s, found.dns.start_s) == (5, 1, 5)
    assert (found.dns.empty_grace_s, found.dns.service_config) == (30, False)


def test_repeats_are_those_of_envoy() -> None:
    found = RetryPolicy()
    assert found.max_attempts == 2
    assert (found.initial_backoff_s, found.max_backoff_s, found.backoff_multiplier) == (
        0.025,
        0.25,
        2,
    )
    assert (found.budget_percent, found.budget_min, found.per_try_s) == (20, 5, None)


def test_health_checks_are_rare_and_patient() -> None:
    found = HealthCheckOptions()
    assert (found.interval_s, found.quiet_interval_s, found.timeout_s) == (10, 60, 2)
    assert (found.unhealthy, found.healthy, found.expect) == (3, 2, (200,))


def test_weights_by_load_are_those_of_a58() -> None:
    found = LoadReportOptions()
    assert (found.blackout_period_s, found.weight_expiration_period_s) == (10, 180)
    assert (found.weight_update_period_s, found.error_utilization_penalty) == (1, 1)
    assert (found.enable_oob_load_report, found.oob_reporting_period_s) == (False, 10)


def test_the_limit_that_adapts_is_that_of_gradient2() -> None:
    found = AdaptiveOptions()
    assert (found.initial, found.min, found.max) == (20, 20, 200)
    assert (found.smoothing, found.queue, found.long_window, found.tolerance) == (0.2, 4, 600, 1.5)


def test_copies_and_zones() -> None:
    mirror = Mirror.model_validate({"to": "library-next"})
    assert (mirror.max_in_flight, mirror.timeout_s, mirror.metadata) == (64, 5, ())
    assert (ZoneOptions().min_endpoints, ZoneOptions().force_local) == (6, None)


def test_grpcio_refuses_each_setting_that_says_it_is_for_http2() -> None:
    """Also at its default value: who states it believes that it has an effect."""
    describe_settings()
    plain = Upstream(target="localhost:50051")
    names = [
        name
        for name, field in Upstream.model_fields.items()
        if "for `http2`" in " ".join((field.description or "").split())
    ]
    assert len(names) > 25
    for name in names:
        stated = {"target": "localhost:1", "channel": "grpcio", name: getattr(plain, name)}
        with pytest.raises(ValidationError, match=f"{name}: is for channel: http2"):
            Upstream.model_validate(stated)
