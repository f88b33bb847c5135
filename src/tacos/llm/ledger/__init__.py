"""The ledger: every paid reply, in one SQLite file.

ledger        the door: look up, lease, write, count, export
schema        the file's tables; how rows are written
group_writer  writes replies in groups, from a thread
leases, lease_holders   who may ask which question
reply_rules   which replies answer a question now: staleness, other endpoints
noted_forms   in which form a model of an endpoint takes requests
lookup        from a ledger entry to a `Reply`, or to the question still open
removal       finds and removes replies by model, endpoint and date
submissions   batches that a server still owes
"""
