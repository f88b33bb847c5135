"""Other ways for replies into the ledger than asking online.

batch_api       OpenAI's batch API (api_calls: its calls)
exchange_files  requests and replies as files (reply_lines: one line of a reply)
ledger_replay   a model that answers from the ledger alone
"""
