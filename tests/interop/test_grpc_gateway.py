"""grpc-gateway's own integration suite, with this gateway in place of theirs.

The suite is that of the module, but for its `TestMain` (grpc_gateway/main_test.go), and each helper
is a test of its own, so that one that fails hides no other.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.interop.servers import HERE, go_tool

MODULE = "github.com/grpc-ecosystem/grpc-gateway/v2@v2.33.0"
EXAMPLES = Path("examples", "internal")
PROTOS = (
    *("echo_service", "flow_combination", "excess_body", "non_standard_names", "stream"),
    *("unannotated_echo_service", "a_bit_of_everything", "response_body_service"),
)
TIMEOUT_S = 120
LEAVES = 98
DIFFERENT = {
    "TestEchoPatch": "the mask ends at a Struct (AIP-161)",
    "TestForwardResponseOption/testEcho": "an option in Go",
    "TestForwardResponseOptionHTTPPathPattern/testEcho": "an option in Go",
    "TestABE/testABERepeated": "lists are no path variables (http.proto)",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first run builds the suite


async def test_grpc_gateways_own_suite_holds_but_for_what_the_docs_list(
    request: pytest.FixtureRequest,
) -> None:
    cache: Path = request.config.cache.mkdir("interop")
    place = await asyncio.to_thread(_suite, cache)
    said = await _run(place)
    found = re.findall(r"--- (PASS|FAIL): (\S+)", said)
    names = [name for _, name in found]
    leaves = {
        name: result
        for result, name in found
        if not any(other.startswith(f"{name}/") for other in names)
    }
    assert {name for name, result in leaves.items() if result == "FAIL"} == set(DIFFERENT), said
    assert len(leaves) == LEAVES
    docs = HERE.parents[1] / "docs" / "migrating.md"
    assert f"{LEAVES - len(DIFFERENT)} of {LEAVES} tests" in docs.read_text(encoding="utf-8")


async def _run(place: Path) -> str:
    """Runs the suite against gateways before its example services; returns its output."""
    process = await asyncio.create_subprocess_exec(
        *(str(place / "suite"), "-test.v", f"-test.timeout={TIMEOUT_S}s"),
        cwd=place,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            port = int(await process.stdout.readline())
            async with (
                open_gateway(_config(place, port)) as usual,
                open_gateway(_config(place, port, json={"proto_names": True})) as other,
            ):
                process.stdin.write(f"{usual.address} {other.address}\n".encode())
                return (await process.stdout.read()).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _config(place: Path, port: int, **more: Any) -> Config:
    rules = place / EXAMPLES / "proto" / "examplepb" / "standalone_echo_service.yaml"
    settings = {
        "listen": "127.0.0.1:0",
        "compat": "grpc-gateway",
        "descriptors": [place / "suite.binpb"],
        "service_config": [rules],
        "upstreams": {"examples": {"target": f"127.0.0.1:{port}"}},
        "log": {"access": "off"},
        **more,
    }
    return Config.model_validate(settings)


def _suite(cache: Path) -> Path:
    """The folder of the suite and of its descriptors, built if they are not there or old."""
    go = go_tool()
    main = HERE / "grpc_gateway" / "main_test.go"
    place = cache / f"grpc_gateway-{MODULE.rpartition('@')[2]}"
    tests = place / EXAMPLES / "integration"
    done = place / "suite.binpb"
    if done.exists() and (tests / main.name).read_bytes() == main.read_bytes():
        return place
    shutil.rmtree(place, ignore_errors=True)
    told = json.loads(_call([go, "mod", "download", "-json", MODULE], cache))
    shutil.copytree(told["Dir"], place, copy_function=shutil.copyfile)
    place.chmod(0o755)
    for folder in place.rglob("*/"):
        folder.chmod(0o755)
    shutil.copyfile(main, tests / main.name)
    suite = tests / "integration_test.go"
    suite.write_text(_with_leaves(suite.read_text(encoding="utf-8")), encoding="utf-8")
    _call([go, "test", "-c", "-o", str(place / "suite"), f"./{tests.relative_to(place)}"], place)
    common = Path(annotations_pb2.__file__).parents[2]
    protos = [str(EXAMPLES / "proto" / "examplepb" / f"{name}.proto") for name in PROTOS]
    options = ["--include_imports", f"--descriptor_set_out={done}", "-I.", f"-I{common}"]
    _call([sys.executable, "-m", "grpc_tools.protoc", *options, *protos], place)
    return place


def _with_leaves(source: str) -> str:
    """Makes each call of a helper a test of its own.

    One helper writes the rest of its request in a goroutine. The client ends that when it has the
    answer, which may be before the test's end or after it: there it prints instead of failing.
    """
    call = re.compile(r"(?m)^(\t+)(test[A-Z]\w*)\(t, (.*)\)$")
    source = call.sub(r'\1t.Run("\2", func(t *testing.T) { \2(t, \3) })', source)
    before, name, after = source.partition("func testABEBulkCreateWithError(")
    return before + name + re.sub(r't\.Errorf\("w\.', 'fmt.Printf("w.', after, count=3)


def _call(command: Sequence[str], where: Path) -> str:
    done = subprocess.run(
        command, check=False, cwd=where, capture_output=True, text=True, timeout=TIMEOUT_S * 5
    )
    assert done.returncode == 0, f"{' '.join(command[:3])} failed: {done.stderr}"
    return done.stdout
