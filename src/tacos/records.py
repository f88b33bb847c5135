"""The records that stages exchange, and the schema of each table beside them.

A table is a `polars.DataFrame`. Its schema stands here, so that every column of the system is on
one page. Texts are characters (never bytes), `length` counts characters of the response, and scores
are on the judge's scale 1..100.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    runtime_checkable,
)

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from tacos.errors import TacosError

if TYPE_CHECKING:
    import pyarrow as pa

Order = Literal["ab", "ba"]
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class Turn(NamedTuple):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: str


class WrittenRow(dict[str, Any]):
    """A row of JSON whose text says more than its values can: a number beyond 64 bits, a repeated
    key. `text` is that JSON, on one line.
    """

    __slots__ = ("text",)
    text: str

    def __init__(self, values: Mapping[str, Any], text: str = "") -> None:
        super().__init__(values)
        self.text = text

    def __reduce__(self) -> tuple[type[WrittenRow], tuple[dict[str, Any], str]]:
        """Rows go to other processes."""
        return WrittenRow, (dict(self), self.text)


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the input: a conversation whose last turn is the answer to learn.

    `id` is `<file>:<row from 0>`; `content_hash` (16 bytes, hex) stays the same if the input is
    reordered. `raw` is the row as it was read, as JSON, so that the rows written at the end keep
    their own fields.
    """

    id: str
    content_hash: str
    turns: tuple[Turn, ...]
    raw: str
    tags: tuple[str, ...] | None = None
    score: float | None = None
    framed: str | None = None
    """The instruction in its prompt template, where `turns` are without one."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be used, as a value: stored beside the artifact and counted, never
    replaced by a default.
    """

    id: str
    stage: str
    reason: str
    raw: str = ""
    failure: bool = True
    """Whether it counts towards the failure rate (duplicates and empty rows do not)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One structured question to a model: `tacos.llm` renders it to messages, an embedded model
    reads its fields.

    `model` names the judge of a panel to ask (`tacos.models.judge_panel`); a single model does not
    read it. `place` is the question's place among the first ones of its stage, which are in random
    order; None for all others. It changes no answer.
    """

    task: str
    fields: dict[str, Any]
    template: str
    template_hash: str
    schema: dict[str, Any]
    sampling: dict[str, float | int] = field(default_factory=dict)
    repetition: int = 0
    model: str = ""
    place: int | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """32 hex digits: the hash of everything that can change the answer, the content of the
        template included.
        """
        parts = [
            self.task,
            self.fields,
            self.template_hash,
            self.schema,
            self.sampling,
            self.repetition,
            self.model,
        ]
        return canonical_hash(parts)


class PaidReply(NamedTuple):
    """What one paid reply used: a line of the ledger, without its text."""

    key: str
    """The ledger key and the time: a question that was asked anew has several replies."""
    request: str
    """The same of the request that brought it: another one where several came by one."""
    model: str
    """The model that was asked for."""
    way: str
    """`online`, `batch`, `exchange` or `grouped`."""
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request: `text` is JSON by the request's schema, or `failure` says why
    there is none.

    `raw` is the model's own text, `key` the ledger key of the reply ("" for embedded models).
    `finish` is the reason to finish that a server gave ("length": it was cut off), `n_tokens` how
    long the answer is, where that is known.
    `alternatives` are the likeliest first tokens of the answer with their log-probabilities, where
    the request asked for them (`logprobs`) and the server gave them.
    `other_endpoint` is the URL of the endpoint that gave it, where another one is asked now, or
    "not noted" where that is not known;
    `is_anew` says that the question was asked anew, after unusable replies to earlier commands.
    """

    text: str | None
    raw: str = ""
    failure: str = ""
    key: str = ""
    model: str = ""
    other_endpoint: str = ""
    is_anew: bool = False
    paid: tuple[PaidReply, ...] = ()
    """What was paid for: the replies to the question, unusable ones before this one included."""
    finish: str = ""
    alternatives: tuple[tuple[str, float], ...] = ()
    n_tokens: int | None = None


class AnswerWatch(Protocol):
    """Told what becomes of each question of a stage, as soon as it is known. Thread-safe."""

    def answer(
        self, place: int | None, reply: Reply, judge: str = ""
    ) -> TacosError | None:
        """The question at a place (`Request.place`) has its last reply, from this judge of a panel;
        an error where nothing more is to be asked.
        """
        ...


@runtime_checkable
class WatchableModel(Protocol):
    """A model whose questions cost money: it reports each of them to a watch, and stops if told."""

    def watch(self, watch: AnswerWatch) -> bool:
        """Report to `watch` from now on; False where no question would be reported."""
        ...


class Model(Protocol):
    """Anything that answers requests: an embedded model, or the client of an endpoint. The loop
    does not know which.

    `fingerprint` is part of a stage key. `where` tells the engine where `answer` may run:
    "process" (pure and picklable, many copies at once), "thread" (thread-safe, waits for a
    network), "here" (one batch after another in this process: a user's own function, or questions
    that are grouped). `pointwise` means that a judge cannot see the order of a pair: flips and
    position bias are then "n/a", never 0%.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def where(self) -> Literal["process", "thread", "here"]: ...
    @property
    def pointwise(self) -> bool: ...
    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in the order of the requests; a failure is a `Reply` with
        `text=None`.
        """
        ...


class Encoder(Protocol):
    """Turns texts into vectors: `encode` returns float32 of shape (len(texts), dim), each row of
    length 1 (or all 0).
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dim(self) -> int: ...
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]: ...


class Table(Protocol):
    """A committed table: read lazily, or batch by batch in its own order."""

    def scan(self) -> pl.LazyFrame: ...
    def batches(
        self, columns: Sequence[str] | None = None
    ) -> Iterator[pl.DataFrame]: ...


Tables = Mapping[str, Table]
"""Tables by their plain names, as a stage reads them."""


@dataclass(frozen=True, slots=True)
class OriginalRows:
    """Rows of a file that has types, as they were read: row i of `table` is row `first_row` + i of
    `file`, as ids number them.
    """

    file: str
    first_row: int
    table: pa.Table


class SampleBatch(NamedTuple):
    """Samples of an extended run: a table SAMPLES, and the rows as they were read."""

    table: pl.DataFrame
    original: OriginalRows | None = None


class StageOutput(NamedTuple):
    """What a stage returns: its table, the rows it could not use, and notes for the manifest.

    `original` are the rows that the table was made of, where they have types that it has not. A
    large table may have numbers for ids; `name_rows` then gives the texts to some of its rows.
    """

    table: pl.DataFrame
    rejects: pl.DataFrame
    notes: dict[str, Any]
    original: OriginalRows | None = None
    name_rows: Callable[[pl.DataFrame], pl.DataFrame] | None = None

    @classmethod
    def without_rejects(
        cls,
        table: pl.DataFrame,
        notes: dict[str, Any] | None = None,
        name_rows: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    ) -> StageOutput:
        """The output of a stage that used every row."""
        return cls(table, build_reject_frame(), notes or {}, name_rows=name_rows)


def asks_for_text(schema: Mapping[str, Any]) -> bool:
    """Whether a schema asks for a plain text, which no JSON stands around.

    The text must satisfy the rest of the schema, such as a `pattern`; its `description` says in
    words what is wrong with a text that does not.
    """
    return schema.get("type") == "string"


def _define_schema(**columns: pl.DataType | type[pl.DataType]) -> pl.Schema:
    """Columns and their types, in order."""
    return pl.Schema(columns)


def conform_table(table: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The columns of a schema, in its order and types."""
    return table.select(schema.names()).cast(schema)


def add_missing_columns(table: Frame, schema: pl.Schema) -> Frame:
    """The table with the columns of a schema that it lacks, all null: runs of earlier versions have
    tables with fewer columns.
    """
    present = table.collect_schema().names()
    missing = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in schema.items()
        if name not in present
    ]
    return table.with_columns(missing)


def build_reject_frame(rejects: Sequence[Reject] = ()) -> pl.DataFrame:
    """Rejects as a table by `REJECTS`."""
    rows = [
        (reject.id, reject.stage, reject.reason, reject.raw, reject.failure)
        for reject in rejects
    ]
    return pl.DataFrame(rows, schema=REJECTS, orient="row")


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def canonical_hash(value: Any) -> str:
    """32 hex digits (BLAKE2b, 16 bytes) of `value`'s canonical JSON."""
    return hashlib.blake2b(canonical_json(value), digest_size=16).hexdigest()


STRINGS = pl.List(pl.String)
TURN = pl.Struct({"role": pl.String, "text": pl.String})

SAMPLES = _define_schema(
    id=pl.String,
    content_hash=pl.String,
    source=pl.String,
    turns=pl.List(TURN),
    # what stands before the last answer: the question, or a transcript of several turns
    instruction=pl.String,
    response=pl.String,  # the last answer
    length=pl.UInt32,  # characters of the response
    given_tags=STRINGS,  # null unless the input named a column of tags
    given_score=pl.Float64,  # null unless the input named a column of scores
    # the instruction in its prompt template, which the response answers; null: there is none
    framed=pl.String,
    raw=pl.String,
)
REJECTS = _define_schema(
    id=pl.String, stage=pl.String, reason=pl.String, raw=pl.String, failure=pl.Boolean
)
KNOWN = _define_schema(  # the samples that come from an extended run
    id=pl.String,
    content_hash=pl.String,
    run=pl.UInt16,  # number of that run, from 0: its place in extend.runs
)
TAGS = _define_schema(
    id=pl.String,
    turn=pl.UInt16,
    tags=STRINGS,
    explanations=STRINGS,
    confidences=pl.List(pl.Float32),  # null for models that give none
    reply=pl.String,  # ledger key, "" for embedded models
    model=pl.String,  # the model that gave them, "" if the input did
)
# Tags by the distilled tagger of a cascade (see `tacos.methods.tags.tagger_cascade`).
GUESSES = pl.Schema(
    {
        **TAGS,
        "sureness": pl.Float32(),  # mean confidence, 0 without a tag
        "lot": pl.UInt64(),  # a random number that depends on instruction and seed alone
    }
)
# A small model as a table: one row per file.
FILES = _define_schema(name=pl.String, content=pl.Binary)
VOCABULARY = _define_schema(
    raw=pl.String,
    count=pl.UInt32,
    canonical=pl.String,  # null: dropped
    step=pl.String,  # the step that moved or dropped it, "" when it stayed itself
    reason=pl.String,
    # broader canonical tags, which it is not merged into
    parents=pl.List(
        pl.Struct(
            {
                "tag": pl.String,
                "step": pl.String,
                "reason": pl.String,
            }
        )
    ),
)
# Pairs of tags that may mean the same, and how a language model says that they are related: one row
# per request, which holds several pairs.
TAG_PAIRS = _define_schema(
    left=pl.String,
    right=pl.String,
    cosine=pl.Float32,
)
TAG_MATCHES = _define_schema(
    id=pl.String,
    left=STRINGS,
    right=STRINGS,
    relation=STRINGS,  # same, a-parent, b-parent, different
    reason=STRINGS,
    reply=pl.String,
)
IMPLICATIONS = _define_schema(  # rules {A, B, ...} => C between canonical tags
    antecedent=STRINGS,
    consequent=pl.String,
    n_both=pl.UInt32,  # samples with all of the antecedent and the consequent
    n_antecedent=pl.UInt32,
    n_consequent=pl.UInt32,
)
CANONICAL_TAGS = _define_schema(id=pl.String, tags=STRINGS)
CLUSTERS = _define_schema(
    # null where clusters are of samples (cluster.by = "embedding"): then a row is a cluster
    tag=pl.String,
    cluster=pl.UInt32,
    count=pl.UInt32,  # samples with the tag, or of the samples drawn those in the cluster
    name=pl.String,
    centre=pl.List(pl.Float32),  # null where clusters are of tags
)
MEMBERSHIPS = _define_schema(id=pl.String, clusters=pl.List(pl.UInt32), home=pl.UInt32)
GRADES = _define_schema(
    id=pl.String,
    judge=pl.String,  # "" unless the judge itself grades (judge.mode = "singleton")
    repetition=pl.UInt16,
    grade=pl.Float32,  # null where the judge gave two numbers instead
    value=pl.Float32,  # null where the judge gave one score only
    correctness=pl.Float32,
    reason=pl.String,
    reply=pl.String,
)
SHORTLIST = _define_schema(id=pl.String, cluster=pl.UInt32, rule=pl.String)
PAIRS = _define_schema(
    pair=pl.UInt32,
    cluster=pl.UInt32,
    left=pl.String,
    right=pl.String,
    bridge=pl.Boolean,
    orders=pl.String,  # both, or the one order that is asked: ab, ba
)
VERDICTS = _define_schema(
    pair=pl.UInt32,
    cluster=pl.UInt32,
    left=pl.String,
    right=pl.String,
    order=pl.String,
    judge=pl.String,
    repetition=pl.UInt16,
    # as given, or made of value and correctness by the default of `judge.target`
    score_left=pl.Float64,
    score_right=pl.Float64,
    reason=pl.String,
    reply=pl.String,
    value_left=pl.Float64,  # null where the judge gave one score only
    value_right=pl.Float64,
    correctness_left=pl.Float64,
    correctness_right=pl.Float64,
)
RATINGS = _define_schema(
    id=pl.String,
    cluster=pl.UInt32,
    score=pl.Float64,
    error=pl.Float64,  # standard error, null where it cannot be told
    n_comparisons=pl.UInt32,
    component=pl.UInt32,  # scores of different components are not comparable
)
SCORES = pl.Schema(
    {
        **RATINGS,
        "value": pl.Float64(),  # the mean of what the judges gave; null if they gave none
        "correctness": pl.Float64(),
    }
)
SELECTION = _define_schema(
    rank=pl.UInt32,
    id=pl.String,
    cluster=pl.UInt32,
    score=pl.Float64,
    rule=pl.String,  # must-keep, gain, quota, remainder, uncompared, fill
)

# Refinement of a selection (`tacos refine`).
EXCERPTS = _define_schema(
    id=pl.String,
    instruction=pl.String,  # the last question by itself
    context=pl.String,  # what stands beside it and is not rewritten; "" for nothing
    response=pl.String,
    question=pl.String,  # all that stands before the answer, as judges see it
    raw=pl.String,
)
RESPONSES = _define_schema(
    id=pl.String, faults=pl.String, response=pl.String, reply=pl.String
)
INSTRUCTIONS = _define_schema(
    id=pl.String, faults=pl.String, instruction=pl.String, reply=pl.String
)
CANDIDATES = _define_schema(
    id=pl.String,
    question=pl.String,
    response=pl.String,
    raw=pl.String,  # the row with the rewritten texts in their place
    changed=pl.Boolean,
)
REFINEMENTS = _define_schema(
    id=pl.String,
    content_hash=pl.String,
    status=pl.String,  # rewritten, kept, failed
    reason=pl.String,
    instruction=pl.String,  # the original's texts
    response=pl.String,
    new_instruction=pl.String,  # the proposed ones, null where there are none
    new_response=pl.String,
    faults=pl.String,
)

# Calibration of a judge (`tacos calibrate`).
LABELS = _define_schema(
    id=pl.String,
    instruction_a=pl.String,
    response_a=pl.String,
    instruction_b=pl.String,
    response_b=pl.String,
    preferred=pl.String,  # a, b, tie
)
