"""The Helm chart: what it renders, checked against the schemas of the Kubernetes API."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

from gateway.cli.doctor.machine import GRACE_PERIOD
from gateway.config.loader import load_config
from gateway.telemetry.metrics.definitions import METRICS
from gateway.telemetry.metrics.metric import Kind

CHART = Path("deploy/helm")
VERSION = "1.34"
ALL = (
    *("--set", "autoscaling.enabled=true", "--set", "secretName=secrets"),
    *("--set", "autoscaling.activeRequests=100", "--set", "settings.drain.grace_s=60"),
)
MONITORED = (
    *("--set", "admin.tokenSecret=admin", "--set", "serviceMonitor.enabled=true"),
    *("--set", "serviceMonitor.labels.release=prometheus", "--set", "prometheusRule.enabled=true"),
    *("--set", "dashboard.enabled=true"),
)
ENTERED = (
    *("--set", "ingress.enabled=true", "--set", "ingress.hosts={api.example.org}"),
    *("--set", "ingress.className=nginx", "--set", "ingress.tlsSecret=api-tls"),
    *("--set-string", "ingress.annotations.a/timeout=310"),
    *("--set", "httpRoute.enabled=true", "--set", "httpRoute.parentRefs[0].name=edge"),
    *("--set", "httpRoute.hostnames={api.example.org}"),
)
OWN_SCHEMAS = ("HTTPRoute", "ServiceMonitor", "PrometheusRule")
"""Kinds that clusters know only once their project is installed."""


def helm(*arguments: str, code: int = 0) -> str:
    """What helm says, which ends with this code: its output, or why it refuses."""
    program = shutil.which("helm")
    if program is None:
        pytest.skip("needs helm: go install helm.sh/helm/v3/cmd/helm@latest")
    done = subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


@cache
def template(*flags: str, code: int = 0) -> str:
    """What the chart becomes with these flags."""
    version = ("--kube-version", f"{VERSION}.0")
    return helm("template", "api", str(CHART), *version, *flags, code=code)


def rendered(*flags: str) -> dict[str, Any]:
    """The manifests by their kind, with what follows the release in their name."""
    return {
        one["kind"] + one["metadata"]["name"].removeprefix("api"): one
        for one in yaml.safe_load_all(template(*flags))
        if one
    }


def test_helm_finds_no_fault() -> None:
    helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("flags", [(), ALL + MONITORED + ENTERED], ids=["defaults", "everything"])
def test_the_api_takes_what_it_renders(flags: tuple[str, ...]) -> None:
    for manifest in rendered(*flags).values():
        if manifest["kind"] not in OWN_SCHEMAS:
            kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_clusters_need_nothing_for_what_it_renders_by_default() -> None:
    found = rendered()
    assert not {*OWN_SCHEMAS, "Ingress", "Service-admin"} & set(found)
    assert len(found["NetworkPolicy"]["spec"]["ingress"]) == 1


def test_pods_have_time_for_the_drain_of_the_settings(tmp_path: Path) -> None:
    found = rendered(*ALL)
    spec = found["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 5 + 60 + 15
    (container,) = pod["containers"]
    assert {"name": GRACE_PERIOD, "value": "80"} in container["env"]
    assert "replicas" not in spec
    file = tmp_path / "gateway.yaml"
    file.write_text(found["ConfigMap"]["data"]["gateway.yaml"])
    assert load_config(file, {}, {}).drain.grace_s == 60
    assert rendered()["Deployment"]["spec"]["replicas"] == 2


def test_pods_are_added_by_a_metric_of_the_gateway() -> None:
    def metrics(*flags: str) -> Any:
        return rendered(*flags)["HorizontalPodAutoscaler"]["spec"]["metrics"]

    _, pods = metrics(*ALL)
    assert pods["pods"]["target"] == {"type": "AverageValue", "averageValue": "100"}
    metric = pods["pods"]["metric"]["name"]
    assert [one.kind for one in METRICS if one.name == metric] == [Kind.GAUGE]
    (cpu,) = metrics("--set", "autoscaling.enabled=true")
    assert cpu["resource"]["name"] == "cpu"


def test_it_renders_pods_like_those_of_the_plain_manifests() -> None:
    chart = rendered()["Deployment"]["spec"]["template"]["spec"]
    plain = yaml.safe_load(Path("deploy/kubernetes/deployment.yaml").read_text())
    plain = plain["spec"]["template"]["spec"]
    assert chart["securityContext"] == plain["securityContext"]
    for name in ("securityContext", "livenessProbe", "ports", "env", "resources"):
        assert chart["containers"][0][name] == plain["containers"][0][name]


def test_wrong_values_are_refused() -> None:
    assert "replica" in template("--set", "replica=3", code=1)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("serviceMonitor.enabled=true", "set admin.tokenSecret"),
        ("ingress.enabled=true", "/ingress/hosts"),
        ("httpRoute.enabled=true", "/httpRoute/parentRefs"),
    ],
)
def test_what_lacks_a_value_is_refused(flag: str, said: str) -> None:
    assert said in template("--set", flag, code=1)
