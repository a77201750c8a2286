"""The base class and common types of the configuration's sections."""

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Words:
    """Describes a setting's value if its type is not enough; used in `Annotated`."""

    expected: str
    """The text after "expected"."""
    example: str
    """A valid value, written in YAML."""


def fits(pattern: str, expected: str) -> AfterValidator:
    """Returns the check that a whole text matches a pattern, of which `expected` tells people."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


Selector = Annotated[
    str, Words("the full name of a method, a prefix with .*, or *", "library.v1.LibraryService.*")
]
ServiceName = Annotated[str, Words("the name of a service, or package.*", "library.v1.*")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]


def _network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            "expected an address, or a network such as 10.0.0.0/8 or 2001:db8::/32"
        ) from None
    return text


Network = Annotated[str, AfterValidator(_network), Words("an IP address or network", "10.0.0.0/8")]


_defined: list["type[Section]"] = []


class Section(BaseModel):
    """A part of the configuration: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Keeps the class, for `sections`."""
        _defined.append(cls)


def sections() -> list[type[Section]]:
    """Returns the sections in the order of their definitions."""
    return _defined


class LayeredRule(Section):
    """A rule for some methods that several places state, later ones stronger."""

    def with_later(self, later: Self) -> Self:
        """Returns this rule with the keys that a later rule states."""
        stated = {name: getattr(later, name) for name in later.model_fields_set}
        return self.model_copy(update=stated)
