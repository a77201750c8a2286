"""How the gateway names itself to back ends."""

from importlib.metadata import PackageNotFoundError, version

try:
    USER_AGENT = f"grpc-rest-gateway/{version('grpc-rest-gateway')}"
except PackageNotFoundError:  # run from a bare source tree
    USER_AGENT = "grpc-rest-gateway"
