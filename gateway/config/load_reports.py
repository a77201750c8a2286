"""Settings of `balance: weighted_round_robin`: weights from the load that back ends report.

The options and their defaults are those of gRFC A58, with seconds instead of durations.
"""

from typing import Annotated

from pydantic import Field

from gateway.config.sections import Seconds, Section, Words

MetricName = Annotated[
    str,
    # The length is no part of the pattern: there, it took a megabyte for each section that has it.
    Field(pattern=r"^(named_metrics|utilization|request_cost)\..+$", max_length=214),
    Words("named_metrics., utilization. or request_cost. and a name", "named_metrics.queue"),
]


class LoadReportOptions(Section):
    """The rules by which the load reports of back ends (ORCA) become weights."""

    blackout_period_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Seconds from the first report of an endpoint, since it was connected, until its weight
    counts."""
    weight_expiration_period_s: Seconds = 180.0
    """Seconds after the last report for which a weight counts."""
    weight_update_period_s: Annotated[float, Field(ge=0.1, allow_inf_nan=False)] = 1.0
    """Seconds between two calculations of the weights, 0.1 or more."""
    error_utilization_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """The weight of errors as load: this times the share of errors is added to the
    utilization."""
    enable_oob_load_report: bool = False
    """Let endpoints send reports by themselves (`xds.service.orca.v3.OpenRcaService`) instead of
    with each call; those without this service report with each call."""
    oob_reporting_period_s: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    """The seconds between such reports that endpoints are asked for; they may send fewer."""
    metric_names_for_computing_utilization: tuple[MetricName, ...] = ()
    """Metrics of reports whose largest value is the utilization (gRFC A114), such as
    `named_metrics.queue`; without them, application_utilization or else cpu_utilization is."""
