"""The settings of a router: the reading of paths, and the answer to a wrong HTTP method."""

from typing import Final


class PathOptions:
    """The rules by which a router reads paths; the defaults are those of the settings."""

    def __init__(
        self,
        *,
        allow_nul: bool = False,
        splits_escaped: bool = False,
        trims_slashes: bool = False,
        keeps_verbs: bool = False,
        every_verb: bool = False,
        wrong_method_status: int = 405,
    ) -> None:
        self.allow_nul: Final = allow_nul
        """True if `%00` is accepted."""
        self.splits_escaped: Final = splits_escaped
        """True if `%2F` separates segments as a slash does."""
        self.trims_slashes: Final = trims_slashes
        """True if slashes at the end of a path have no meaning."""
        self.keeps_verbs: Final = keeps_verbs or every_verb
        """True if a verb that some route has is never data."""
        self.every_verb: Final = every_verb
        """True if text after the last colon is never data."""
        self.wrong_method_status: Final = wrong_method_status
        """The HTTP status where only the HTTP method of a request is wrong."""
