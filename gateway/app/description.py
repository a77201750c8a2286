"""Composes the endpoints that describe the API: the OpenAPI document and its page."""

from collections.abc import Callable
from typing import Final

from google.protobuf.empty_pb2 import Empty

from gateway.app.credentials import Credentials
from gateway.call import Call, Certificate
from gateway.endpoints.docs.document import (
    Known,
    Readers,
    Rights,
    Selection,
    document_endpoints,
)
from gateway.endpoints.docs.page import About, page_endpoints
from gateway.http.client_certificate import certificates_of
from gateway.http.forwarded import Forwarding
from gateway.http.messages import Endpoints, Request
from gateway.interceptors.authenticate import Authenticate
from gateway.openapi.document import VERSIONS, build_document, select, title_of, with_version
from gateway.openapi.listing import list_operations
from gateway.openapi.visibility import Visibility
from gateway.policy.effective import Policies
from gateway.schema.catalog import Method, Schema, Source
from gateway.transcoding.transcoder import Config, Transcoder

_READING: Final = Method(
    *("gateway", "OpenApi", Empty.DESCRIPTOR, Empty.DESCRIPTOR),
    client_streaming=False,
    server_streaming=False,
    rules=(),
    source=Source("gateway"),
)
"""The name under which the audit trail has failed logins of those who read the document."""


def description_endpoints(  # noqa: PLR0917 - the parts of a site
    config: Config,
    schema: Schema,
    transcoder: Transcoder,
    policies: Policies,
    auth: Credentials,
    forwarding: Forwarding,
) -> Endpoints:
    """The endpoints of the document, and of the page if the settings ask for it.

    Raises:
        DocsError: the page is asked for, and its files are not installed.
    """
    bindings = Visibility(config.openapi.visibility).shown(transcoder.bindings)
    is_filtered = config.openapi.filter and not auth.is_open

    def is_shown(method: Method, rights: Rights) -> bool:
        anonymous = auth.admits_anonymous
        return not is_filtered or policies[method].admits(rights, anonymous=anonymous)

    def build(rights: Rights, selection: Selection) -> dict[str, object] | None:
        selected = select(bindings, selection.service, selection.package)
        shown = [one for one in selected if is_shown(one.method, rights)]
        if selection.is_part and not shown:
            return None
        return build_document(with_version(config, selection.version), schema, shown, policies)

    level = config.compression.level if config.compression.enabled else 0
    certificate_of = certificates_of(config.auth, forwarding)
    readers = _readers(auth, policies, certificate_of) if is_filtered else None
    services = dict.fromkeys(one.method.service for one in bindings)
    packages = {service.rpartition(".")[0] for service in services}
    known = Known(VERSIONS, services, packages)
    found = dict(document_endpoints(config.openapi.path, build, level, known, readers))
    if config.docs.enabled:
        # The page is for everyone, and its title names packages.
        public = [one for one in bindings if is_shown(one.method, None)]
        name = title_of(config.openapi, schema, [one.method for one in public])
        issuers = [one.issuer for one in config.auth.jwt.issuers if one.is_discovered]
        about = About(name, lambda: list_operations(schema, public), issuers)
        found |= page_endpoints(config.docs, config.openapi, about, level)
    return found


def _readers(
    auth: Credentials,
    policies: Policies,
    certificate_of: Callable[[Request], Certificate | None] | None,
) -> Readers:
    """The callers that read the document, known by the credentials with which they would call."""
    asked: set[str] = set()
    for policy in policies.values():
        asked |= policy.scopes_all | policy.scopes_any
    authenticate = Authenticate(auth.authenticators, auth.audit)

    async def rights_of(request: Request) -> Rights:
        certificate = None if certificate_of is None else certificate_of(request)
        call = Call(_READING, headers=request.headers, peer=request.client, certificate=certificate)
        principal = request.principal = await authenticate.identify(call)
        return None if principal is None else principal.scopes & asked

    names = {challenge.header for challenge in auth.challenges} - {""}
    return Readers(rights_of, sorted({"Authorization", *names}))
