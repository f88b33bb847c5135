"""A process that asks from four threads, as the engine does, and writes what it was answered.

`python -m tests.server.asking_process URL LEDGER START N OUT CONCURRENCY`
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from tests.server.questions import KEY, tag_requests

from tacos import llm
from tacos.config import LLMSettings
from tacos.llm.ledger import ledger
from tacos.records import Reply


def main() -> None:
    """Ask n questions from `start` on, in batches of 500."""
    url, path, start, n, out, concurrency = sys.argv[1:7]
    os.environ.setdefault("OPENAI_API_KEY", KEY)
    settings = LLMSettings(base_url=url, proxy="none", concurrency=int(concurrency))
    first, last = int(start), int(start) + int(n)
    with (
        ledger.open_ledger(path) as book,
        llm.connect(settings, "tiny-1", book) as client,
        ThreadPoolExecutor(4) as threads,
    ):

        def batch(begin: int) -> list[Reply]:
            return client.answer(tag_requests(min(500, last - begin), begin))

        replies = [
            reply
            for part in threads.map(batch, range(first, last, 500))
            for reply in part
        ]
    Path(out).write_bytes(
        b"\n".join(
            orjson.dumps([reply.text, reply.key, reply.failure]) for reply in replies
        )
    )


if __name__ == "__main__":
    main()
