"""A ledger in a PostgreSQL database, for the processes of several machines.

Nothing here is imported before an address is given: psycopg is an extra.
"""
