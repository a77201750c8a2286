"""Settings of splits: the upstreams among which the calls of some methods are divided."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from gateway.config.grammar import is_token
from gateway.config.hashing import HashSources
from gateway.config.sections import Network, Section, Selector, Words
from gateway.config.selectors import covers, matches
from gateway.config.targets import Labels, TargetOptions
from gateway.config.upstreams import Upstream

UpstreamName = Annotated[str, Words("the name of an upstream", "library-canary")]
_Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"),
    Words("a name of letters, digits, and . _ -", "canary"),
]


NO_SERVICE: Final = "-"
"""The selector of an upstream that no service belongs to by itself: none has such a name."""


class SplitMatch(Section):
    """A condition on a request: a header, a cookie, a caller or an address that it must have."""

    header: str = ""
    """The name of a header; clients choose its value."""
    cookie: str = ""
    """The name of a cookie, in place of a header."""
    principal: bool = False
    """Compare the name of the caller, in place of a header; anonymous callers have none."""
    claim: str = ""
    """The name of a claim of the caller's credential, in place of a header."""
    scope: str = ""
    """A scope of the caller's credential, in place of a header; it has no value."""
    network: Network | None = None
    """The address or network of the client, in place of a header; it has no value."""
    value: str | None = None
    """Its whole value; with neither `value` nor `prefix`, it is enough that it is there."""
    prefix: str | None = None
    """The start of its value."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if len(self._parts) != 1:
            raise ValueError(
                "expected one of header, cookie, principal, claim, scope or network, such as "
                "header: x-canary"
            )
        if not is_token(self.header or self.cookie or "-"):
            raise ValueError("expected the name of a header or a cookie, such as header: x-canary")
        if self.value is not None and self.prefix is not None:
            raise ValueError("prefix: expected either value or prefix, not both")
        if self.has_no_value and (self.value is not None or self.prefix is not None):
            raise ValueError(f"{self._parts[0]}: has neither value nor prefix; remove it")
        return self

    @property
    def has_no_value(self) -> bool:
        """True if it is about a scope or a network, which clients cannot choose."""
        return bool(self.scope or self.network)

    @property
    def _parts(self) -> list[str]:
        kinds = ("header", "cookie", "principal", "claim", "scope", "network")
        return [kind for kind in kinds if getattr(self, kind)]

    def __str__(self) -> str:
        (kind,) = self._parts
        part = kind if self.principal else f"{kind} {getattr(self, kind)}"
        if self.value is not None:
            return f"{part} is {self.value!r}"
        return part if self.prefix is None else f"{part} begins with {self.prefix!r}"


class LabelsFallback(StrEnum):
    """Outcomes of calls that no endpoint with the labels can take."""

    FAIL = "fail"
    ANY = "any"


class SplitTarget(Section):
    """One upstream of a split, and its share of the calls."""

    upstream: UpstreamName
    """The name of the upstream."""
    labels: Labels = Field(default={}, max_length=16)
    """Only those of its `targets` that have all of these labels; empty for all."""
    labels_fallback: LabelsFallback = LabelsFallback.FAIL
    """The fate of calls that could not be sent to any of these: fail, or any for other
    endpoints of the upstream. With any, it is also no error that none has the labels."""
    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """Its share, in proportion to the weights of the others; 0 for none."""

    @property
    def labels_text(self) -> str:
        """The labels as one text."""
        return ",".join(f"{name}={value}" for name, value in sorted(self.labels.items()))

    @property
    def name(self) -> str:
        """The name under which its calls are counted and logged: `library[version=canary]`."""
        return f"{self.upstream}[{self.labels_text}]" if self.labels else self.upstream

    def among(self, upstream: Upstream) -> Sequence[TargetOptions]:
        """The targets of `upstream` that have all its labels."""
        wanted = self.labels.items()
        return [one for one in upstream.targets if wanted <= one.labels.items()]


class ForMethods(Section):
    """A rule for the calls of some methods."""

    selector: Selector = "*"
    """Its methods: a full name, `package.*`, `package.Service.*`, or `*`."""

    def takes(self, method_full_name: str) -> bool:
        """True if it selects the method of this full name."""
        return matches(self.selector, method_full_name)


class SplitCookie(Section):
    """A cookie with a random value, by which a browser stays with one upstream."""

    name: str = "gateway-split"
    """Its name."""
    max_age_s: Annotated[int, Field(ge=1, le=34_560_000)] = 2_592_000
    """Seconds for which a browser keeps it; 400 days at most (RFC 6265bis section 5.5)."""
    secure: bool = True
    """Send it over HTTPS only; false for sites without TLS."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not is_token(self.name):
            raise ValueError("name: expected the name of a cookie, such as gateway-split")
        return self


class Split(ForMethods):
    """The upstreams among which the calls of some methods are divided."""

    name: _Name
    """Its name; it decides, with the key of a call, the upstream of a sticky call."""
    match: Annotated[tuple[SplitMatch, ...], Field(max_length=20)] = ()
    """Only requests for which all of these are true; of several splits, the first that fits
    decides."""
    to: Annotated[tuple[SplitTarget, ...], Field(min_length=1, max_length=100)]
    """The upstreams."""
    sticky: HashSources = ()
    """The part of a call that decides its upstream, so that a caller stays with one: one part or a
    list, as `upstreams.<name>.hash`; unset, each call is decided by chance."""
    cookie: SplitCookie | None = None
    """A cookie that the gateway sets where it is not there, in place of `sticky`; `{}` for the
    defaults, unset for none."""

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if not any(one.weight for one in self.to):
            raise ValueError("to: expected at least one weight greater than 0")
        if self.cookie is not None and self.sticky:
            raise ValueError("cookie: expected either cookie or sticky, not both")
        names = [one.name for one in self.to]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"to[{number}].upstream: {name} is there twice")
        return self

    def __str__(self) -> str:
        total = sum(one.weight for one in self.to)
        shares = [f"{one.name} {100 * one.weight / total:.4g} %" for one in self.to]
        conditions = " and ".join(map(str, self.match))
        parts = [f"{one.by} {one.name}".rstrip() for one in self.sticky]
        if self.cookie is not None:
            parts = [f"its own cookie {self.cookie.name}"]
        kept = f", by {' and '.join(parts)}" if parts else ""
        return f"{', '.join(shares)}  (split {self.name}{kept})" + (
            f", if {conditions}" if conditions else ""
        )


def check_upstream(where: str, name: str, upstreams: Collection[str]) -> None:
    """Refuses the name of an upstream that is not there; `where` is the setting that has it.

    Raises:
        ValueError: it is not one of `upstreams`.
    """
    if name not in upstreams:
        known = ", ".join(upstreams) or "none"
        raise ValueError(f"{where}: there is no upstream {name}; available: {known}")


def check_splits(splits: Sequence[Split], upstreams: Mapping[str, Upstream]) -> None:
    """Refuses splits that name upstreams or labels that are not there, or that no call would reach.

    Raises:
        ValueError: there is one; the text says where.
    """
    kinds: dict[str, LabelsFallback] = {}
    for number, split in enumerate(splits):
        for place, one in enumerate(split.to):
            check_upstream(f"splits[{number}].to[{place}].upstream", one.upstream, upstreams)
            fails = one.labels_fallback is LabelsFallback.FAIL
            if not one.labels and not fails:
                raise ValueError(
                    f"splits[{number}].to[{place}].labels_fallback: has no effect without labels"
                )
            if kinds.setdefault(one.name, one.labels_fallback) is not one.labels_fallback:
                raise ValueError(
                    f"splits[{number}].to[{place}].labels_fallback: expected the same in all "
                    f"splits for {one.name}"
                )
            if one.labels and fails and not one.among(upstreams[one.upstream]):
                raise ValueError(
                    f"splits[{number}].to[{place}].labels: expected labels of one of "
                    f"upstreams.{one.upstream}.targets; none has {one.labels_text}"
                )
        for earlier in splits[:number]:
            if earlier.name == split.name:
                raise ValueError(f"splits[{number}].name: {split.name} is there twice")
            if not earlier.match and covers(earlier.selector, split.selector):
                raise ValueError(
                    f"splits[{number}]: no call gets here, because {earlier.name} takes all of "
                    "its calls: put the one without match last"
                )


def with_subsets(
    upstreams: Mapping[str, Upstream], splits: Sequence[Split]
) -> Mapping[str, Upstream]:
    """Returns the upstreams, and as one more each part of them that splits choose by labels."""
    found = dict(upstreams)
    for one in [arm for split in splits for arm in split.to if arm.labels]:
        whole, targets = upstreams[one.upstream], one.among(upstreams[one.upstream])
        changes: dict[str, object] = {"services": (NO_SERVICE,)}
        if targets:
            changes["targets"] = tuple(targets)
            if one.labels_fallback is LabelsFallback.ANY:
                changes["fallback"] = one.upstream
        found[one.name] = whole.model_copy(update=changes)
    return found
