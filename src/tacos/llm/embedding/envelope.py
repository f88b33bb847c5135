"""The embeddings envelope: the bodies of requests and replies, and how the ledger keeps a vector.
Pure.

A vector is scaled to length 1 and rounded to `STEPS` steps per unit. So the last digits, in which a
server's arithmetic depends on what else was in the request, are gone; cosines are kept to about
1e-5.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from tacos.llm.chat import envelope
from tacos.llm.chat.body_json import EnvelopeError, ForeignReplyError
from tacos.llm.chat.grouped_prompts import split_evenly
from tacos.llm.chat.messages import RenderedRequest
from tacos.llm.chat.request_form import RequestForm
from tacos.llm.ledger.schema import LedgerEntry
from tacos.records import canonical_hash

Vector = npt.NDArray[np.float32]
PATH = "/embeddings"
TASK = "embed"
STEPS = 10_000


def compute_embedding_key(
    text: str,
    model: str,
    body: Mapping[str, Any],
) -> str:
    """The ledger key of a text's vector: the hash of model, text, and what is added to the body
    (such as `dimensions`).
    """
    return canonical_hash([TASK, model, text, dict(body)])


def build_embedding_request(
    texts: Mapping[str, str],
    model: str,
    body: Mapping[str, Any],
) -> RenderedRequest:
    """One request for the vectors of texts (ledger key -> text)."""
    return RenderedRequest(
        key=canonical_hash(list(texts)),
        task=TASK,
        model=model,
        messages=[{"key": key, "text": text} for key, text in texts.items()],
        sampling=dict(body),
        schema={},
    )


def split_embedding_entry(
    asked: RenderedRequest,
    entry: LedgerEntry,
) -> list[LedgerEntry]:
    """A ledger entry per text of a request, with the rounded vector and an even share of the
    tokens. Raises `EnvelopeError`.
    """
    vectors = _read_vectors(envelope.parse_reply_object(entry.raw), len(asked.messages))
    token_shares = split_evenly(entry.prompt_tokens, len(vectors))
    entries = []
    for item, vector, n_tokens in zip(
        asked.messages, vectors, token_shares, strict=True
    ):
        part = entry._replace(
            key=item["key"],
            prompt_tokens=n_tokens,
            answer_tokens=0,
            raw=_pack_vector(vector),
        )
        entries.append(part)
    return entries


def _build_embedding_body(
    asked: RenderedRequest,
    form: RequestForm,
    omit: Collection[str] = (),
) -> dict[str, Any]:
    """The body of a request, as a dict."""
    body = {
        "model": asked.model,
        "input": [item["text"] for item in asked.messages],
        **asked.sampling,
    }
    return {name: value for name, value in body.items() if name not in omit}


def _read_embedding_reply(
    body: bytes,
    asked: RenderedRequest,
) -> envelope.ChatReply:
    """What a reply cost, if it has one valid vector per text. Raises `EnvelopeError`."""
    reply = envelope.parse_reply_object(body)
    _read_vectors(reply, len(asked.messages))
    usage = reply.get("usage")
    n_tokens = 0
    if isinstance(usage, dict):
        n_prompt = envelope.read_token_count(usage.get("prompt_tokens"))
        n_tokens = n_prompt or envelope.read_token_count(usage.get("total_tokens"))
    return envelope.ChatReply(
        text="",
        refusal="",
        finish="stop",
        model=str(reply.get("model") or ""),
        prompt_tokens=n_tokens,
        answer_tokens=0,
    )


FORMAT = envelope.ApiFormat(
    PATH, _build_embedding_body, _read_embedding_reply, answers=False
)


# Reading vectors


def _read_vectors(
    reply: Mapping[str, Any],
    n: int,
) -> list[npt.NDArray[np.float64]]:
    """The n vectors of a reply, each of shape (dim,), in the order of the texts, whatever the order
    in which they came.

    Raises `EnvelopeError` for another number of them, an `index` that is missing, repeated or out
    of range, vectors of several lengths, and values that are no numbers.
    """
    data = reply.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise ForeignReplyError("the reply holds no embeddings")
    if len(data) != n:
        raise EnvelopeError(f"the reply holds {len(data)} vectors for {n} texts")
    places = [item.get("index") for item in data]
    valid_places = [place for place in places if type(place) is int]  # true is no place
    if sorted(valid_places) != list(range(n)):
        raise EnvelopeError("the reply does not say which vector is whose")
    vectors = {}
    for item in data:
        place = item["index"]
        vectors[place] = _decode_vector(item.get("embedding"))
    lengths = {len(vector) for vector in vectors.values()}
    if len(lengths) > 1:
        raise EnvelopeError("the reply holds vectors of several lengths")
    return [vectors[place] for place in range(n)]


def _decode_vector(embedding: Any) -> npt.NDArray[np.float64]:
    """A vector from a list of numbers, or from base64 of little-endian float32; of shape (dim,).
    Raises `EnvelopeError`.
    """
    try:
        if isinstance(embedding, str):
            raw = base64.b64decode(embedding, validate=True)
            vector = np.frombuffer(raw, dtype="<f4").astype(np.float64)
        else:
            vector = np.array(embedding, dtype=np.float64)
    except (TypeError, ValueError, binascii.Error):
        raise EnvelopeError("a vector of the reply is not a list of numbers") from None
    if vector.ndim != 1 or not len(vector):
        raise EnvelopeError("a vector of the reply is not a list of numbers")
    if not np.isfinite(vector).all():
        raise EnvelopeError("a vector of the reply holds NaN or infinity")
    return vector


# Keeping vectors


def _pack_vector(vector: npt.NDArray[np.float64]) -> str:
    """A vector scaled to length 1 (or all 0) in steps of 1 / `STEPS`, as JSON."""
    length = float(np.linalg.norm(vector))
    # Steps are at most 10,000, so they fit 16 bits; a vector of zeros stays one.
    steps = np.rint(vector / (length or 1.0) * STEPS).astype("<i2")
    encoded = base64.b64encode(steps.tobytes()).decode()
    return orjson.dumps({"steps": STEPS, "int16": encoded}).decode()


def unpack_vector(raw: str) -> Vector:
    """The vector that `_pack_vector` wrote, of length 1 (or all 0); of shape (dim,).

    >>> unpack_vector(_pack_vector(np.array([3.0, 0.0, 4.0]))).round(4).tolist()
    [0.6000000238418579, 0.0, 0.800000011920929]
    """
    record = orjson.loads(raw)
    packed = base64.b64decode(record["int16"])
    integers = np.frombuffer(packed, dtype="<i2")
    steps = integers.astype(np.float64)
    # Rounding changed the length a little: scale again. A vector of zeros stays as it is.
    length = float(np.linalg.norm(steps))
    divisor = length or 1.0
    return np.asarray(steps / divisor, dtype=np.float32)


def stack_vectors(vectors: Sequence[Vector | None], dim: int) -> Vector:
    """float32 of shape (len(vectors), dim), zeros for None."""
    matrix = np.zeros((len(vectors), dim), dtype=np.float32)
    for row, vector in enumerate(vectors):
        if vector is not None:
            matrix[row] = vector
    return matrix
