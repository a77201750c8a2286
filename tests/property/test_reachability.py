"""A binding is told to be reached by no request exactly if no path there is reaches it."""

from collections.abc import Iterator
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.config.routing import OnConflict
from gateway.schema.catalog import HttpRule, Source, build_schema
from gateway.status import StatusError
from gateway.transcoding.binding import Binding, bind, build_router
from gateway.transcoding.reachability import never_reached
from gateway.transcoding.routing.path_options import PathOptions
from gateway.transcoding.routing.router import Router
from tests.support.schema import descriptor_set

FILES = descriptor_set(
    r='syntax = "proto3"; package r; message M {}'
    "service S { rpc A(M) returns (M); rpc B(M) returns (M); rpc C(M) returns (M); }"
)
LONGEST = 3
"""Segments of a template; longer paths than those tried change nothing."""
WORDS = ["a", "b", "z"]
HTTP_METHODS = ["GET", "PUT", "HEAD", "*"]

shallow = st.sampled_from(["a", "b", "*", "*"])


@st.composite
def templates(draw: st.DrawFn) -> str:
    parts = draw(st.lists(shallow, max_size=LONGEST))
    if draw(st.booleans()) and parts:
        parts[draw(st.integers(0, len(parts) - 1))] = "**"
    verb = draw(st.sampled_from(["", "", ":v"])) if parts else ""
    return f"/{'/'.join(parts)}{verb}"


def rule(http_method: str, template: str) -> HttpRule:
    return HttpRule(http_method, template, "", "", Source("r.proto", 1))


rules = st.builds(rule, st.sampled_from(HTTP_METHODS), templates())


def paths() -> Iterator[str]:
    for length in range(2 * LONGEST):
        for words in product(WORDS, repeat=length):
            yield f"/{'/'.join(words)}"
            yield f"/{'/'.join(words)}:v"


PATHS = list(paths())


def reached(router: Router[Binding]) -> set[Binding]:
    found: set[Binding] = set()
    for path in PATHS:
        for http_method in ("GET", "PUT", "HEAD", "PURGE"):
            try:
                match = router.match(http_method, path)
            except StatusError:
                continue
            # HEAD is served by what serves GET; that alone does not count as being reached.
            if http_method != "HEAD" or match.target.http_method in ("HEAD", "*"):
                found.add(match.target)
    return found


@settings(max_examples=60, deadline=None)
@example(
    # PUT / goes to the preferred binding, and GET / does not, for there GET /** keeps it away.
    [rule("*", "/**")],
    [rule("GET", "/**"), rule("*", "/")],
    ("r.S.C", "r.S.A"),
    PathOptions(),
)
@given(
    st.lists(rules, min_size=1, max_size=4),
    st.lists(rules, max_size=2),
    st.sampled_from([(), ("r.S.B",), ("r.S.C", "r.S.A")]),
    st.sampled_from(
        [
            PathOptions(),
            PathOptions(keeps_verbs=True),
            PathOptions(every_verb=True),
            PathOptions(trims_slashes=True),
        ]
    ),
)
def test_what_no_path_reaches_is_found_and_nothing_else(
    first: list[HttpRule], second: list[HttpRule], prefer: tuple[str, ...], options: PathOptions
) -> None:
    overrides = {"r.S.A": tuple(first), "r.S.B": tuple(second), "r.S.C": tuple(first[:1])}
    bindings, _ = bind(build_schema(FILES, overrides={k: v for k, v in overrides.items() if v}))
    router, _ = build_router(bindings, on_conflict=OnConflict.FIRST, prefer=prefer, paths=options)
    assert set(router.targets) - set(never_reached(router)) == reached(router)
