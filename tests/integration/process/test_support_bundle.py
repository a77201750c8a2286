"""The bundle for a report has what the gateway shows of itself, and no secret."""

import asyncio
import json
import sys
import tarfile
from pathlib import Path

import pytest

from gateway.cli.support_bundle import _PATHS
from tests.integration.process.test_drain import served
from tests.support.command_line import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
PLANTED = "planted-secret"


async def test_a_bundle_has_what_a_report_needs_and_no_secret(tmp_path: Path) -> None:
    admin, out = tmp_path / "admin.sock", tmp_path / "bundle.tar.gz"
    flags = ("support-bundle", "--admin", f"unix:{admin}", "--out", str(out))
    settings = {
        "ADMIN__LISTEN": f"unix:{admin}",
        "AUTH__STORE": f"redis://user:{PLANTED}@127.0.0.1:1/0",
        "AUTH__ANONYMOUS": "true",
        "METRICS__OTLP": "http://127.0.0.1:1",
        "METRICS__OTLP_HEADERS": f"{{authorization: {PLANTED}}}",
    }
    async with served(tmp_path, settings=settings) as gateway:
        done = await asyncio.to_thread(run, *flags)
        assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
        again = await asyncio.to_thread(run, *flags)
        assert again.returncode == 1
        assert "File exists" in again.stderr
        pid = gateway.process.pid
    assert out.stat().st_mode & 0o777 == 0o600
    with tarfile.open(out) as archive:
        names = archive.getnames()
        found = {Path(name).name: archive.extractfile(name) for name in names}
        texts = {name: file.read().decode() for name, file in found.items() if file}
    assert set(texts) == {"versions.json", *_PATHS}
    assert "/v1/echo/{text}" in [one["path"] for one in json.loads(texts["routes.json"])["routes"]]
    assert "failures" in json.loads(texts["failures.json"])
    assert json.loads(texts["status.json"])["pid"] == pid
    assert json.loads(texts["config.json"])["admin"]["listen"] == f"unix:{admin}"
    assert "grpcio" in json.loads(texts["versions.json"])["installed"]
    assert texts["readyz.txt"] == "ok: serving\n"
    assert "process_resident_memory_bytes" in texts["metrics.txt"]
    assert [name for name, text in texts.items() if PLANTED in text] == []


def test_without_a_gateway_there_is_no_bundle(tmp_path: Path) -> None:
    out = tmp_path / "bundle.tar.gz"
    done = run("support-bundle", "--admin", f"unix:{tmp_path}/none", "--out", str(out))
    assert done.returncode == 1
    assert "is the gateway running?" in done.stderr
    assert not out.exists()
