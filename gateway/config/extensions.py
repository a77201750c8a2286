"""Settings of custom interceptors."""

from typing import Annotated, Any

from pydantic import Field

from gateway.config.sections import Section, Selector, Words


class InterceptorOptions(Section):
    """A custom interceptor."""

    use: Annotated[
        str,
        Field(pattern=r"^[^\s:]+(:[^\s:]+)?$"),
        Words("package.module:Class, or the name of an entry point", "my_package.audit:Audit"),
    ]
    """`package.module:Class`, or the name of an entry point in the group `gateway.interceptors`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments for the class."""
    selector: Selector = "*"
    """The methods it applies to: a full name, `package.*`, `package.Service.*`, or `*`."""
