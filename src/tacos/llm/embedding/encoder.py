"""Encoders that are models of an embeddings endpoint (`tacos.records.Encoder`), as careful with
money as the client.

The ledger keeps each text's vector under a key of its own, whatever the text was sent together
with, so no vector is bought twice. The way to the server is the client's (`llm.sending`). A request
that fails because of its content is split in half until the text at fault stands alone; a text
without a vector stops the run, since no default can stand for one.

Blank texts are all 0 and are not sent; texts of more than `max_chars` lose their middle, visibly.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tacos.config import EmbedSettings, LLMSettings
from tacos.errors import LLMError, OfflineError, TacosError
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.client import GRACE, POLL
from tacos.llm.cost import prices
from tacos.llm.embedding import envelope
from tacos.llm.embedding.envelope import Vector
from tacos.llm.ledger.ledger import Ledger
from tacos.llm.ledger.lookup import read_payment
from tacos.llm.ledger.reply_rules import ReplyRules, build_reply_rules
from tacos.llm.ledger.schema import LedgerEntry
from tacos.llm.sending.decisions import ClientTally
from tacos.llm.sending.question_line import MAX_UNPROVEN
from tacos.llm.sending.requests_in_flight import InFlightRequest, ReplyBatch
from tacos.llm.sending.sender import Sender
from tacos.llm.transport.endpoint import resolve_endpoint
from tacos.methods.samples.truncation import truncate_text
from tacos.records import PaidReply, Reply, canonical_hash

ANY_TEXT = "dimension"
"""Sent where only the length of a vector is needed."""


@dataclass(frozen=True)
class LedgerEncoder:
    """An encoder with the vectors in a ledger; it sends nothing."""

    name: str
    settings: EmbedSettings
    ledger: Ledger
    rules: ReplyRules
    origins: dict[str, str] = field(default_factory=dict)
    """Ledger key -> the other endpoint that gave its vector, of those that were used so far."""
    paid: dict[str, PaidReply] = field(default_factory=dict)
    """Ledger key -> what its vector cost, of those that were used so far."""

    @property
    def other_endpoints(self) -> dict[str, int]:
        """URL -> the vectors used so far that another endpoint gave."""
        return dict(Counter(self.origins.values()))

    @property
    def fingerprint(self) -> str:
        """Of what decides the vectors: the model, added fields of the body, the limit on characters
        and the rounding; not where the endpoint is.
        """
        decisive = [self.settings.body, self.settings.max_chars, envelope.STEPS]
        return f"endpoint:{self.name} {canonical_hash(decisive)[:16]}"

    @property
    def body(self) -> dict[str, Any]:
        """What is added to every request."""
        if self.settings.encoding == "base64":
            return {"encoding_format": "base64", **self.settings.body}
        return {**self.settings.body}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.encode([ANY_TEXT]).shape[1])

    def shown(self, text: str) -> str:
        """A text as it is sent."""
        # Half a character (a lone surrogate) cannot be sent.
        valid_text = text.encode("utf-8", "replace").decode()
        return truncate_text(valid_text, self.settings.max_chars)

    def keys(self, texts: Sequence[str]) -> list[str]:
        """The ledger keys of texts, "" for blank ones."""
        keys = []
        for text in texts:
            shown = self.shown(text)
            if shown.strip():
                key = envelope.compute_embedding_key(
                    shown, self.name, self.settings.body
                )
            else:
                key = ""
            keys.append(key)
        return keys

    def encode(self, texts: Sequence[str]) -> Vector:
        """float32 of shape (len(texts), dim), each row of length 1 (or all 0).

        Raises `LLMError` where the ledger lacks a vector, or has vectors of several lengths.
        """
        keys = self.keys(texts)
        vectors = self._read_vectors(keys)
        dim = self._check_dim(vectors.values())
        # Blank texts have no vector; they get a row of zeros.
        in_order = [vectors.get(key) for key in keys]
        return envelope.stack_vectors(in_order, dim)

    def _check_dim(self, vectors: Iterable[Vector]) -> int:
        """The length of all vectors. Raises `LLMError` where they have several."""
        lengths = sorted({len(vector) for vector in vectors})
        if not lengths:
            return self.dim  # blank texts alone say nothing about the length
        if len(lengths) > 1:
            dims = " and ".join(map(str, lengths))
            raise LLMError(
                f"the vectors by {self.name} have {dims} numbers: "
                "the name stands for another model than before; use a new ledger (--ledger)"
            )
        return lengths[0]

    def _read_vectors(self, keys: Sequence[str]) -> dict[str, Vector]:
        """Ledger key -> vector of shape (dim,). Raises `LLMError` where one is missing."""
        keys = [key for key in keys if key]  # not of blank texts
        entries = self.ledger.get(list(dict.fromkeys(keys)))
        n_missing = sum(1 for key in keys if key not in entries)
        if n_missing:
            raise LLMError(
                f"{n_missing:,} vectors by {self.name} are not in the ledger; "
                "run `tacos select` as before, with --until cluster, then continue"
            )
        self.rules.check_endpoints(entries.values())
        vectors = {}
        for key, entry in entries.items():
            other = self.rules.name_origin(entry)
            if other:
                self.origins[key] = other
            self.paid[key] = read_payment(entry)
            vectors[key] = envelope.unpack_vector(entry.raw)
        return vectors


class EndpointEncoder:
    """An encoder that buys from the endpoint what the ledger lacks; a context manager."""

    def __init__(
        self,
        llm: LLMSettings,
        settings: EmbedSettings,
        model: str,
        ledger: Ledger,
    ) -> None:
        """Raises `ConfigError` for settings that cannot work."""
        rules = build_reply_rules(llm, ledger.opened_at)
        self.known = LedgerEncoder(model, settings, ledger, rules)
        self.offline = llm.offline
        self.settings = settings
        self.ledger = ledger
        price = prices.find_price(model, llm.price_in, llm.price_out, llm.price_batch)
        prices.keep_given_price(model, price, ledger.note)
        ledger.meter.limit(llm.budget, model, price, "embed")
        self._failure: TacosError | None = None
        # Where it is not set, everything is that of the section `llm`.
        section: Literal["llm", "embed"] = "embed" if settings.base_url else "llm"
        self.endpoint = resolve_endpoint(llm, section=section)
        self._sender = Sender(
            self.endpoint, llm, self, ledger.meter, price, envelope.FORMAT
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.known.name

    @property
    def fingerprint(self) -> str:
        """See `LedgerEncoder.fingerprint`."""
        return self.known.fingerprint

    @property
    def dim(self) -> int:
        """Length of a vector; sends a text if need be."""
        return int(self.encode([ANY_TEXT]).shape[1])

    @property
    def other_endpoints(self) -> dict[str, int]:
        """See `LedgerEncoder.other_endpoints`."""
        return self.known.other_endpoints

    @property
    def paid(self) -> dict[str, PaidReply]:
        """See `LedgerEncoder.paid`."""
        return self.known.paid

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

        Raises `BudgetReachedError` at the cap and `LLMError` where a text gets no vector; the
        vectors received by then are kept.
        """
        is_all_blank = not any(text.strip() for text in texts)
        if is_all_blank:
            return envelope.stack_vectors([None] * len(texts), self.dim)
        # Equal texts share a key, and are sent once.
        texts_by_key = {}
        for key, text in zip(self.known.keys(texts), texts, strict=True):
            if key:
                texts_by_key[key] = self.known.shown(text)
        self._complete(texts_by_key)
        return self.known.encode(texts)

    def _complete(self, texts: dict[str, str]) -> None:
        """Have the vectors of texts (ledger key -> text) in the ledger, bought by us or by other
        processes.
        """
        leased: set[str] = set()
        try:
            while True:
                leases = self.ledger.take(list(texts))
                self.known.rules.check_endpoints(leases.known.values())
                leased.update(leases.ours)
                self._buy(
                    {key: text for key, text in texts.items() if key in leases.ours}
                )
                if not leases.theirs:
                    return
                time.sleep(POLL)
        finally:
            self.ledger.release(leased)

    def _buy(self, texts: dict[str, str]) -> None:
        """Send texts (ledger key -> text) and wait until their vectors are in the ledger."""
        if self.offline and texts:
            raise OfflineError(
                f"{len(texts):,} vectors by {self.name} are not in the ledger, and "
                "llm.offline=true sends no text: leave it out"
            )
        if texts:
            self.endpoint.check_key()
        batch = ReplyBatch(len(texts))
        items = list(texts.items())
        places = [(batch, place) for place in range(len(items))]
        size = self.settings.per_request
        flights = []
        for start in range(0, len(items), size):
            part = slice(start, start + size)
            flight = self._build_flight(items[part], places[part])
            flights.append(flight)
        # The sender's own loop must do it: nothing in it is locked.
        loop = self._sender.loop.asyncio
        loop.call_soon_threadsafe(self._sender.submit, flights)
        try:
            batch.wait()
        finally:
            self.ledger.flush()
        if self._failure is not None:
            raise self._failure

    def _build_flight(
        self,
        texts: Sequence[tuple[str, str]],
        places: list[tuple[ReplyBatch, int]],
    ) -> InFlightRequest:
        """A request for texts (ledger key, text), and who waits for it."""
        request = envelope.build_embedding_request(
            dict(texts), self.name, self.known.body
        )
        return InFlightRequest(request, places)

    # Called by the sender, on its loop

    def admit(self, flight: InFlightRequest) -> bool:
        """Few requests go out before the first reply: a server may be unable to answer any."""
        sender = self._sender
        return sender.tally.n_answered > 0 or sender.pace.n_in_flight < MAX_UNPROVEN

    async def store(self, flight: InFlightRequest, entry: LedgerEntry) -> None:
        """Put a reply's vectors into the ledger; `_ask` waits until they are on disk."""
        for part in envelope.split_embedding_entry(flight.question, entry):
            self.ledger.put(part, self._note_failure)

    def deliver(self, flight: InFlightRequest, entry: LedgerEntry) -> None:
        """Tell `_ask` that the vectors are on their way to the disk."""
        flight.deliver(Reply(""))

    def failed(
        self,
        flight: InFlightRequest,
        reason: str,
        raw: str,
    ) -> None:
        """These texts got nothing: send them in halves."""
        items = flight.question.messages
        if len(items) == 1:
            excerpt = items[0]["text"][:60]
            error = LLMError(
                f"no vector by {self.name} for the text {excerpt!r}: {reason}"
            )
            flight.fail(error)
            return
        texts = [(item["key"], item["text"]) for item in items]
        middle = len(items) // 2
        first_half = self._build_flight(texts[:middle], flight.places[:middle])
        second_half = self._build_flight(texts[middle:], flight.places[middle:])
        loop = self._sender.loop.asyncio
        loop.call_soon(self._sender.submit, [first_half, second_half])

    def stopped(
        self,
        error: TacosError,
        left: Sequence[InFlightRequest],
    ) -> None:
        """The sender sends nothing more."""
        for flight in left:
            flight.fail(error)

    def learned(self, form: RequestForm) -> None:
        """Nothing to do: embeddings are requested in one form only."""

    # Called by the ledger, on its writer's thread

    def _note_failure(
        self,
        entries: list[LedgerEntry],
        failure: TacosError | None,
    ) -> None:
        """Keep the first reason why vectors could not be written."""
        self._failure = self._failure or failure
