"""The container image, checked as far as it goes without an engine."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns("*.so", "target")


def stages() -> list[list[str]]:
    """The instructions of each stage, one line each."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    starts = [at for at, line in enumerate(lines) if line.startswith("FROM ")]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def value(name: str) -> str:
    """The value of an instruction that is once in the last stage."""
    (found,) = [line for line in stages()[-1] if line.startswith(f"{name} ")]
    return found.removeprefix(f"{name} ")


def test_the_image_runs_the_gateway_as_a_user_without_rights() -> None:
    assert value("USER") == "65532:65532"
    assert json.loads(value("ENTRYPOINT")) == ["gateway"]
    assert json.loads(value("CMD")) == ["serve"]
    assert value("STOPSIGNAL") == "SIGTERM"
    probe = value("HEALTHCHECK").partition("CMD ")[2]
    assert json.loads(probe) == ["gateway", "health", "--live"]


def test_tools_stay_in_the_first_stage() -> None:
    build, final = stages()
    assert final[0] == "FROM scratch"
    assert [line for line in final if line.startswith("COPY")] == [
        "COPY --from=build /image /",
        "COPY --from=build --chown=65532:65532 /owned /run",
    ]
    assert any("gcc" in line for line in build)
    assert not any("gcc" in line or "apt-get" in line for line in final)


def test_an_image_without_machine_code_or_native_codec_is_not_built() -> None:
    build, _ = stages()
    assert build[-1].endswith('gateway --version | grep "as machine code; JSON codec: Rust"')


@pytest.mark.slow
def test_the_wheel_can_be_built_from_what_the_image_copies(tmp_path: Path) -> None:
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for line in stages()[0]:
        if not line.startswith("COPY "):
            continue
        *names, target = line.split()[1:]
        for name in names:
            assert f"!{name}" in allowed
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tmp_path / target, ignore=NOT_COPIED)
            else:
                shutil.copy(source, tmp_path / name)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=tmp_path, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "gateway").rglob("*.py")}
    assert modules <= packed


def test_the_image_copies_the_types_that_compiling_reads() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    copied = {name for line in stages()[0] if line.startswith("COPY ") for name in line.split()[1:]}
    assert tools["mypy"]["mypy_path"]
    assert set(tools["mypy"]["mypy_path"]) <= copied
