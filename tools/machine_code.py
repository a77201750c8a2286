"""Compiles the modules of the request path to machine code: `python -m tools.machine_code`.

mypyc compiles the same annotated Python that otherwise runs as it is. Compiling is optional: the
gateway also runs without it, for example where there is no C compiler. A wheel also has the native
JSON codec, where cargo is.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from contextlib import chdir
from pathlib import Path
from sysconfig import get_path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
WISH = "MACHINE_CODE"
"""The environment variable that makes a build compile a wheel."""
NATIVE = "NATIVE_CODEC"
"""The environment variable with the path of the native codec that a build puts into a wheel."""
_GROUP = "gateway"
_TRACEBACKS = Path(__file__).with_name("tracebacks.h")


class MachineCode(BuildHookInterface[Any]):
    """Puts machine code into a wheel, for the Python and the platform of the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds what is compiled to a wheel; leaves an editable one unchanged."""
        if version != "standard":
            return
        native = os.environ.get(NATIVE)
        if native or os.environ.get(WISH):
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        if native:
            build_data["force_include"][native] = Path(native).name
        if os.environ.get(WISH):
            place = ROOT / "build" / "machine_code"
            for file in compile_modules(place):
                build_data["force_include"][str(file)] = str(file.relative_to(place))


def modules() -> list[str]:
    """The files that are compiled, as pyproject.toml lists them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hooks = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    return list(hooks["custom"]["modules"])


# Nobody reads warnings about C that mypyc wrote. `-w` alone only hides them: gcc still looks for
# variables without a value, because Python asks for `-Wall`, and that takes half of its time.
_NO_WARNINGS = ["-w", "-Wno-all", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]


def compile_modules(place: Path) -> list[Path]:
    """Compiles into a folder; returns the extension modules, in the layout of their packages."""
    # Imported here: they are development dependencies, which a build of a plain wheel may lack.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415

    shutil.rmtree(place, ignore_errors=True)
    work = place.with_name(f"{place.name}-work")
    arguments = ["--config-file=pyproject.toml", f"--cache-dir={work / 'types'}", *modules()]
    with chdir(ROOT):  # mypyc names modules by their paths from here
        _report(f"1 of 2: translating {len(modules())} modules to C ...")
        extensions = mypycify(
            arguments, opt_level="3", debug_level="0", target_dir=str(work), group_name=_GROUP
        )
        for extension in extensions:
            # No names that other libraries could replace: they hinder inlining, and cost memory.
            extension.extra_compile_args.append("-fvisibility=hidden")
            # A section for each function: in one section of all, the assembler can take an hour to
            # choose the lengths of jumps, because each choice moves what is behind it.
            extension.extra_compile_args.append("-ffunction-sections")
            extension.extra_compile_args += _NO_WARNINGS
            extension.extra_compile_args += ["-include", str(_TRACEBACKS)]
        _report("2 of 2: compiling the C, which takes the longest ...")
        command: Any = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib, command.build_temp, command.parallel = str(place), str(work), True
        command.ensure_finalized()
        command.run()
    return sorted(place.rglob("*.so"))


def _report(stage: str) -> None:
    """Reports progress on standard error: a build shows nothing else for a minute or longer."""
    print(f"machine code, {stage}", file=sys.stderr, flush=True)


def lacking() -> str:
    """The missing requirement of compiling, and how to install it; empty if there is none."""
    if not (shutil.which("cc") or shutil.which("gcc")):
        return "machine code needs a C compiler: apt-get install gcc"
    if not Path(get_path("include"), "Python.h").exists():
        return "machine code needs Python's header files: apt-get install python3-dev"
    return ""


def build_wheel(place: Path, *, compiled: bool) -> Path:
    """Builds a wheel into a folder, whose other content is deleted."""
    shutil.rmtree(place, ignore_errors=True)
    wish = {WISH: "1"} if compiled else {}
    wish |= _native_codec()
    # The output is shown: mypyc reports its errors there.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=ROOT, env=os.environ | wish, check=True, stdout=sys.stderr,
    )  # fmt: skip
    (wheel,) = place.glob("*.whl")
    return wheel


def _native_codec() -> dict[str, str]:
    """Builds the native codec; returns the variable that puts it into a wheel, if it is there."""
    # Imported here: a build of a wheel loads this file alone, as a hook.
    from tools import native  # noqa: PLC0415

    missing = native.lacking()
    if not missing:
        try:
            return {NATIVE: str(native.build(ROOT / "build" / "native"))}
        except subprocess.CalledProcessError:
            missing = "cargo could not compile it"
    print(f"a wheel without the native codec: {missing}", file=sys.stderr)
    return {}


def is_fresh(place: Path) -> bool:
    """True if a folder was built from the current sources."""
    sources = [Path(__file__), _TRACEBACKS, ROOT / "pyproject.toml", ROOT / "requirements.txt"]
    sources += [file for top in ("gateway", "gatewayapi") for file in (ROOT / top).rglob("*.py")]
    sources += (ROOT / "native" / "src").rglob("*.rs")
    made = [wheel.stat().st_mtime for wheel in place.glob("*.whl")]
    return bool(made) and made[0] > max(source.stat().st_mtime for source in sources)


def unpack(place: Path) -> None:
    """Puts the compiled gateway into a folder for PYTHONPATH, unless it is fresh."""
    if is_fresh(place):
        return
    print("compiling; one minute on a fast machine, several on a slow one ...", file=sys.stderr)
    with zipfile.ZipFile(build_wheel(place, compiled=True)) as archive:
        archive.extractall(place)


def main() -> int:
    """Builds a wheel, or a folder for PYTHONPATH."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", type=Path, help="a folder; its content is deleted")
    parser.add_argument("--wheel", action="store_true", help="a wheel; plain if it cannot compile")
    options = parser.parse_args()
    place, missing = options.place.resolve(), lacking()
    if options.wheel:
        if missing:
            print(f"a wheel of plain Python, because {missing}", file=sys.stderr)
        else:
            print("building a wheel with machine code; a minute or more ...", file=sys.stderr)
        print(build_wheel(place, compiled=not missing))
    elif missing:
        print(missing, file=sys.stderr)
        return 1
    else:
        unpack(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
