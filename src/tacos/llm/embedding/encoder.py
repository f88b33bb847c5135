"""Encoders that are models of an embeddings endpoint (`tacos.records.Encoder`), as careful with
money as the client.

Each text's vector is in the ledger under its own key, whatever it was asked together with, so it is
bought once. The way to the server is the client's: `sending`, `reacting` and all below. A request
that fails for what is in it is cut in half until the text at fault stands alone; a text without a
vector stops the run, since there is no default for one.

Blank texts are all 0 and are not asked; texts of more than `max_chars` lose their middle, visibly.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tacos.config import EmbedSettings, LLMSettings
from tacos.errors import LLMError, TacosError
from tacos.llm.chat import envelope
from tacos.llm.client import GRACE, POLL
from tacos.llm.cost import prices
from tacos.llm.embedding import envelope as embedding
from tacos.llm.embedding.envelope import Vector
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending.requests_in_flight import InFlightRequest, ReplyBatch
from tacos.llm.sending.response_policy import ClientTally
from tacos.llm.sending.sender import Sender
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.methods.samples.truncation import truncate_text
from tacos.records import Reply, canonical_hash

ANY_TEXT = "dimension"


@dataclass(frozen=True)
class LedgerEncoder:
    """An encoder that knows the vectors in a ledger, and asks nobody for others."""

    name: str
    settings: EmbedSettings
    ledger: Ledger

    @property
    def fingerprint(self) -> str:
        """Of what decides the vectors: model, added fields of the body, and the cut; not where it
        runs.
        """
        decisive = [self.settings.body, self.settings.max_chars, embedding.STEPS]
        return f"endpoint:{self.name} {canonical_hash(decisive)[:16]}"

    @property
    def body(self) -> dict[str, Any]:
        """What is added to every request."""
        form = {"encoding_format": "base64"} if self.settings.encoding == "base64" else {}
        return {**form, **self.settings.body}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.encode([ANY_TEXT]).shape[1])

    def shown(self, text: str) -> str:
        """A text as it is sent."""
        return truncate_text(text.encode("utf-8", "replace").decode(), self.settings.max_chars)

    def keys(self, texts: Sequence[str]) -> list[str]:
        """The ledger keys of texts, "" for blank ones."""
        shown = (self.shown(text) for text in texts)
        return [
            embedding.compute_embedding_key(text, self.name, self.settings.body)
            if text.strip()
            else ""
            for text in shown
        ]

    def encode(self, texts: Sequence[str]) -> Vector:
        """float32 of shape (len(texts), dim), each row of length 1 (or all 0).

        Raises `LLMError` where the ledger lacks one, or has vectors of several lengths.
        """
        keys = self.keys(texts)
        entries = self.ledger.get([key for key in dict.fromkeys(keys) if key])
        missing = sum(1 for key in keys if key and key not in entries)
        if missing:
            raise LLMError(
                f"{missing:,} vectors by {self.name} are not in the ledger; run `tacos select` as before, with "
                "--until cluster, then go on"
            )
        found = {key: embedding.unpack_vector(entry.raw) for key, entry in entries.items()}
        lengths = sorted({len(vector) for vector in found.values()})
        if len(lengths) > 1:
            raise LLMError(
                f"the vectors by {self.name} have {' and '.join(map(str, lengths))} numbers: the name stands for "
                "another model than before; give --ledger a new file"
            )
        dim = lengths[0] if lengths else self.dim
        return embedding.stack_vectors([found.get(key) for key in keys], dim)


class EndpointEncoder:
    """An encoder that asks the endpoint for what the ledger lacks; a context manager."""

    def __init__(
        self, llm: LLMSettings, settings: EmbedSettings, model: str, ledger: Ledger
    ) -> None:
        """Raises `ConfigError` for settings that cannot work."""
        self.known, self.settings, self.ledger = (
            LedgerEncoder(model, settings, ledger),
            settings,
            ledger,
        )
        price = prices.find_price(model, llm.price_in, llm.price_out)
        ledger.meter.limit(llm.budget, model, price, "embed")
        self._failure: TacosError | None = None
        self._sender = Sender(
            resolve_endpoint(llm), llm, self, ledger.meter, price, embedding.FORMAT
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.known.name

    @property
    def fingerprint(self) -> str:
        """See `Recalling.fingerprint`."""
        return self.known.fingerprint

    @property
    def dim(self) -> int:
        """Length of a vector; asks for one if need be."""
        return int(self.encode([ANY_TEXT]).shape[1])

    @property
    def tally(self) -> ClientTally:
        """What was done so far."""
        return self._sender.tally

    def __enter__(self) -> EndpointEncoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._sender.land(GRACE)
        self.ledger.flush()
        self._sender.loop.close()

    def encode(self, texts: Sequence[str]) -> Vector:
        """float32 of shape (len(texts), dim), each row of length 1 (or all 0).

        Raises `BudgetReachedError` at the cap and `LLMError` where a text gets no vector; what came by
        then is kept.
        """
        if not any(text.strip() for text in texts):
            return embedding.stack_vectors([None] * len(texts), self.dim)
        self._complete(
            {
                key: self.known.shown(text)
                for key, text in zip(self.known.keys(texts), texts, strict=True)
            }
        )
        return self.known.encode(texts)

    def _complete(self, wanted: dict[str, str]) -> None:
        """Have the vectors of texts (ledger key -> text) in the ledger, asked for by us or by other
        processes.
        """
        keys, ours = [key for key in wanted if key], set[str]()
        try:
            while True:
                taken = self.ledger.take(keys)
                fresh = [key for key in keys if key in taken.ours]
                ours.update(fresh)
                self._ask({key: wanted[key] for key in fresh})
                if not taken.theirs:
                    return
                time.sleep(POLL)
        finally:
            self.ledger.release(ours)

    def _ask(self, texts: dict[str, str]) -> None:
        """Ask for the vectors of texts and wait until they are in the ledger."""
        batch, n = ReplyBatch(len(texts)), self.settings.per_request
        items = list(texts.items())
        flights = [
            self._flight(
                items[start : start + n],
                [(batch, place) for place in range(start, min(start + n, len(items)))],
            )
            for start in range(0, len(items), n)
        ]
        self._sender.loop.asyncio.call_soon_threadsafe(self._sender.submit, flights)
        try:
            batch.wait()
        finally:
            self.ledger.flush()
        if self._failure is not None:
            raise self._failure

    def _flight(
        self, texts: Sequence[tuple[str, str]], places: list[tuple[ReplyBatch, int]]
    ) -> InFlightRequest:
        """A request for texts (ledger key, text), and who waits for it."""
        return InFlightRequest(
            embedding.build_embedding_request(dict(texts), self.name, self.known.body), places
        )

    def replied(self, flight: InFlightRequest, entry: LedgerEntry) -> None:
        """(from the sender) A reply came: its vectors go into the ledger."""
        for part in embedding.split_embedding_entry(flight.asked, entry):
            self.ledger.put(part, self._kept)
        flight.deliver(Reply(""))

    def _kept(self, entries: list[LedgerEntry], failure: TacosError | None) -> None:
        """(from the ledger's thread) These are on disk, or not."""
        self._failure = self._failure or failure

    def failed(self, flight: InFlightRequest, reason: str, raw: str) -> None:
        """(from the sender) These texts got nothing: ask for fewer at once."""
        items = flight.asked.messages
        if len(items) == 1:
            flight.fail(
                LLMError(
                    f"no vector by {self.name} for the text {items[0]['text'][:60]!r}: {reason}"
                )
            )
            return
        pairs, middle = [(item["key"], item["text"]) for item in items], len(items) // 2
        halves = [
            self._flight(pairs[part], flight.places[part])
            for part in (slice(middle), slice(middle, None))
        ]
        self._sender.loop.asyncio.call_soon(self._sender.submit, halves)

    def stopped(self, error: TacosError, left: Sequence[InFlightRequest]) -> None:
        """(from the sender) It sends nothing more."""
        for flight in left:
            flight.fail(error)

    def learned(self, form: envelope.RequestForm) -> None:
        """(from the sender) Embeddings are asked for in one form only."""
