"""Serves all sample back ends: `python -m services [--library HOST:PORT] [--echo HOST:PORT]`."""

import sys

from services import echo, library, serving

if __name__ == "__main__":
    sys.exit(serving.main({"library": library.register, "echo": echo.register}))
