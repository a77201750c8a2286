"""The gateway's name in calls to back ends."""

from importlib.metadata import PackageNotFoundError, version

try:
    USER_AGENT = f"grpc-rest-gateway/{version('grpc-rest-gateway')}"
except PackageNotFoundError:  # the source tree is not installed
    USER_AGENT = "grpc-rest-gateway"
