"""The fixtures of ledgers, for their contract."""

from tests.server.ledgers import book, data_folder, location, postgres

__all__ = ["book", "data_folder", "location", "postgres"]
