"""The router finds what a scan over all templates would find, and refuses everything else kindly.

The reference below is slow and naive on purpose: it tries each template by itself, orders those
that fit by the documented precedence, and takes the first.
"""

import re
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.status import StatusError
from gateway.transcoding.routing.router import Router, RouterBuilder
from gateway.transcoding.routing.template import DeepWildcard, Literal, Template, parse_template

Route = tuple[str, Template]
Reading = tuple[str, str]

http_methods = st.sampled_from(["GET", "PUT", "HEAD", "*"])
shallow = st.sampled_from(["a", "b", "%C3%A9", "a%3Av", "*", "*"])
verbs = st.sampled_from(["", "", "", ":v", ":w", ":%76"])
good_pieces = ["a", "b", "%C3%a9", "é", "%61", "a%2Fb", "a%2fb", "a:v", "b:w:v", "a%3Av", "a:%76"]
odd_pieces = ["", ":v", "a:", "..", "%2e", "..:v", "%zz", "%ff", "%00"]
pieces = st.sampled_from([*good_pieces * 5, *odd_pieces])


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """A template over few words, so that paths often fit; variables cover the runs between cuts."""
    segments = draw(st.lists(shallow, min_size=1, max_size=4))
    if draw(st.integers(0, 19)) == 19:
        return parse_template("/")
    if draw(st.booleans()):
        segments[draw(st.integers(0, len(segments) - 1))] = "**"
    cuts = sorted({0, len(segments), *draw(st.sets(st.integers(0, len(segments))))})
    runs = ["/".join(segments[start:end]) for start, end in pairwise(cuts)]
    parts = [f"{{v{i}={run}}}" if draw(st.booleans()) else run for i, run in enumerate(runs)]
    return parse_template(f"/{'/'.join(parts)}{draw(verbs)}")


@st.composite
def requested(draw: st.DrawFn) -> tuple[list[Route], str]:
    """Routes, and a path that mostly fits one of them."""
    routes = draw(st.lists(st.tuples(http_methods, templates()), min_size=1, max_size=8))
    template = draw(st.sampled_from(routes))[1]
    routes += [(http_method, template) for http_method in draw(st.lists(http_methods, max_size=2))]
    parts: list[str] = []
    for segment in template.segments:
        if isinstance(segment, Literal) and draw(st.integers(0, 9)):
            parts.append(str(segment))
        else:
            least, most = (0, 3) if isinstance(segment, DeepWildcard) else (1, 1)
            parts += draw(st.lists(pieces, min_size=least, max_size=most))
    verb = draw(st.sampled_from([f":{template.verb}" if template.verb else "", "", ":v"]))
    return routes, f"/{'/'.join(parts)}{verb}"


def build(
    routes: list[Route], *, fully_decode: bool = False, tiers: list[int] | None = None
) -> Router[int]:
    builder: RouterBuilder[int] = RouterBuilder()
    for index, (http_method, template) in enumerate(routes):
        tier = 0 if tiers is None else tiers[index]
        builder.add(http_method, template, index, fully_decode=fully_decode, tier=tier)
    return builder.build()


def readings(routes: list[Route], path: str) -> list[Reading]:
    """The path with each verb it may be read with, the preferred first."""
    head, colon, verb = path.rpartition(":")
    declared = {template.verb for _, template in routes}
    with_verb = [(head, unquote(verb))] if colon and "/" not in verb else []
    return [reading for reading in with_verb if reading[1] and reading[1] in declared] + [
        (path, "")
    ]


def split(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")


def is_bad(routes: list[Route], path: str) -> bool:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return True
    if re.search("%(?![0-9A-Fa-f]{2})", path) or "%00" in path:
        return True
    segments = [unquote(s) for text, _ in readings(routes, path) for s in split(text)]
    return not {".", ".."}.isdisjoint(segments)


def spans(template: Template, segments: list[str]) -> list[list[str]] | None:
    """What each of the template's segments covers, or None if it does not fit."""
    extra = len(segments) - len(template.segments)
    if "" in segments or extra < -1 or (extra != 0 and template.deep_at is None):
        return None
    covered: list[list[str]] = []
    rest = segments
    for segment in template.segments:
        size = 1 + extra if isinstance(segment, DeepWildcard) else 1
        taken, rest = rest[:size], rest[size:]
        if isinstance(segment, Literal) and segment.text != unquote(taken[0]):
            return None
        covered.append(taken)
    return covered


def rank(template: Template) -> list[tuple[int, int]]:
    """Compares smaller for the more specific of two templates that fit one path."""
    return [
        (0, 0)
        if isinstance(segment, Literal)
        else (2, position - len(template.segments))
        if isinstance(segment, DeepWildcard)
        else (1, 0)
        for position, segment in enumerate(template.segments)
    ]


def literal_places(template: Template) -> list[int]:
    """Compares smaller for the template whose literals come first, before any `**`."""
    before = template.segments[: template.deep_at]
    places = [0 if isinstance(segment, Literal) else 1 for segment in before]
    return [*places, *[1] * (8 - len(places))]


def method_rank(bound: str, asked: str) -> int | None:
    ranks = [asked, "GET", "*"] if asked == "HEAD" else [asked, "*"]
    return ranks.index(bound) if bound in ranks else None


def keeping_slashes(raw: str) -> str:
    return unquote(re.sub("%(2[Ff])", r"%25\1", raw))


def captured(template: Template, covered: list[list[str]], fully_decode: bool) -> tuple[str, ...]:
    values = []
    for variable in template.variables:
        texts: list[str] = []
        for position in range(variable.start, variable.end):
            deep = isinstance(template.segments[position], DeepWildcard)
            decoded = not variable.many_segments or (deep and fully_decode)
            texts += map(unquote if decoded else keeping_slashes, covered[position])
        values.append("/".join(texts))
    return tuple(values)


Fit = tuple[tuple[int, list[int], int, list[tuple[int, int]]], int, tuple[str, ...]]


def fits(
    routes: list[Route], path: str, fully_decode: bool, tiers: list[int] | None = None
) -> list[Fit]:
    """Every route that fits the path: its rank, its index, and what it captures."""
    found: list[Fit] = []
    for order, (text, verb) in enumerate(readings(routes, path)):
        for index, (_, template) in enumerate(routes):
            covered = spans(template, split(text)) if template.verb == verb else None
            if covered is not None:
                values = captured(template, covered, fully_decode)
                tier = 0 if tiers is None else tiers[index]
                place = (order, literal_places(template), tier, rank(template))
                found.append((place, index, values))
    return found


def expected(
    routes: list[Route],
    http_method: str,
    path: str,
    *,
    fully_decode: bool,
    tiers: list[int] | None = None,
) -> tuple[int, tuple[str, ...]] | int:
    """The index and captures of the winner, or the HTTP status of the refusal."""
    if is_bad(routes, path):
        return 400
    found = fits(routes, path, fully_decode, tiers)
    serving = [
        (place, ranked, index, values)
        for place, index, values in found
        if (ranked := method_rank(routes[index][0], http_method)) is not None
    ]
    if serving:
        # On one template, what serves the HTTP method most exactly comes before any tier.
        best: dict[tuple[object, ...], tuple[Any, int, int, tuple[str, ...]]] = {}
        for fit in sorted(serving, key=lambda one: (one[1], one[0])):
            template = routes[fit[2]][1]
            best.setdefault((fit[0][0], template.segments, template.verb), fit)
        _, _, index, values = min(best.values(), key=lambda one: one[0])
        return index, values
    return 405 if found else 404


@settings(max_examples=200)
@given(requested(), st.sampled_from(["GET", "PUT", "HEAD", "PURGE"]), st.booleans())
def test_the_router_finds_what_a_scan_finds(
    drawn: tuple[list[Route], str], http_method: str, fully_decode: bool
) -> None:
    routes, path = drawn
    router = build(routes, fully_decode=fully_decode)
    answer: tuple[int, tuple[str, ...]] | int
    try:
        match = router.match(http_method, path)
        answer = match.target, match.captures
    except StatusError as error:
        answer = error.http_status
    assert answer == expected(routes, http_method, path, fully_decode=fully_decode)


@settings(max_examples=200)
@given(requested(), st.sampled_from(["GET", "PUT", "HEAD"]), st.data())
def test_an_earlier_tier_comes_first_where_only_wildcards_differ(
    drawn: tuple[list[Route], str], http_method: str, data: st.DataObject
) -> None:
    routes, path = drawn
    many = len(routes)
    tiers = data.draw(st.lists(st.sampled_from([0, 1, 2]), min_size=many, max_size=many))
    router = build(routes, tiers=tiers)
    answer: tuple[int, tuple[str, ...]] | int
    try:
        match = router.match(http_method, path)
        answer = match.target, match.captures
    except StatusError as error:
        answer = error.http_status
    wanted = expected(routes, http_method, path, fully_decode=False, tiers=tiers)
    assert answer == wanted


@given(requested())
def test_allowed_methods_are_those_of_all_that_fit(drawn: tuple[list[Route], str]) -> None:
    routes, path = drawn
    if is_bad(routes, path):
        return
    allowed = {routes[index][0] for _, index, _ in fits(routes, path, fully_decode=False)}
    implied = {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())
    wanted = tuple(sorted(allowed | implied)) if allowed else ()
    assert build(routes).allowed_methods(path) == wanted


@given(requested(), st.sampled_from(["GET", "HEAD", "PURGE"]))
def test_an_explanation_names_the_winner_and_a_difference_for_the_rest(
    drawn: tuple[list[Route], str], http_method: str
) -> None:
    routes, path = drawn
    router = build(routes)
    reasons = router.explain(http_method, path)
    try:
        winners = [router.match(http_method, path).target]
    except StatusError:
        winners = []
    assert [target for target, reason in reasons if reason == "matches"] == winners
    assert all(reason for _, reason in reasons)


SAMPLE = build(
    [
        (method, parse_template(template))
        for method in ("GET", "*")
        for template in ("/v1/{a}/x", "/v1/{n=a/**}/{b}:v", "/{n=**}:w", "/v1/{n=**}", "/a/b")
    ]
)


@given(st.text(), st.text() | st.text("/:%.av2Fé\0\udcff").map("/v1/".__add__))
def test_no_request_does_worse_than_a_status_error(http_method: str, path: str) -> None:
    for ask in (
        lambda: SAMPLE.match(http_method, path),
        lambda: SAMPLE.allowed_methods(path),
        lambda: SAMPLE.explain(http_method, path),
    ):
        refused: StatusError | None = None
        try:
            ask()
        except StatusError as error:
            refused = error
        if refused is not None:
            assert refused.http_status in (400, 404, 405)
            assert refused.message.isprintable()


@pytest.mark.parametrize("path", ["/v1" + "/a" * 4000, "/" + "%41/" * 2000 + "x:v"])
def test_a_long_path_is_answered_at_once(path: str) -> None:
    routes: list[Route] = [
        ("GET", parse_template("/" + "/".join(["**", *["*"] * i, "end"]))) for i in range(200)
    ]
    with pytest.raises(StatusError):
        build(routes).match("GET", path)
