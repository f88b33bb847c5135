"""From a question to a chat, and from a chat to an answer.

messages          a `Request` -> the messages of a chat, and the ledger key
request_form      the form of request that a server accepts
envelope          the body that goes out, and what the body of the reply says
reply_message     where in a message the answer is (event_stream: a reply in pieces)
error_body        what the body of an error says (body_json: JSON as servers send it)
reply_parsing     the model's text -> JSON by the schema (lenient_json: JSON with mistakes)
grouped_prompts   several questions in one request (grouped_model: the model that asks them)
"""
