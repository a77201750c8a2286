"""Settings of the API's description for its users: the OpenAPI document and the page with it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.config.sections import Section, Words, fits

UrlPath = Annotated[
    str,
    fits(
        r"(?:/[A-Za-z0-9\-_~]+(?:\.[A-Za-z0-9\-_~]+)*)+",
        "a path such as /docs, without a slash at its end",
    ),
    Words("a path", "/docs"),
]
ServerUrl = Annotated[
    str,
    fits(
        r"(?:https?://[^\s?#{}]+|/[^\s?#{}]*)",
        "a URL such as https://api.example.com, or a path such as /api",
    ),
    Words("a URL", "https://api.example.com"),
]
WebUrl = Annotated[
    str,
    fits(r"https?://[^\s/]\S*", "a URL such as https://example.com/terms"),
    Words("a URL", "https://example.com/terms"),
]


class OpenApiVersion(StrEnum):
    """A version of the OpenAPI Specification."""

    V3_1 = "3.1"
    V3_2 = "3.2"


class OneofForm(StrEnum):
    """The form of a oneof in the schemas of requests."""

    DESCRIBED = "described"
    CONSTRAINED = "constrained"


class SchemaNames(StrEnum):
    """The names of the schemas of messages and enums."""

    FULL = "full"
    SHORT = "short"


class Contact(Section):
    """The people to ask about the API."""

    name: str | None = None
    """Their name."""
    url: WebUrl | None = None
    """Their page."""
    email: str | None = None
    """Their address for mail."""


class License(Section):
    """The license of the API."""

    name: str
    """Its name."""
    url: WebUrl | None = None
    """Its text."""


class ExternalDocs(Section):
    """More documentation of the API."""

    url: WebUrl
    """Its URL."""
    description: str = ""
    """A sentence about it."""


class OpenApiOptions(Section):
    """The OpenAPI document of the API."""

    enabled: bool = False
    """Serve the document, as JSON and as YAML, to every client that reaches the port."""
    filter: bool = False
    """Leave out the methods that the caller may not call, and the types that only they use."""
    path: UrlPath = "/openapi"
    """The path of the document without its ending: `.json` and `.yaml` are added."""
    version: OpenApiVersion = OpenApiVersion.V3_1
    """The version of the OpenAPI Specification: "3.1", or "3.2", which has words for streams."""
    names: SchemaNames = SchemaNames.FULL
    """The names of schemas: `full` as in the protos, such as library.v1.Book, or `short` without
    the package, such as Book, except for those that two packages have."""
    lenient_input: bool = False
    """State that requests may have integers of 64 bits as numbers too, and the numbers of enums,
    which is always so."""
    nullable: bool = False
    """State that members of requests that are not required may be null, which is always so."""
    strict_floats: bool = False
    """State that numbers with a fraction may be the texts NaN, Infinity and -Infinity too, of which
    some generators make types that are hard to use."""
    strict_times: bool = False
    """State the form in which replies have a `google.protobuf.Timestamp`: UTC, with 0, 3, 6 or 9
    digits of a second."""
    oneof: OneofForm = OneofForm.DESCRIBED
    """The oneofs of requests: `described` in a sentence, or `constrained` with `oneOf` too, of
    which some generators make types that are hard to use."""
    headers: bool = False
    """List `Grpc-Timeout` and `X-Request-Id`, which every call takes, with each operation, and
    `X-Request-Id` with each response of a call that succeeds."""
    title: str | None = None
    """The name of the API; unset for the names of its packages."""
    api_version: str | None = None
    """The version of the API; unset for the version in its packages, such as v1."""
    description: str = ""
    """A text about the whole API, in CommonMark."""
    servers: tuple[ServerUrl, ...] = ("/",)
    """The base URLs of the API for its users; `/` is the server that the document came from."""
    contact: Contact | None = None
    """The people to ask about the API: `name`, `url`, `email`."""
    license: License | None = None
    """The license of the API: `name` and, if it has one, `url`."""
    terms: WebUrl | None = None
    """The URL of the terms of service."""
    external_docs: ExternalDocs | None = None
    """More documentation: `url` and, if wanted, `description`."""
    scopes: dict[str, str] = Field(default_factory=dict)
    """The descriptions of scopes, by their names: users read them where they ask for a token."""
    visibility: tuple[str, ...] = ()
    """The labels of `google.api.visibility` whose methods, types, fields and values the document
    shows; those with other labels are served, but not described."""


class DocsOptions(Section):
    """The page on which users read about the API and try it: Swagger UI."""

    enabled: bool = False
    """Serve the page; needs `openapi.enabled`, and the extra `docs` or `docs.assets`."""
    path: UrlPath = "/docs"
    """The path of the page."""
    assets: Path | None = None
    """A folder with `swagger-ui-bundle.js` and `swagger-ui.css`, of Swagger UI 5; unset for those
    of the extra `docs`."""
