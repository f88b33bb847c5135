"""The fixtures of the fault server, for the cases that need a language model."""

from tests.server.support import book, connect, environment

__all__ = ["book", "connect", "environment"]
