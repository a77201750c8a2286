"""What is compiled does there what it does as Python: what mypyc makes of it otherwise is kept out.

Each rule stands for a failure that was seen with mypyc 2.4.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.status import Code, StatusError
from tests.support.machine_code import alternatives
from tools.machine_code import ROOT, modules

WORDS_OF_C = frozenset({"_thread", "_asm", "_const", "_inline", "_label", "_signed", "_volatile"})
WAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom)


def waits_in(nodes: list[ast.stmt]) -> bool:
    return any(isinstance(inner, WAITS) for node in nodes for inner in ast.walk(node))


def retyped(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yields the names that get groups of a match, any of which may be None, and something else."""
    names = [one for one in ast.walk(function) if isinstance(one, ast.Name)]
    stored = [one.id for one in names if isinstance(one.ctx, ast.Store)]
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and ast.unparse(node.value).endswith(".groups()"):
            for one in ast.walk(node.targets[0]):
                if isinstance(one, ast.Name) and stored.count(one.id) > 1:
                    # It has the type of its first value, and None is none of a text.
                    yield f"{node.lineno}: {one.id} gets a group and another value"


def narrowed(node: ast.AST) -> Iterator[str]:
    """Yields the attributes that an assignment of several values sets first and then reads.

    Such a value has the type of the new one then, and is refused if it is None.
    """
    match node:
        case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
            names = [ast.unparse(one) for one in targets]
        case _:
            return
    for at, value in enumerate(values):
        for one in ast.walk(value):
            if isinstance(one, ast.Attribute) and ast.unparse(one) in names[:at]:
                yield f"{node.lineno}: {ast.unparse(one)} is read where it is set"


def second_class(node: ast.AST) -> Iterator[str]:
    """Yields a generic dataclass: `dataclass` changes a class that is not mypyc's own."""
    if isinstance(node, ast.ClassDef) and any("Generic[" in ast.unparse(one) for one in node.bases):
        for decorator in node.decorator_list:
            if ast.unparse(decorator).startswith("dataclass"):
                yield f"{node.lineno}: a module with such a generic dataclass does not load"


def objections(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        # What a coroutine handles is not set aside while it waits: what others fail with in the
        # meantime is what a bare `raise` then raises.
        if isinstance(node, ast.Try):
            if any(waits_in(handler.body) for handler in node.handlers):
                yield f"{node.lineno}: waits while it handles an exception"
            if waits_in(node.finalbody):
                yield f"{node.lineno}: waits in a finally"
        if isinstance(node, ast.AsyncWith | ast.AsyncFor):
            yield f"{node.lineno}: an async with or for waits while it ends"
        if isinstance(node, ast.With) and waits_in(node.body):
            yield f"{node.lineno}: waits inside a with, which ends in a finally"
        if isinstance(node, ast.AsyncFunctionDef) and any(
            isinstance(inner, ast.Yield) for inner in ast.walk(node)
        ):
            yield f"{node.lineno}: an asynchronous generator is not taken"
        # mypyc puts a `_` before it, and some such words are the C compiler's own.
        if isinstance(node, ast.Attribute) and node.attr in WORDS_OF_C:
            yield f"{node.lineno}: _{node.attr} is a word of C"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from retyped(node)
        yield from narrowed(node)
        yield from second_class(node)
        # `memory[f():]` calls f twice.
        if isinstance(node, ast.Slice):
            ends = [end for end in (node.lower, node.upper) if end is not None]
            called = [one for end in ends for one in ast.walk(end) if isinstance(one, ast.Call)]
            if any(ast.unparse(one.func) != "len" for one in called):
                yield f"{node.lineno}: a call in a slice is made twice"


@pytest.mark.parametrize("name", modules())
def test_a_module_is_compiled_to_what_it_says(name: str) -> None:
    path = Path(ROOT, name)
    assert path.is_file()
    assert list(objections(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "text",
    [
        "def f(m):\n a = ''\n a, b = m.groups()",
        "async def f():\n try: pass\n except E:\n  await g()\n  raise",
        "async def f():\n try: pass\n finally: await g()",
        "async def f():\n async with g(): pass",
        "async def f():\n async for x in g(): pass",
        "async def f():\n with g(): await h()",
        "async def f():\n yield 1",
        "@dataclass(slots=True)\nclass A(Generic[T]):\n a: T",
        "@dataclass(frozen=True, eq=False)\nclass A(Generic[T]):\n a: T",
        "x[f():]",
        "self._thread = f()",
        "self.a, self.b = x, self.a",
    ],
)
def test_what_would_be_something_else_is_seen(text: str) -> None:
    assert list(objections(ast.parse(text)))


def classes(name: str) -> Iterator[tuple[str, list[str]]]:
    """The classes of a module but its protocols, and the full names of their bases."""
    tree = ast.parse(Path(ROOT, name).read_text())
    module = name.removesuffix(".py").replace("/", ".")
    known = {
        node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)
    }
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gateway"):
            known |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for inner in ast.walk(tree):
        if isinstance(inner, ast.ClassDef):
            bases = [ast.unparse(base).partition("[")[0] for base in inner.bases]
            if "Protocol" not in bases:
                yield inner.name, [known.get(base, base) for base in bases]


def test_no_class_that_stays_python_is_made_of_a_compiled_one() -> None:
    """Such a class cannot be made: mypyc's classes have no place for its attributes."""
    compiled = set(modules())
    native = {
        f"{name.removesuffix('.py').replace('/', '.')}.{made}"
        for name in compiled
        for made, _ in classes(name)
    }
    python = {
        str(path.relative_to(ROOT)) for path in Path(ROOT, "gateway").rglob("*.py")
    } - compiled
    found = {
        f"{name}: {made}"
        for name in python
        for made, bases in classes(name)
        if native.intersection(bases)
    }
    assert found == set()


def test_errors_have_no_slots() -> None:
    """A compiled class that derives from one with slots has less room than its base: a crash."""
    assert vars(StatusError(Code.OK, ""))["code"] is Code.OK


def test_the_sources_are_tested_with_every_alternative() -> None:
    assert list(alternatives("first", "second")) == ["first", "second"]
