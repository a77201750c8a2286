"""Google's own Python clients, untouched, over REST: run by the Python that has them installed.

Usage: calls.py FOLDER. It writes the descriptors of the services to FOLDER/google.binpb and rules
for operations to FOLDER/operations.yaml, serves the services on loopback, and prints the port. Then
it reads the address of a gateway, makes each call through it, and prints a line for each: its name,
a tab, and `ok` or the error.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.api import annotations_pb2
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore_admin_v1, kms_v1
from google.cloud.firestore_admin_v1.services.firestore_admin import transports as admin
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore import transports as firestore
from google.cloud.kms_v1.services.key_management_service import transports as kms
from google.longrunning import operations_pb2
from google.protobuf import descriptor_pb2, json_format

TRANSPORTS = {
    "Firestore": (firestore, "google.firestore.v1"),
    "FirestoreAdmin": (admin, "google.firestore.admin.v1"),
    "KeyManagementService": (kms, "google.cloud.kms.v1"),
}
BASE = "projects/p/databases/(default)/documents"
DATABASE = "projects/p/databases/main"
INDEXES = f"{DATABASE}/collectionGroups/books"
OPERATION = f"{DATABASE}/operations/1"
RING = "projects/p/locations/eu/keyRings/r"
KEY = f"{RING}/cryptoKeys/k"


class Listening(grpc.Channel):
    """A channel that only notes the methods of a client, with their types."""

    def __init__(self) -> None:
        self.methods: dict[str, tuple[Any, Any, bool, bool]] = {}

    def _note(self, streams: tuple[bool, bool], path: str, request: Any, reply: Any) -> Any:
        # The methods of mixins, such as that of operations, are not of the service.
        if reply is not None and "google.longrunning" not in path:
            request = getattr(request, "__self__", None) or _class_of(request)
            self.methods[path] = (_plain(request), _plain(reply.__self__), *streams)
        return lambda *_, **__: None

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: Any = None,
    ) -> Any:
        return self._note((False, False), method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: Any = None,
    ) -> Any:
        return self._note((False, True), method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: Any = None,
    ) -> Any:
        return self._note((True, False), method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: Any = None,
    ) -> Any:
        return self._note((True, True), method, request_serializer, response_deserializer)

    def subscribe(self, *_: Any, **__: Any) -> None:
        """Does nothing."""

    def unsubscribe(self, *_: Any) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def _class_of(serializer: Any) -> Any:
    """The class of an unbound SerializeToString."""
    return serializer.__objclass__


def _plain(kind: Any) -> Any:
    """The protobuf class of a message of Google's clients."""
    return kind.pb() if hasattr(kind, "pb") else kind


def methods_of(service: str) -> dict[str, tuple[Any, Any, bool, bool]]:
    """The methods of a service by path, as its client calls them."""
    channel = Listening()
    module, _ = TRANSPORTS[service]
    kind = getattr(module, f"{service}GrpcTransport")
    transport = kind(channel=channel)
    # Note the stubs of methods with one message too: the interceptor would wait for their calls.
    transport._stubs.clear()
    transport._logged_channel = channel
    for name in dir(kind):
        if isinstance(getattr(kind, name), property):
            getattr(transport, name)
    return {path: found for path, found in channel.methods.items() if f".{service}/" in path}


def rules_of(service: str) -> dict[str, list[dict[str, str]]]:
    """The HTTP rules of a service's methods, which its REST client has."""
    module, _ = TRANSPORTS[service]
    rest = sys.modules[f"{module.__name__}.rest_base"]
    base = getattr(rest, f"_Base{service}RestTransport")
    rules: dict[str, list[dict[str, str]]] = {}
    for name, inner in vars(base).items():
        if hasattr(inner, "_get_http_options"):
            rules[name.removeprefix("_Base")] = inner._get_http_options()
    return rules


def describe(folder: Path) -> None:
    """Writes the descriptors of all services with their rules."""
    files = descriptor_pb2.FileDescriptorSet()
    known: set[str] = set()

    def add(file: Any) -> None:
        if file.name not in known:
            known.add(file.name)
            for needed in file.dependencies:
                add(needed)
            file.CopyToProto(files.file.add())

    add(annotations_pb2.DESCRIPTOR)
    add(operations_pb2.DESCRIPTOR)
    for service, (_, package) in TRANSPORTS.items():
        made = descriptor_pb2.FileDescriptorProto(
            name=f"{service}.proto", package=package, syntax="proto3"
        )
        described = made.service.add(name=service)
        needed = {annotations_pb2.DESCRIPTOR.name}
        rules = rules_of(service)
        for path, (request, reply, up, down) in methods_of(service).items():
            method = described.method.add(
                name=path.rpartition("/")[2],
                input_type=f".{request.DESCRIPTOR.full_name}",
                output_type=f".{reply.DESCRIPTOR.full_name}",
                client_streaming=up,
                server_streaming=down,
            )
            rule = method.options.Extensions[annotations_pb2.http]
            for number, option in enumerate(rules.get(method.name, [])):
                one = rule if not number else rule.additional_bindings.add()
                setattr(one, option["method"], option["uri"])
                one.body = option.get("body", "")
            for kind in (request, reply):
                add(kind.DESCRIPTOR.file)
                needed.add(kind.DESCRIPTOR.file.name)
        made.dependency.extend(sorted(needed))
        files.file.append(made)
    (folder / "google.binpb").write_bytes(files.SerializeToString())
    (folder / "operations.yaml").write_text(
        "type: google.api.Service\nhttp: {rules: [{selector: "
        "google.longrunning.Operations.GetOperation, "
        "get: '/v1/{name=projects/*/databases/*/operations/*}'}]}\n"
    )


DOCUMENT = {"name": f"{BASE}/books/a", "fields": {"title": {"stringValue": "x"}}}
REPLIES: dict[str, list[dict[str, Any]]] = {
    "GetDocument": [DOCUMENT],
    "ListDocuments": [{"documents": [DOCUMENT], "nextPageToken": "2"}, {"documents": [DOCUMENT]}],
    "CreateDocument": [DOCUMENT],
    "BatchGetDocuments": [{"found": DOCUMENT}, {"missing": "b"}],
    "BeginTransaction": [{"transaction": "AAE="}],
    "Commit": [{"writeResults": [{}]}],
    "RunQuery": [{"document": DOCUMENT}, {"document": DOCUMENT}, {"skippedResults": 1}],
    "RunAggregationQuery": [{"result": {"aggregateFields": {"n": {"integerValue": "7"}}}}],
    "ListCollectionIds": [{"collectionIds": ["books"]}],
    "BatchWrite": [{"writeResults": [{}, {}]}],
    "ListIndexes": [{"indexes": [{"name": f"{INDEXES}/indexes/1", "queryScope": "COLLECTION"}]}],
    "GetDatabase": [{"name": DATABASE, "type": "FIRESTORE_NATIVE"}],
    "CreateIndex": [{"name": OPERATION}],
    "GetOperation": [
        {
            "name": OPERATION,
            "done": True,
            "response": {
                "@type": "type.googleapis.com/google.firestore.admin.v1.Index",
                "name": "made",
            },
        }
    ],
    "CreateKeyRing": [{"name": RING}],
    "GetCryptoKey": [{"name": KEY, "purpose": "ENCRYPT_DECRYPT"}],
    "ListCryptoKeys": [{"cryptoKeys": [{"name": KEY}], "totalSize": 1}],
    "Encrypt": [{"ciphertext": "AQI=", "ciphertextCrc32c": "5"}],
}
SEEN: dict[str, Any] = {}


def serve() -> tuple[grpc.Server, int]:
    """Starts the back end; it keeps the last request of each method, and answers as `REPLIES`."""

    def handler(path: str, request: Any, reply: Any, *, down: bool) -> Any:
        name = path.rpartition("/")[2]

        def answers(message: Any) -> Iterator[Any]:
            SEEN[name] = message
            for document in REPLIES.get(name, [{}]):
                yield json_format.ParseDict(document, reply())

        def stream(message: Any, _: grpc.ServicerContext) -> Iterator[Any]:
            return answers(message)

        def one(message: Any, context: grpc.ServicerContext) -> Any:
            if name == "DeleteDocument" and message.name.endswith("/absent"):
                context.abort(grpc.StatusCode.NOT_FOUND, "no such document")
            found = list(answers(message))
            return found[-1] if getattr(message, "page_token", "") else found[0]

        if down:
            return grpc.unary_stream_rpc_method_handler(
                stream, request.FromString, reply.SerializeToString
            )
        return grpc.unary_unary_rpc_method_handler(one, request.FromString, reply.SerializeToString)

    methods = {p: found for s in TRANSPORTS for p, found in methods_of(s).items()}
    get = operations_pb2.GetOperationRequest, operations_pb2.Operation, False, False
    methods["/google.longrunning.Operations/GetOperation"] = get
    handlers = {
        path: handler(path, request, reply, down=down)
        for path, (request, reply, up, down) in methods.items()
        if not up
    }

    class Services(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            return handlers.get(details.method)

    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Services(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def calls(address: str) -> dict[str, Callable[[], bool]]:
    """Each call through the gateway, with a check of what comes back or has arrived."""
    options = {
        "host": address,
        "url_scheme": "http",
        "credentials": AnonymousCredentials(),
    }
    docs = FirestoreClient(transport=firestore.FirestoreRestTransport(**options))
    data = firestore_admin_v1.FirestoreAdminClient(
        transport=admin.FirestoreAdminRestTransport(**options)
    )
    keys = kms_v1.KeyManagementServiceClient(
        transport=kms.KeyManagementServiceRestTransport(**options)
    )
    book = f"{BASE}/books/a"
    document = {"name": book, "fields": {"title": {"string_value": "x"}}}
    query = {"parent": BASE, "structured_query": {"from_": [{"collection_id": "books"}]}}
    count = {"aggregations": [{"count": {}, "alias": "n"}]}

    def seen(name: str, call: Callable[[], Any], check: Callable[[Any], bool]) -> bool:
        call()
        return check(SEEN[name])

    def absent() -> bool:
        try:
            docs.delete_document(name=f"{BASE}/books/absent")
        except exceptions.NotFound as error:
            return error.message.endswith("no such document")
        return False

    return {
        "get": lambda: docs.get_document({"name": book}).fields["title"].string_value == "x",
        "list, in pages": lambda: (
            len(list(docs.list_documents({"parent": BASE, "collection_id": "books"}))) == 2
        ),
        "create": lambda: (
            docs.create_document(
                {
                    "parent": f"{BASE}/shelves/s",
                    "collection_id": "books",
                    "document_id": "a",
                    "document": {},
                }
            ).name
            == book
        ),
        "update with a mask": lambda: seen(
            "UpdateDocument",
            lambda: docs.update_document(
                {"document": document, "update_mask": {"field_paths": ["title"]}}
            ),
            lambda got: list(got.update_mask.field_paths) == ["title"],
        ),
        "delete": lambda: seen(
            "DeleteDocument", lambda: docs.delete_document(name=book), lambda got: got.name == book
        ),
        "an error": absent,
        "get many, a stream": lambda: (
            len(list(docs.batch_get_documents({"database": DATABASE, "documents": [book]}))) == 2
        ),
        "begin": lambda: docs.begin_transaction(database=DATABASE).transaction == b"\0\1",
        "commit": lambda: (
            len(docs.commit(database=DATABASE, writes=[{"update": document}]).write_results) == 1
        ),
        "roll back": lambda: seen(
            "Rollback",
            lambda: docs.rollback(database=DATABASE, transaction=b"\0\1"),
            lambda got: got.transaction == b"\0\1",
        ),
        "query, a stream": lambda: len(list(docs.run_query(query))) == 3,
        "count, a stream": lambda: (
            next(
                iter(
                    docs.run_aggregation_query(
                        {
                            "parent": BASE,
                            "structured_aggregation_query": {
                                "structured_query": query["structured_query"],
                                **count,
                            },
                        }
                    )
                )
            )
            .result.aggregate_fields["n"]
            .integer_value
            == 7
        ),
        "list collections": lambda: list(docs.list_collection_ids(parent=BASE)) == ["books"],
        "write many": lambda: (
            len(docs.batch_write({"database": DATABASE, "writes": []}).write_results) == 2
        ),
        "list indexes": lambda: (
            next(iter(data.list_indexes(parent=INDEXES))).query_scope.name == "COLLECTION"
        ),
        "get a database": lambda: data.get_database(name=DATABASE).type_.name == "FIRESTORE_NATIVE",
        "update a database": lambda: seen(
            "UpdateDatabase",
            lambda: data.update_database(
                database={"name": DATABASE, "location_id": "eu"},
                update_mask={"paths": ["location_id"]},
            ),
            lambda got: list(got.update_mask.paths) == ["location_id"],
        ),
        "an operation": lambda: (
            data.create_index(parent=INDEXES, index={}).result(timeout=10).name == "made"
        ),
        "create a key ring": lambda: seen(
            "CreateKeyRing",
            lambda: keys.create_key_ring(
                parent="projects/p/locations/eu", key_ring_id="r", key_ring={}
            ),
            lambda got: got.key_ring_id == "r",
        ),
        "get a key": lambda: keys.get_crypto_key(name=KEY).purpose.name == "ENCRYPT_DECRYPT",
        "list keys": lambda: [key.name for key in keys.list_crypto_keys(parent=RING)] == [KEY],
        "encrypt": lambda: keys.encrypt(name=KEY, plaintext=b"\0\xff").ciphertext == b"\1\2",
    }


def main() -> None:
    """Runs the whole exchange with the test."""
    describe(Path(sys.argv[1]))
    server, port = serve()
    print(port, flush=True)
    for name, call in calls(sys.stdin.readline().strip()).items():
        try:
            said = "ok" if call() else f"another reply or request than expected: {SEEN}"
        except Exception as error:  # noqa: BLE001 - each failure is a result
            said = repr(error)
        print(f"{name}\t{' '.join(said.split())}", flush=True)
    server.stop(None)


if __name__ == "__main__":
    main()
