"""The figures and walls that the architecture promises, measured on the code itself."""

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gateway"
TESTS = ROOT / "tests"
MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 50
# What they are today: they may fall, and not grow.
MOST_EDGES_A_MODULE = 3.49
DEEPEST_CHAIN_OF_IMPORTS = 20

Imports = Mapping[str, frozenset[str]]


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def imports() -> Imports:
    """The modules of the package that each module imports, also where only types are imported."""
    known = {name_of(file) for file in files()}

    def of(file: Path) -> Iterator[str]:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ImportFrom) and node.module in known:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in known else str(node.module)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in known)

    return {name_of(file): frozenset(of(file)) - {name_of(file)} for file in files()}


@pytest.mark.parametrize("file", files(), ids=name_of)
def test_a_file_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MOST_LINES_IN_A_FILE


def functions() -> Iterator[tuple[str, int]]:
    for file in files():
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0] if ast.get_docstring(node, clean=False) else None
                spared = 0 if docstring is None else docstring.end_lineno - docstring.lineno + 1  # type: ignore[operator]
                yield f"{name_of(file)}.{node.name}", node.end_lineno - node.lineno + 1 - spared  # type: ignore[operator]


def test_functions_are_short() -> None:
    assert [(name, lines) for name, lines in functions() if lines > MOST_LINES_IN_A_FUNCTION] == []


def test_no_modules_import_each_other_in_a_circle_not_even_for_types() -> None:
    assert circle(imports()) == []


def circle(graph: Imports) -> list[str]:
    """The names along one circle of imports; empty where there is none."""
    done: set[str] = set()

    def search(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            found = search(other, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := search(name, []))), [])


def test_a_circle_is_seen() -> None:
    assert circle({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a")}) == list("abca")


def depth(graph: Imports) -> int:
    @cache
    def below(name: str) -> int:
        return 1 + max(map(below, graph[name]), default=0)

    return max(map(below, graph))


def test_modules_know_few_others() -> None:
    graph = imports()
    # Empty files of packages would make the average smaller.
    full = [name_of(file) for file in files() if file.read_text().strip()]
    assert sum(len(graph[name]) for name in full) / len(full) <= MOST_EDGES_A_MODULE


def test_chains_of_imports_are_short() -> None:
    assert depth(imports()) <= DEEPEST_CHAIN_OF_IMPORTS


def settings() -> dict[str, Any]:
    tools: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return tools


def contracts() -> list[dict[str, object]]:
    found: list[dict[str, object]] = settings()["importlinter"]["contracts"]
    return found


def compiled_modules() -> list[str]:
    found: list[str] = settings()["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"][
        "modules"
    ]
    return found


def test_every_module_that_is_compiled_exists_and_is_named_once() -> None:
    named = compiled_modules()
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert len(named) == len(set(named))


def test_every_room_is_on_one_floor() -> None:
    (floors,) = [one for one in contracts() if one["type"] == "layers"]
    assert floors["exhaustive"] is True
    layers = floors["layers"]
    assert isinstance(layers, list)
    named = [room for layer in layers for room in layer.split(" | ")]
    rooms = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in files()}
    assert sorted(named) == sorted(rooms - {"__init__"})


def test_every_module_and_public_name_has_a_docstring() -> None:
    assert [name for file in files() for name in undocumented(name_of(file), tree(file))] == []


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(name: str, node: Documented) -> Iterator[str]:
    """The module, and the public classes, functions and methods in it, that say nothing.

    An `__init__` may leave it to its class; what a function defines inside is its own business.
    """
    if node.body and ast.get_docstring(node) is None:
        yield name
    if isinstance(node, ast.Module | ast.ClassDef):
        for inner in node.body:
            is_public = not getattr(inner, "name", "_").startswith("_")
            if is_public and isinstance(
                inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                yield from undocumented(f"{name}.{inner.name}", inner)


def test_a_missing_docstring_is_seen() -> None:
    module = ast.parse('"""M."""\nclass A:\n  """A."""\n  def b(self): ...\n  def _c(self): ...\n')
    assert list(undocumented("m", module)) == ["m.A.b"]


def test_no_two_tests_of_a_file_have_one_name() -> None:
    assert [
        (str(file.relative_to(ROOT)), twice)
        for file in sorted(TESTS.rglob("test_*.py"))
        if (twice := repeated_tests(tree(file)))
    ] == []


def repeated_tests(module: ast.Module) -> list[str]:
    """The tests that a later one of the same name hides, so that they never run."""
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    scopes: list[ast.Module | ast.ClassDef] = [module, *classes]
    return [
        name
        for scope in scopes
        for name, times in Counter(map(name_of_test, scope.body)).items()
        if name and times > 1
    ]


def name_of_test(node: ast.stmt) -> str:
    """The name of a test; empty for any other statement."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
        return node.name
    return ""


def test_a_hidden_test_is_seen() -> None:
    module = ast.parse("def test_a(): ...\ndef b(): ...\ndef b(): ...\nasync def test_a(): ...\n")
    assert repeated_tests(module) == ["test_a"]


def docstrings() -> Iterator[tuple[str, str]]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for file in files():
        for node in ast.walk(tree(file)):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield f"{name_of(file)}:{getattr(node, 'name', 'module')}", text


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    bad = ("What", "Who", "Whom", "Whose", "Whoever", "Whatever")
    assert [name for name, text in docstrings() if text.split()[0].strip(",.") in bad] == []
