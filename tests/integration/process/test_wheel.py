"""The wheel works in an empty environment outside the repository, and ships what it should."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What tells this process where its modules are is not for those in an environment of their own.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "gateway",
        "gatewayapi",
    }
    assert "gateway/py.typed" in names
    # Users compile against these, and import what they become.
    assert {"gatewayapi/v1/policy.proto", "gatewayapi/v1/auth.proto"} <= set(names)
    entry_points = next(name for name in names if name.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "gateway = gateway.cli.main:main" in text
    assert "[pytest11]" in text


def test_the_wheel_works_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    site = subprocess.run(
        [str(python), "-c", "import site; print(site.getsitepackages()[0])"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    # The dependencies are borrowed from here, the package itself comes from the wheel alone.
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    borrowed = [p for p in sys.path if p.endswith("site-packages")]
    shadow = tmp_path / "dependencies"
    shadow.mkdir()
    for place in map(Path, borrowed):
        for entry in place.iterdir():
            if "grpc_rest_gateway" not in entry.name and not (shadow / entry.name).exists():
                (shadow / entry.name).symlink_to(entry)
    Path(site, "borrowed.pth").write_text(f"{shadow}\n")
    descriptors = tmp_path / "api.binpb"
    descriptors.write_bytes((ROOT / "gen" / "descriptors.binpb").read_bytes())

    def gateway(*arguments: str) -> str:
        command = [str(python), "-m", "gateway", *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    assert "library.v1.LibraryService.GetBook" in gateway("routes", "--descriptors", "api.binpb")
    assert "0 errors" in gateway("check", "--descriptors", "api.binpb")
    assert "GetShelf" in gateway("explain", "GET /v1/shelves/fiction", "--descriptors", "api.binpb")
    assert "Serve a REST API" in gateway("serve", "--help")
    command = [str(python), "-c", "from gatewayapi.v1 import auth_pb2_grpc, policy_pb2"]
    subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True)
    where = subprocess.run(
        [str(python), "-c", "import gateway; print(gateway.__file__)"],
        cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert where.stdout.startswith(site)
