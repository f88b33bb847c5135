"""From a question to a chat, and from a chat to an answer.

messages          a `Request` -> the messages of a chat, and the ledger key
envelope          the body that goes out, and what the body of the reply says
reply_parsing     the model's text -> JSON by the schema (lenient_json: JSON with mistakes)
grouped_prompts   several questions in one request (grouped_model: the model that asks them)
"""
