"""Trees of messages, as OpenAssistant publishes them: each message has several replies.

One row gives one conversation: at each message the best reply is taken, by the rank that people
gave (0 is best), so the conversation is the one that they liked best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tacos.methods.samples.cells import UnusableRow, load_json_cell, read_number

Message = Mapping[str, Any]

REPLIES = "replies"


def decode_tree(value: Any) -> Any:
    """The tree in a text that is its JSON, as tables have it; anything else as it is."""
    may_be_tree = isinstance(value, str) and f'"{REPLIES}"' in value
    if not may_be_tree or not value.lstrip().startswith("{"):
        return value
    try:
        return load_json_cell(value, "the tree")
    except UnusableRow:
        return value


def is_message_tree(value: Any) -> bool:
    """Whether a value is a message with a list of replies."""
    return isinstance(value, Mapping) and isinstance(value.get(REPLIES), list)


def list_best_path(tree: Message) -> list[Message]:
    """The messages from the first one down, each the best reply to the one before.

    >>> replies = [{"text": "b", "rank": 1}, {"text": "a", "rank": 0}]
    >>> [message["text"] for message in list_best_path({"text": "q", "replies": replies})]
    ['q', 'a']
    """
    path = [tree]
    while True:
        replies = path[-1].get(REPLIES)
        if not isinstance(replies, list):
            return path
        kept = [reply for reply in replies if _is_kept(reply)]
        # A leaf: nobody went on from here.
        if not kept:
            return path
        best = min(kept, key=_read_rank)
        path.append(best)


def _is_kept(reply: Any) -> bool:
    """Whether a reply is a message that was neither deleted nor found to be spam."""
    if not isinstance(reply, Mapping) or reply.get("deleted"):
        return False
    return reply.get("review_result") is not False


def _read_rank(reply: Message) -> float:
    """The rank of a reply; those without one come last, in their order."""
    rank = read_number(reply.get("rank"))
    return math.inf if rank is None else rank
