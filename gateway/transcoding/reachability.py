"""Finds bindings that no request reaches, because others serve all their paths.

For one number of segments, a template covers all paths of another if it covers the path in which
each wildcard segment is a word that occurs in no template: a literal cannot match that word, so a
template that matches has a wildcard there and matches every other word as well. It is therefore
enough to route one such path for each number of segments that a `**` can match. Beyond the length
of the longest template, one more segment changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from gateway.status import StatusError
from gateway.transcoding.binding import Binding, Diagnostic, Severity, summary
from gateway.transcoding.routing.router import ANY_METHOD, Router
from gateway.transcoding.routing.template import DeepWildcard, Literal, Template

_NAMED = 3
"""The limit of bindings named in one message."""


def never_reached(router: Router[Binding]) -> Mapping[Binding, Diagnostic]:
    """Returns each binding of `router` that no request reaches, with a warning that says why."""
    templates = [binding.template for binding in router.targets]
    word = _new_word(
        segment.text for t in templates for segment in t.segments if isinstance(segment, Literal)
    )
    longest = max([len(template.segments) for template in templates], default=0)
    # A binding for any HTTP method is reached by a method that no other binding has; or, if another
    # one is preferred for those, by a method whose own binding keeps the preferred one away.
    own = {binding.http_method: None for binding in router.targets if _has_own_method(binding)}
    methods = (_new_word(own), *own)
    found: dict[Binding, Diagnostic] = {}
    for binding in router.targets:
        tried = (binding.http_method,) if _has_own_method(binding) else methods
        paths = sample_paths(binding.template, word, longest + 1)
        reason = _why_not(router, binding, tried, paths)
        if reason:
            found[binding] = _warning(binding, reason)
    return found


def sample_paths(template: Template, word: str, most: int) -> Iterator[str]:
    """Yields paths of `template` with `word` for wildcards: up to `most` of it for a `**`."""
    verb = f":{Literal(template.verb)}" if template.verb else ""
    for many in range(1 if template.deep_at is None else most + 1):
        parts: list[str] = []
        for segment in template.segments:
            if isinstance(segment, Literal):
                parts.append(str(segment))
            else:
                parts += [word] * (many if isinstance(segment, DeepWildcard) else 1)
        yield f"/{'/'.join(parts)}{verb}"


def _has_own_method(binding: Binding) -> bool:
    return binding.http_method != ANY_METHOD


def _why_not(
    router: Router[Binding], binding: Binding, http_methods: Iterable[str], paths: Iterable[str]
) -> str:
    """The reason why no request for one of `paths` reaches `binding`; empty if one does."""
    takers: dict[Binding, None] = {}
    for path, http_method in product(paths, http_methods):
        try:
            found = router.match(http_method, path).target
        except StatusError as error:
            return error.message  # a template can contain text that no path can
        if found is binding:
            return ""
        takers[found] = None
    named = [summary(taker) for taker in takers][:_NAMED]
    return f"all its paths go to {' or '.join(named)}; see routing.prefer"


def _warning(binding: Binding, reason: str) -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        f"no request reaches it: {reason}",
        binding.rule.source,
        binding.method.full_name,
        binding.http_method,
        binding.rule.template,
    )


def _new_word(words: Iterable[str]) -> str:
    """A word that is not among `words`."""
    taken = set(words)
    number = 0
    while f"x{number}" in taken:
        number += 1
    return f"x{number}"
