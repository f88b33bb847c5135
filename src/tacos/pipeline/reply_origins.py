"""Where the replies and vectors of a stage come from, as counts in the notes of its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tacos.records import Reply

N_ASKED_ANEW = "n_asked_anew"
"""Questions asked anew, since an earlier command got only unusable replies."""
OTHER_ENDPOINT = "n_from "
"""Before the URL of another endpoint: replies that it gave to an earlier command."""


def count_origins(replies: Iterable[Reply]) -> dict[str, int]:
    """Counts by name; nothing is counted for embedded models.

    >>> count_origins([Reply("{}"), Reply("{}", other_endpoint="http://a/v1")])
    {'n_from http://a/v1': 1}
    """
    counts: Counter[str] = Counter()
    for reply in replies:
        if reply.is_anew:
            counts[N_ASKED_ANEW] += 1
        if reply.other_endpoint:
            counts[OTHER_ENDPOINT + reply.other_endpoint] += 1
    return dict(counts)


def count_vector_origins(tool: Any) -> Counter[str]:
    """The same counts for the vectors of an encoder so far; nothing for other tools."""
    # Only encoders that ask an endpoint have them.
    others: Mapping[str, int] = getattr(tool, "other_endpoints", {})
    return Counter({OTHER_ENDPOINT + url: count for url, count in others.items()})


def list_other_endpoints(notes: Mapping[str, Any]) -> dict[str, int]:
    """URL -> the replies that another endpoint gave, by the notes of a manifest."""
    return {
        name.removeprefix(OTHER_ENDPOINT): count
        for name, count in notes.items()
        if name.startswith(OTHER_ENDPOINT)
    }
