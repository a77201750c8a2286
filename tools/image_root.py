"""Copies what the gateway needs at run time into a folder, which becomes the image.

`python tools/image_root.py /opt/gateway /image`: an environment with the gateway, Python without
its tests and tools, the shared libraries that they load, and the certificates of the public
authorities. The image has neither a shell nor a package manager. It runs on a Debian, in
`deploy/Dockerfile`.
"""

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

_NOT_OF_PYTHON = (
    "__pycache__", "_test*.so", "_tkinter*", "config-*", "dist-packages", "ensurepip", "idlelib",
    "lib2to3", "pydoc_data", "site-packages", "test", "tests", "tkinter", "turtledemo",
)  # fmt: skip
_NOT_OF_PACKAGES = (
    "__pycache__", "*.c", "*.h", "*.map", "*.pxd", "*.pxi", "*.pyi", "*.pyx", "_testbase", "tests",
)  # fmt: skip
_OF_SWAGGER_UI = {"LICENSE", "swagger-ui-bundle.js", "swagger-ui.css"}
"""All that the gateway's page loads; the package has the editor too."""
_SYSTEM = (
    "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/os-release", "/usr/lib/ssl/cert.pem",
    "/usr/lib/ssl/openssl.cnf",
)  # fmt: skip
_USERS = {
    "passwd": "root:x:0:0::/:/sbin/nologin\ngateway:x:65532:65532::/nonexistent:/sbin/nologin\n",
    "group": "root:x:0:\ngateway:x:65532:\n",
}
# In the output of ldd: `libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)`; the loader alone.
_LIBRARY = re.compile(r"^\s+(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
# In the output of dpkg-query: `libc6:amd64: /usr/lib/x86_64-linux-gnu/libc.so.6`.
_PACKAGE = re.compile(r"^([^\s:,]+)(?::\w+)?: /", re.MULTILINE)


def run(program: str, *arguments: str | Path) -> str:
    """Runs a program of the system; returns its output, also where it does not know all files."""
    command = [program, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def add(path: Path, root: Path) -> None:
    """Copies a file, a folder, or a symbolic link and all that it leads to."""
    target = root / path.parent.resolve().relative_to("/") / path.name
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        target.symlink_to(path.readlink())
        add(path.parent / path.readlink(), root)
    elif path.is_dir():
        target.mkdir()
        for entry in path.iterdir():
            add(entry, root)
    else:
        shutil.copy2(path, target)


def add_python(environment: Path, root: Path) -> None:
    """Copies the environment, and the Python that it belongs to."""
    library = Path(sysconfig.get_path("stdlib"))
    copies = ((library, _NOT_OF_PYTHON), (environment, _NOT_OF_PACKAGES))
    for source, left_out in copies:
        target = root / source.relative_to("/")
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
        for assets in target.glob("lib/*/site-packages/swagger_ui/static"):
            for file in assets.iterdir():
                if file.name not in _OF_SWAGGER_UI:
                    file.unlink()
    link = environment / "bin" / "python"
    while link.is_symlink():  # within the environment first
        link = link.parent / link.readlink()
        add(link, root)


def objects(root: Path) -> Iterator[Path]:
    """Finds the programs and libraries in a folder."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path


def libraries(found: Iterable[Path]) -> list[Path]:
    """Returns the shared libraries that programs and libraries load, also indirectly."""
    said = run("ldd", *found)
    missing = sorted(set(re.findall(r"\S+ => not found", said)))
    if missing:
        sys.exit(f"libraries that this system lacks: {', '.join(missing)}")
    return sorted({Path(path) for path in _LIBRARY.findall(said)})


def note_packages(files: Iterable[Path], root: Path) -> None:
    """Notes the packages of files where scanners for vulnerabilities look, and their licences."""
    # By name alone: a package of before /lib became a link still has its files there.
    said = run("dpkg-query", "--search", *(f"*/{file.resolve().name}" for file in files))
    place = root / "var/lib/dpkg/status.d"
    place.mkdir(parents=True)
    for name in sorted(set(_PACKAGE.findall(said))):
        (place / name).write_text(run("dpkg-query", "--status", name))
        add(Path("/usr/share/doc", name, "copyright"), root)


def add_system(root: Path) -> None:
    """Copies what is neither Python nor the gateway: libraries, users, authorities."""
    found = libraries(objects(root))
    for path in (*found, *map(Path, _SYSTEM)):
        add(path, root)
    note_packages(found, root)
    for name, text in _USERS.items():
        (root / "etc" / name).write_text(text)
    for name in ("run", "tmp"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    # Libraries are found also where only the configuration of the loader says.
    run("ldconfig", "-r", root)


def main(environment: Path, root: Path) -> None:
    """Fills the folder."""
    for name in ("lib", "lib64"):
        link = Path("/", name)
        if link.is_symlink():
            (root / link.readlink()).mkdir(parents=True)
            (root / name).symlink_to(link.readlink())
    add_python(environment, root)
    add_system(root)
    run("strip", "--strip-unneeded", *objects(root))
    # Without bytecode, each start would compile all modules again. Files of an image do not change.
    compileall.compile_dir(
        root, maxlevels=30, quiet=1, workers=0, stripdir=root, prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
