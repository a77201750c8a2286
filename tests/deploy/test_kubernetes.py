"""The manifests for Kubernetes, checked against the schemas of its API without a cluster."""

from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

from gateway.cli.doctor.machine import GRACE_PERIOD
from gateway.config.loader import load_config
from tests.support.command_line import run

PLACE = Path("deploy/kubernetes")
VERSIONS = ["1.30", "1.32", "1.34"]
KUSTOMIZE = ("Kustomization", "Component")


def documents() -> dict[str, Any]:
    """The manifests by their kind."""
    files = [file for file in PLACE.rglob("*.yaml") if file.name != "gateway.yaml"]
    found = [yaml.safe_load(file.read_text()) for file in files]
    return {one["kind"]: one for one in found if one["kind"] not in KUSTOMIZE}


MANIFESTS = documents()


def pod() -> Any:
    return MANIFESTS["Deployment"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", sorted(MANIFESTS))
def test_the_api_takes_the_manifest(kind: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[kind], version, strict=True)


def test_an_unknown_field_would_be_seen() -> None:
    broken = MANIFESTS["Service"] | {"spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_every_file_is_part_of_it() -> None:
    for folder in (PLACE, PLACE / "autoscaling"):
        named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        others = {"kustomization.yaml", "gateway.yaml"}
        assert {file.name for file in folder.glob("*.yaml")} - others == set(named)


def test_everything_selects_the_pods_of_the_deployment() -> None:
    spec = MANIFESTS["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    assert MANIFESTS["Service"]["spec"]["selector"] == labels
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert pod()["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == labels


def test_pods_have_time_for_the_whole_drain_and_settings_that_are_valid() -> None:
    config = load_config(PLACE / "gateway.yaml", {}, {}, lambda _: None)
    needed_s = config.drain.delay_s + config.drain.grace_s + 10
    assert pod()["terminationGracePeriodSeconds"] > needed_s
    assert config.drain.delay_s >= 5
    (container,) = pod()["containers"]
    given = str(pod()["terminationGracePeriodSeconds"])
    assert {"name": GRACE_PERIOD, "value": given} in container["env"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == config.health.path


def test_a_pod_may_do_nothing_that_the_gateway_does_not_need() -> None:
    (container,) = pod()["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod()["volumes"]}
    assert all("subPath" not in mount for mount in container["volumeMounts"])


def test_the_probe_of_liveness_is_a_command_of_the_gateway() -> None:
    command = pod()["containers"][0]["livenessProbe"]["exec"]["command"]
    assert command[0] == "gateway"
    told = run(*command[1:], "--admin", "unix:/no/such/socket")
    assert told.returncode == 1
    assert "is the gateway running?" in told.stderr
