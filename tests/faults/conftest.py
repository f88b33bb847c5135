"""The fixtures of the fault server, for all tests of this folder."""

from tests.server.support import book, connect, environment

__all__ = ["book", "connect", "environment"]
