"""Settings of interceptors of one's own."""

from typing import Annotated, Any

from pydantic import Field

from gateway.config.sections import Section, Selector, Words


class InterceptorOptions(Section):
    """An interceptor of one's own."""

    use: Annotated[
        str,
        Field(pattern=r"^[^\s:]+(:[^\s:]+)?$"),
        Words("package.module:Class, or the name of an entry point", "my_package.audit:Audit"),
    ]
    """`package.module:Class`, or the name of an entry point in the group `gateway.interceptors`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the class is made with, by keyword."""
    selector: Selector = "*"
    """The methods it stands before: a full name, `package.*`, `package.Service.*`, or `*`."""
