"""The folder that becomes the image, filled from this system and used as a root."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.executable).resolve()  # not that of the environment of the tests

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("dpkg-query"), reason="not a Debian"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its root"),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("environment") / "python"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", place], check=True, timeout=120)
    (packages,) = place.glob("lib/*/site-packages")
    (packages / "mine/tests").mkdir(parents=True)
    (packages / "mine/tests/__init__.py").touch()
    (packages / "mine/__init__.py").write_text("PLACE = __file__")
    (packages / "mine/fast.c").touch()
    return place


@pytest.fixture(scope="module")
def image(environment: Path) -> Path:
    folder = environment.parent / "image"
    tool = ROOT / "tools/image_root.py"
    subprocess.run([PYTHON, tool, environment, folder], check=True, timeout=300)
    return folder


def run(image: Path, environment: Path, code: str) -> str:
    command = ["chroot", str(image), str(environment / "bin/python"), "-c", code]
    return subprocess.check_output(command, text=True, timeout=60)


def test_python_finds_its_libraries_and_the_authorities(image: Path, environment: Path) -> None:
    code = "import ctypes, mine, sqlite3, ssl; print(ssl.create_default_context().get_ca_certs())"
    assert "organizationName" in run(image, environment, code)


def test_no_module_is_compiled_again(image: Path, environment: Path) -> None:
    code = "import mine, json; print(mine.__cached__, json.__cached__)"
    for path in run(image, environment, code).split():
        assert (image / path.lstrip("/")).is_file()


def test_nothing_is_left_for_an_intruder_to_run(image: Path) -> None:
    names = {path.name for path in image.rglob("*") if os.access(path, os.X_OK)}
    assert not names & {"sh", "bash", "apt", "perl", "cc", "ld", "pip", "ldd", "cp"}


def test_tests_and_sources_of_extensions_are_left_out(image: Path, environment: Path) -> None:
    assert not list((image / environment.relative_to("/")).rglob("mine/tests"))
    assert not list(image.rglob("*.c"))
    assert not list(image.rglob("lib/*/test"))


def test_the_packages_of_the_libraries_are_noted_with_their_licences(image: Path) -> None:
    about = (image / "var/lib/dpkg/status.d/libc6").read_text()
    assert "\nVersion: " in about
    assert (image / "usr/share/doc/libc6/copyright").is_file()
