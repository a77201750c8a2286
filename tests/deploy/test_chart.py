"""The Helm chart: what it renders, checked against the schemas of the Kubernetes API."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

from gateway.cli.doctor.machine import GRACE_PERIOD
from gateway.config.loader import load_config

CHART = Path("deploy/helm")
VERSION = "1.34"
ALL = (
    *("--set", "autoscaling.enabled=true", "--set", "secretName=secrets"),
    *("--set", "settings.drain.grace_s=60"),
)


def helm(*arguments: str, code: int = 0) -> str:
    """The output of helm, which ends with this code."""
    program = shutil.which("helm")
    if program is None:
        pytest.skip("needs helm: go install helm.sh/helm/v3/cmd/helm@latest")
    done = subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def rendered(*flags: str) -> dict[str, Any]:
    """The manifests by their kind."""
    version = ("--kube-version", f"{VERSION}.0")
    text = helm("template", "api", str(CHART), *version, *flags)
    return {one["kind"]: one for one in yaml.safe_load_all(text) if one}


def test_helm_finds_no_fault() -> None:
    helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("flags", [(), ALL], ids=["defaults", "everything"])
def test_the_api_takes_what_it_renders(flags: tuple[str, ...]) -> None:
    for manifest in rendered(*flags).values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)


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


def test_it_renders_pods_like_those_of_the_plain_manifests() -> None:
    chart = rendered()["Deployment"]["spec"]["template"]["spec"]
    plain = yaml.safe_load(Path("deploy/kubernetes/deployment.yaml").read_text())
    plain = plain["spec"]["template"]["spec"]
    assert chart["securityContext"] == plain["securityContext"]
    for name in ("securityContext", "livenessProbe", "ports", "env", "resources"):
        assert chart["containers"][0][name] == plain["containers"][0][name]


def test_wrong_values_are_refused() -> None:
    said = helm("template", "api", str(CHART), "--set", "replica=3", code=1)
    assert "replica" in said
