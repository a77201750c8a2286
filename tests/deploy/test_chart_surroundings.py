"""The parts of the chart for what surrounds it: Prometheus, Grafana, Ingress and Gateway API."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

from gateway.config.loader import load_config
from tests.deploy.foreign_schemas import unknown_fields, validate_route
from tests.deploy.test_chart import ENTERED, MONITORED, rendered

ALERTS = Path("deploy/prometheus/alerts.yaml")
DASHBOARD = Path("deploy/grafana/dashboard.json")


def labels(manifest: dict[str, Any]) -> set[tuple[str, str]]:
    return set(manifest["metadata"]["labels"].items())


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PrometheusRule"])
def test_the_operator_knows_every_field(kind: str) -> None:
    manifest = rendered(*MONITORED)[kind]
    assert unknown_fields(manifest) == []


def test_an_unknown_field_would_be_seen() -> None:
    found = rendered(*MONITORED, *ENTERED)
    monitor, route = found["ServiceMonitor"], found["HTTPRoute"]
    monitor["spec"]["endpoints"][0]["authorization"]["credential"] = {}
    assert unknown_fields(monitor) == ["spec.endpoints[0].authorization.credential"]
    route["spec"]["rules"][0]["backendRef"] = []
    with pytest.raises(jsonschema.ValidationError, match="backendRef"):
        validate_route(route)


def test_prometheus_finds_the_admin_listener_and_has_its_token() -> None:
    found = rendered(*MONITORED)
    spec, service = found["ServiceMonitor"]["spec"], found["Service-admin"]
    assert set(spec["selector"]["matchLabels"].items()) <= labels(service)
    assert not set(spec["selector"]["matchLabels"].items()) <= labels(found["Service"])
    assert ("release", "prometheus") in labels(found["ServiceMonitor"])
    assert dict(labels(service))[spec["jobLabel"]] == "api"
    (endpoint,) = spec["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "admin", "key": "token"}
    (port,) = service["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"name": port["targetPort"], "containerPort": port["port"]} in container["ports"]
    rules = found["NetworkPolicy"]["spec"]["ingress"]
    assert [one["ports"][0]["port"] for one in rules] == ["http", "admin"]
    assert rules[1]["from"]


def test_the_gateway_takes_the_admin_listener_of_the_chart(tmp_path: Path) -> None:
    found = rendered(*MONITORED)
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    file = tmp_path / "gateway.yaml"
    file.write_text(found["ConfigMap"]["data"]["gateway.yaml"])
    environment = {one["name"]: one["value"] for one in container["env"]}
    admin = load_config(file, environment, {}).admin
    assert admin.listen == f"0.0.0.0:{found['Service-admin']['spec']['ports'][0]['port']}"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (volume,) = [one["secret"] for one in pod["volumes"] if one["name"] == "admin"]
    assert volume["secretName"] == "admin"
    assert str(admin.token_file) == f"{mounts['admin']}/{volume['items'][0]['path']}"


def test_the_alerts_are_those_of_prometheus_itself(tmp_path: Path) -> None:
    spec = rendered(*MONITORED)["PrometheusRule"]["spec"]
    assert spec == yaml.safe_load(ALERTS.read_text())
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_gets_the_dashboard() -> None:
    manifest = rendered(*MONITORED)["ConfigMap-dashboard"]
    assert ("grafana_dashboard", "1") in labels(manifest)
    assert json.loads(manifest["data"]["api.json"]) == json.loads(DASHBOARD.read_text())


def test_the_ways_in_end_at_the_service() -> None:
    found = rendered(*ENTERED)
    service, ingress, route = found["Service"], found["Ingress"]["spec"], found["HTTPRoute"]
    validate_route(route)
    (rule,) = ingress["rules"]
    assert rule["host"] == "api.example.org"
    assert ingress["tls"] == [{"secretName": "api-tls", "hosts": ["api.example.org"]}]
    target = rule["http"]["paths"][0]["backend"]["service"]
    (port,) = service["spec"]["ports"]
    assert target == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
    (reference,) = route["spec"]["rules"][0]["backendRefs"]
    assert reference == {"name": service["metadata"]["name"], "port": port["port"]}
    assert route["spec"]["parentRefs"] == [{"name": "edge"}]
