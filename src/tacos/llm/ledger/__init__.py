"""The ledger: every paid reply, in a SQLite file or a PostgreSQL database.

ledger        the door: look up, lease, write, count, export
location      where a ledger is: a file, or the address of a database
database      the protocol of what keeps it; `sqlite` and `postgres` are the two that do
schema        what it holds, whichever database keeps it
group_writer  writes replies in groups, from a thread
lease_holders   who may ask which question
reply_rules   which replies answer a question now: staleness, other endpoints
noted_forms   in which form a model of an endpoint takes requests
lookup        from a ledger entry to a `Reply`, or to the question still open
removal       which replies are to be removed
submissions   batches that a server still owes
"""
