"""What is compiled does there what it does as Python: what mypyc makes of it otherwise is kept out.

Each rule stands for a failure that was seen with mypyc 2.4.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.machine_code import ROOT, modules

WAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom)


def waits_in(nodes: list[ast.stmt]) -> bool:
    return any(isinstance(inner, WAITS) for node in nodes for inner in ast.walk(node))


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
        "async def f():\n try: pass\n except E:\n  await g()\n  raise",
        "async def f():\n try: pass\n finally: await g()",
        "async def f():\n async with g(): pass",
        "async def f():\n async for x in g(): pass",
        "async def f():\n with g(): await h()",
        "async def f():\n yield 1",
        "x[f():]",
    ],
)
def test_what_would_be_something_else_is_seen(text: str) -> None:
    assert list(objections(ast.parse(text)))
