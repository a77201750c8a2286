"""Each example of settings on the page about upstreams is one that `gateway check` takes."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions

from gateway.config.splits import Split
from gateway.config.upstreams import Upstream
from tests.support.command_line import run
from tests.support.tls import Files

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/upstream.md"
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = _BLOCK.findall(PAGE.read_text())
LIBRARY = {"descriptors": ["library.binpb"], "services": ["library.v1.*"]}
TWO = {
    "library": {"target": "library.internal:50051", "services": ["*"]},
    "library-next": {"target": "library-next.internal:50051"},
}


def whole(example: str) -> dict[str, Any]:
    """The settings of a gateway with this example, which may be a part of an upstream or split."""
    found: dict[str, Any] = yaml.safe_load(textwrap.dedent(example))
    if not example.startswith(" "):
        return {**LIBRARY, "upstreams": TWO} | found
    if found.keys() <= Upstream.model_fields.keys():
        library = {} if "targets" in found else {"target": "library.internal:50051"}
        return {**LIBRARY, "upstreams": {"library": library | found}}
    assert found.keys() <= Split.model_fields.keys(), example
    to = [{"upstream": name} for name in TWO]
    splits = [{"name": "test", "to": to} | found]
    return {**LIBRARY, "upstreams": TWO, "splits": splits}


def declared() -> bytes:
    """The sample's descriptors, in which methods that read say so: only those can be hedged."""
    files = FileDescriptorSet.FromString((ROOT / "gen/descriptors.binpb").read_bytes())
    for method in (
        one for file in files.file for service in file.service for one in service.method
    ):
        if method.name.startswith("Get"):
            method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
    return files.SerializeToString()


def test_they_are_found() -> None:
    assert len(EXAMPLES) >= 20


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example-{n}" for n in range(len(EXAMPLES))])
def test_an_example_is_taken(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = Files(tmp_path)
    files.ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    files.cert.rename(tmp_path / "gateway.pem")
    files.key.rename(tmp_path / "gateway.key")
    (tmp_path / "library.binpb").write_bytes(declared())
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(whole(example)))
    done = run("check", "--config", "gateway.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
