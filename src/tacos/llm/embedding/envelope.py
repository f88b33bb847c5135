"""The embeddings envelope: the body that asks for vectors, what is read from the body that comes
back, and how a vector is kept. Pure.

A vector is scaled to length 1 and rounded to `STEPS` steps per unit, so that the last digits, in
which a server's arithmetic depends on what else was in the request, are gone: cosines are kept to
about 1e-5.
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
from tacos.llm.chat.grouped_prompts import even
from tacos.llm.chat.messages import Asked
from tacos.llm.ledger.schema import Entry
from tacos.records import canonical_hash

Vector = npt.NDArray[np.float32]
PATH = "/embeddings"
TASK = "embed"
STEPS = 10_000


def key_of(text: str, model: str, body: Mapping[str, Any]) -> str:
    """The ledger key of a text's vector: model, text, and what is added to the body (such as
    `dimensions`).
    """
    return canonical_hash([TASK, model, text, dict(body)])


def asked(texts: Mapping[str, str], model: str, body: Mapping[str, Any]) -> Asked:
    """One request for the vectors of texts (ledger key -> text)."""
    items = [{"key": key, "text": text} for key, text in texts.items()]
    return Asked(canonical_hash(list(texts)), TASK, model, items, dict(body), {})


def fields(asked: Asked, form: envelope.Form, omit: Collection[str] = ()) -> dict[str, Any]:
    """The body of a request, as a dict."""
    body = {
        "model": asked.model,
        "input": [item["text"] for item in asked.messages],
        **asked.sampling,
    }
    return {name: value for name, value in body.items() if name not in omit}


def read(body: bytes, asked: Asked) -> envelope.Said:
    """What a reply cost, when it has one good vector per text. Raises `envelope.BadEnvelope`."""
    reply = opened(body)
    vectors(reply, len(asked.messages))
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    n_tokens = envelope.count(usage.get("prompt_tokens")) or envelope.count(
        usage.get("total_tokens")
    )
    return envelope.Said("", "", "stop", str(reply.get("model") or ""), n_tokens, 0)


FORMAT = envelope.Format(PATH, fields, read, answers=False)


def opened(body: bytes | str) -> dict[str, Any]:
    """The reply's object. Raises `BadEnvelope`."""
    reply = envelope.loads(body)
    if not isinstance(reply, dict):
        raise envelope.NoChat("the reply is no JSON object")
    if reply.get("error"):
        raise envelope.BadEnvelope(f"the reply is an error: {envelope.complaint(reply)}")
    return reply


def vectors(reply: Mapping[str, Any], n: int) -> list[npt.NDArray[np.float64]]:
    """The n vectors of a reply, in the order of the texts, whatever the order in which they came.

    Raises `BadEnvelope` for another number of them, an `index` that is missing, repeated or out of
    range, vectors of several lengths, and numbers that are none.
    """
    data = reply.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise envelope.NoChat("the reply holds no embeddings")
    if len(data) != n:
        raise envelope.BadEnvelope(f"the reply holds {len(data)} vectors for {n} texts")
    places = [item.get("index") for item in data]
    if sorted(place for place in places if type(place) is int) != list(range(n)):
        raise envelope.BadEnvelope("the reply does not say which vector is whose")
    found = {
        place: numbers(item.get("embedding")) for place, item in zip(places, data, strict=True)
    }
    if len({len(vector) for vector in found.values()}) > 1:
        raise envelope.BadEnvelope("the reply holds vectors of several lengths")
    return [found[place] for place in range(n)]


def numbers(embedding: Any) -> npt.NDArray[np.float64]:
    """A vector from a list of numbers, or from base64 of little-endian float32. Raises
    `BadEnvelope`.
    """
    try:
        if isinstance(embedding, str):
            raw = base64.b64decode(embedding, validate=True)
            vector = np.frombuffer(raw, dtype="<f4").astype(np.float64)
        else:
            vector = np.array(embedding, dtype=np.float64)
    except (TypeError, ValueError, binascii.Error):
        raise envelope.BadEnvelope("a vector of the reply is no list of numbers") from None
    if vector.ndim != 1 or not len(vector):
        raise envelope.BadEnvelope("a vector of the reply is no list of numbers")
    if not np.isfinite(vector).all():
        raise envelope.BadEnvelope("a vector of the reply holds NaN or infinity")
    return vector


def parts(asked: Asked, entry: Entry) -> list[Entry]:
    """A ledger entry per text of a request, with the rounded vector and an even share of the
    tokens.
    """
    found = vectors(opened(entry.raw), len(asked.messages))
    shares = even(entry.prompt_tokens, len(found))
    return [
        entry._replace(key=item["key"], prompt_tokens=share, answer_tokens=0, raw=packed(vector))
        for item, vector, share in zip(asked.messages, found, shares, strict=True)
    ]


def packed(vector: npt.NDArray[np.float64]) -> str:
    """A vector scaled to length 1 (or all 0) in steps of 1 / `STEPS`, as JSON."""
    length = float(np.linalg.norm(vector))
    steps = np.rint(vector / (length or 1.0) * STEPS).astype("<i2")
    return orjson.dumps(
        {"steps": STEPS, "int16": base64.b64encode(steps.tobytes()).decode()}
    ).decode()


def unpacked(raw: str) -> Vector:
    """The vector that `packed` wrote, of length 1 (or all 0).

    >>> unpacked(packed(np.array([3.0, 0.0, 4.0]))).round(4).tolist()
    [0.6000000238418579, 0.0, 0.800000011920929]
    """
    steps = np.frombuffer(base64.b64decode(orjson.loads(raw)["int16"]), dtype="<i2").astype(
        np.float64
    )
    length = float(np.linalg.norm(steps))
    return np.asarray(steps / (length or 1.0), dtype=np.float32)


def stacked(found: Sequence[Vector | None], dim: int) -> Vector:
    """float32 of shape (len(found), dim), zeros for None."""
    out = np.zeros((len(found), dim), dtype=np.float32)
    for row, vector in enumerate(found):
        if vector is not None:
            out[row] = vector
    return out
