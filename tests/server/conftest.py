"""The fixtures of the fault server, for all tests of this folder."""

from tests.server.ledgers import data_folder, postgres
from tests.server.support import book, connect, environment

__all__ = ["book", "connect", "data_folder", "environment", "postgres"]
