"""Options of routing: rules that cannot be served, and rules in conflict."""

from enum import StrEnum

from gateway.config.sections import Section


class OnConflict(StrEnum):
    """The treatment of two methods that claim one route."""

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"


class OnError(StrEnum):
    """The treatment of an HTTP rule that cannot be served."""

    REFUSE = "refuse"
    SKIP = "skip"


class EscapedSlashes(StrEnum):
    """The meaning of `%2F` in a path."""

    KEEP = "keep"
    SPLIT = "split"


class KeepEscaped(StrEnum):
    """The escapes that stay as they are in a variable of several segments."""

    SLASH = "slash"
    RESERVED = "reserved"
    NONE = "none"


class Verbs(StrEnum):
    """The meaning of a colon in the last segment of a path."""

    FALLBACK = "fallback"
    REGISTERED = "registered"
    ALL = "all"


class TrailingSlashes(StrEnum):
    """The meaning of slashes at the end of a path."""

    KEEP = "keep"
    IGNORE = "ignore"


class AfterDeep(StrEnum):
    """The segments that a template may have after `**`."""

    ANY = "any"
    LITERALS = "literals"


class WrongMethod(StrEnum):
    """The answer to an HTTP method that a path does not serve."""

    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    NOT_IMPLEMENTED = "not_implemented"


class RoutingOptions(Section):
    """Options for building routes from HTTP rules."""

    on_conflict: OnConflict = OnConflict.REFUSE
    """Two methods on one route: refuse to start, or serve the first or the last and warn."""
    on_error: OnError = OnError.REFUSE
    """A rule that cannot be served: refuse to start, or skip this rule and warn."""
    prefer: tuple[str, ...] = ()
    """Selectors of methods that win over others on the same paths; earlier ones come first."""
    exclude: tuple[str, ...] = ()
    """Selectors of methods that get no routes."""
    unannotated: bool = False
    """Give methods without an HTTP rule the route `POST /package.Service/Method`."""
    escaped_slashes: EscapedSlashes = EscapedSlashes.KEEP
    """%2F in a path: keep it as data of its segment (RFC 3986, section 2.2), or split there, as
    clients need that escape the slashes of `{name=shelves/*}`."""
    keep_escaped: KeepEscaped = KeepEscaped.SLASH
    """The characters that stay escaped in a variable of several segments, such as
    `{name=shelves/*}`: `%2F` (http.proto), all that RFC 3986 reserves (RFC 6570, section 3.2.3), or
    none."""
    verbs: Verbs = Verbs.FALLBACK
    """Text after the last colon of a path: a verb, or data if only that fits; always a verb if
    some rule has it; or always a verb."""
    trailing_slashes: TrailingSlashes = TrailingSlashes.KEEP
    """Slashes at the end of a path: keep, where `/v1/books/` has an empty segment and is not found,
    or ignore them. Rules of `filters` see the path as it was sent."""
    after_deep: AfterDeep = AfterDeep.ANY
    """The segments that a template may have after `**`: any, or literals only. http.proto has no
    segments there at all, and other gateways refuse wildcards."""
    wrong_method: WrongMethod = WrongMethod.NOT_ALLOWED
    """An HTTP method that a path does not serve: 405 (RFC 9110, section 15.5.6), 404 or 501.
    The first and the last have `Allow`. OPTIONS is answered in any case."""
    allow_nul: bool = False
    """Accept %00 in paths."""

    @property
    def skips_errors(self) -> bool:
        """True if an HTTP rule that cannot be served is left out."""
        return self.on_error is OnError.SKIP
