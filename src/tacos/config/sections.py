"""The settings of each stage: one frozen model per stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, model_validator

from tacos import amounts
from tacos.amounts import QuotaAmount, SelectionSize
from tacos.config.files import read_criteria_file, read_object_file
from tacos.config.section import SettingsSection
from tacos.errors import ConfigError


def _normalise_size(value: Any) -> Any:
    """A size as `Select.n` keeps it: a number of rows, or a text."""
    size = amounts.parse_size(value)
    return int(size.value) if size.unit == "rows" else str(size)


def _normalise_quotas(value: Any, what: str) -> Any:
    """Quotas as `SelectSettings` keeps them: name -> text."""
    if not isinstance(value, Mapping):
        raise ConfigError(
            f'quotas per {what} are a table of names and parts, e.g. {{ "name" = 0.3 }}, not {value!r}'
        )
    return {str(name): str(part) for name, part in amounts.parse_quotas(value, what).items()}


def _normalise_source_quotas(value: Any) -> Any:
    """Quotas of sources."""
    return _normalise_quotas(value, "source")


def _normalise_tag_quotas(value: Any) -> Any:
    """Quotas of tags."""
    return _normalise_quotas(value, "tag")


class IngestSettings(SettingsSection):
    """How rows are read; empty names mean "detect"."""

    format: Literal["auto", "alpaca", "sharegpt", "openai", "self-instruct", "columns"] = "auto"
    instruction: str = ""
    input: str = ""
    response: str = ""
    tags: str = ""
    """A column that already holds tags: the entry point after tagging."""
    score: str = ""
    """A column that already holds scores: the entry point after rating."""
    max_failure_rate: float = Field(0.02, ge=0, le=1)


class TagSettings(SettingsSection):
    """Open tagging (TACOS): sampling as its authors ran it."""

    model: str = "embedded"
    temperature: float = Field(0.6, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, gt=0)
    max_chars: int = Field(8000, gt=0)
    """Longer instructions are cut, visibly, before they are asked."""
    per_request: int = Field(1, ge=1, le=50)
    """Instructions that a language model is asked in one request (`max_tokens` is for each).
    Cheaper; what it costs in quality depends on the model (`tacos quote --quality` measures it).
    Each size has answers of its own in the ledger. Not for batch and exchange files.
    """
    max_failure_rate: float = Field(0.02, ge=0, le=1)


MIN_TAGGED = 200
"""The fewest tagged instructions that a tagger is distilled from."""


class CascadeSettings(SettingsSection):
    """A language model tags a sample, a small one learns from it and tags the rest; what it is
    least sure of goes back.

    No hard cap: `llm.budget` is that. The requests are `sample` plus `unsure` of the rest, and the
    re-asks of both.
    """

    sample: int = Field(0, ge=0)
    """Instructions of the sample; 0: no cascade, the model of the section `tag` tags everything."""
    unsure: int | Annotated[float, Field(le=1)] = Field(0.1, ge=0)
    """What goes back: a share of the rest (0.1, 1.0), or a number of instructions (500)."""

    @model_validator(mode="after")
    def _enough(self) -> CascadeSettings:
        if 0 < self.sample < MIN_TAGGED:
            raise ValueError(f"a tagger cannot learn from fewer than {MIN_TAGGED} instructions")
        return self

    @property
    def again(self) -> float | None:
        """`unsure` where there is a cascade: what the stage `tag` depends on."""
        return self.unsure if self.sample else None

    def n_again(self, n_rest: int) -> int:
        """How many instructions of the rest go back.

        >>> CascadeSettings(sample=200, unsure=0.25).n_again(1000), CascadeSettings(sample=200, unsure=30).n_again(20)
        (250, 20)
        """
        return (
            round(self.unsure * n_rest)
            if isinstance(self.unsure, float)
            else min(self.unsure, n_rest)
        )


class NormaliseSettings(SettingsSection):
    """The four steps of InsTag, section 3.2."""

    alpha: NonNegativeInt | Literal["auto"] = "auto"
    """Tags seen fewer times are dropped; "auto": 20 at `auto_samples` samples, less at fewer, by
    the square root.
    """
    auto_samples: int = Field(306_044, gt=0)
    """InsTag's number of queries; `paper` has the 52,002 samples of TACOS, whose authors used 20 as
    well.
    """
    rules: bool = True
    signs: bool = True
    """`+` and `#` at a word's end belong to it (C++, C#); the papers turn them into spaces and so
    merge them with C.
    """
    guard: float = Field(0.7, ge=0, le=1)
    """Tags with the same stems are merged only if their words have this cosine; 0 merges them all,
    as the papers do.
    """
    semantic: bool = True
    eps: float = Field(0.05, gt=0, lt=2)
    max_tags: int = Field(200_000, gt=0)
    """More tags after the frequency filter are not merged by meaning but refused: the time grows
    with the square of their number, and MiniLM embeds some hundred a second.
    """
    association: bool = True
    min_support: NonNegativeInt | Literal["auto"] = "auto"
    """A count of samples, never a fraction."""
    min_confidence: float = Field(0.99, gt=0, le=1)
    itemsets: bool = False
    """Also take from each sample the tags that several of its others imply (rules by pyfim); they
    merge no tags.
    """
    encoder: str = "minilm"
    """A name of `tacos.models.encoder`, a folder, or `endpoint:MODEL` (see `embed`)."""
    overrides: dict[str, Any] = {}
    """What a person decided about tags (drop, merge, rename, keep_apart); see
    `tacos.methods.tags.overrides`.
    """
    overrides_file: str = ""
    """A TOML or JSON file to read `overrides` from; its content, not its name, is what counts
    afterwards.
    """
    vocabulary: dict[str, Any] = {}
    """A published vocabulary to map the tags onto, instead of making one; see
    `tacos.methods.tags.published_vocabulary`.
    """
    vocabulary_file: str = ""
    """A JSON file to read `vocabulary` from; its content, not its name, is what counts afterwards.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        named = {name: values.get(f"{name}_file") for name in ("overrides", "vocabulary")}
        read = {name: read_object_file(Path(file)) for name, file in named.items() if file}
        return {**values, **read, **{f"{name}_file": "" for name in read}}

    @model_validator(mode="after")
    def _one_of_them(self) -> NormaliseSettings:
        if self.overrides and self.vocabulary:
            raise ValueError(
                "overrides do not apply to a published vocabulary; edit its file instead"
            )
        return self


class ClusterSettings(SettingsSection):
    """K-means over tags, weighted by frequency (TACOS), or for comparison over the samples'
    embeddings.
    """

    by: Literal["tags", "embedding"] = "tags"
    """`embedding`: of instruction and response; each sample is in the one cluster whose centre is
    nearest.
    """
    k: int | Literal["auto"] = "auto"
    """"auto": one per 40 samples, between 5 and 50; never more than distinct tags."""
    weighted: bool = True
    membership: Literal["home", "every"] = "home"
    """One home cluster per sample (robust), or membership in each cluster of its tags (paper)."""
    smallest: int = Field(0, ge=0)
    """Clusters with fewer samples are merged into the nearest; 0: none are. See
    `tacos.methods.clusters.cluster_size_limits`.
    """
    largest: float = Field(1.0, gt=0, le=1)
    """Clusters with a larger share of all samples are split by a second K-means; 1: none are."""
    encoder: str = "minilm"
    """The encoder of tags: a name of `tacos.models.encoder`, a folder, or `endpoint:MODEL` (see
    `embed`).
    """
    max_tags: int = Field(200_000, gt=0)
    """More tags are refused rather than embedded for hours (by tags)."""
    sample_encoder: str = "static"
    """The encoder of samples (by embedding)."""


class ShortlistSettings(SettingsSection):
    """Which members of a cluster enter comparison."""

    rule: Literal["all", "longest-per-tag-set", "embedded-judge", "random"] = "embedded-judge"
    """`embedded-judge`: the best by a cheap grade; `longest-per-tag-set`: the paper authors'
    unwritten heuristic.
    """
    factor: float = Field(4.0, gt=0)
    """Shortlisted rows per quota of the cluster (rules embedded-judge and random)."""
    explore: float = Field(0.10, ge=0, le=1)
    """Share of the shortlist that is drawn at random instead (rule embedded-judge)."""
    cap: int = Field(0, ge=0)
    """The largest shortlist of a cluster, whatever the rule; 0: none."""


class PairSettings(SettingsSection):
    """Which samples are compared with each other."""

    method: Literal["neighbour", "reference", "chain+swiss", "active"] = "chain+swiss"
    """`neighbour`: the paper's. `reference`: each against the middle one of its cluster by grade
    (without grades one at random). `active`: where an answer can still change who is among the best
    by score, second orders only where they can, too; `select.coverage`, quotas and limits, which
    also decide, are not looked at.
    """
    rounds: int = Field(4, ge=1)
    """One chain, then rounds - 1 Swiss rounds (chain+swiss); one opening, then rounds - 1 active
    ones (active).
    """
    budget: float = Field(2.0, ge=0.6)
    """Requests per shortlisted sample and judge, bridges and openings included (method active); a
    pair in both orders is two. From 2 on the opening ties each cluster together. Rounds end early
    where no answer could change anything.
    """
    bridges: int = Field(2, ge=0)
    """Pairs per cluster that tie it to another cluster, so that one rating spans all."""

    @property
    def n_rounds(self) -> int:
        """The rounds that there are: plans that read no verdict have one."""
        return self.rounds if self.method in {"chain+swiss", "active"} else 1


class JudgeSettings(SettingsSection):
    """Comparative scoring, both orders (TACOS), or for ablation every sample alone (as AlpaGasus
    does).
    """

    model: str = "embedded"
    """`embedded`, `llm` (the model of `--model`), another model of that endpoint, or a folder of
    `tacos distill`.
    """
    models: tuple[str, ...] = ()
    """A panel (["a", "b"]) instead of `model`: each is asked every question. Of the two the one set
    later counts.
    """
    mode: Literal["comparative", "singleton"] = "comparative"
    """`singleton`: no shortlist, no pairs; the judge grades every sample alone, and the grade is
    the score.
    """
    repetitions: int = Field(1, ge=1, le=100)
    """How often each judge is asked the same question; says little at temperature 0."""
    criteria: str = ""
    """The user's own criteria and rubric, put into the prompt word for word."""
    criteria_file: str = ""
    """A text file to read `criteria` from; its content, not its name, is what counts afterwards."""
    temperature: float = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(1024, gt=0)
    max_chars: int = Field(12000, gt=0)
    """Longer samples are cut, visibly and both alike, before they are asked."""
    max_failure_rate: float = Field(0.02, ge=0, le=1)
    """A larger share of verdicts without a usable answer stops the run."""

    @model_validator(mode="before")
    @classmethod
    def _read_criteria(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not values.get("criteria_file"):
            return values
        return {
            **values,
            "criteria": read_criteria_file(Path(values["criteria_file"])),
            "criteria_file": "",
        }

    @model_validator(mode="after")
    def _distinct(self) -> JudgeSettings:
        if len(set(self.models)) < len(self.models):
            raise ValueError(
                "a judge is named twice; to ask one more than once, set judge.repetitions"
            )
        return self

    @property
    def panel(self) -> tuple[str, ...]:
        """The judges as they are named: one, or several."""
        return self.models or (self.model,)

    @property
    def grading(self) -> dict[str, Any]:
        """What the stage `grade` depends on: all of this where the judge grades, else only how
        texts are cut.
        """
        return (
            self.model_dump(mode="json")
            if self.mode == "singleton"
            else {"max_chars": self.max_chars}
        )


class RateSettings(SettingsSection):
    """How verdicts become scores."""

    method: Literal["mean", "least-squares", "bradley-terry"] = "least-squares"
    """`mean` of the raw scores (paper), least squares on score differences, or who won (robust
    against outliers).
    """
    scope: Literal["cluster", "global"] = "global"
    prior: Literal["none", "grades"] = "none"
    """`grades`: scores are drawn towards what the cheap grade predicts, the more the less certain
    they are; worth it where there are fewer requests than samples. Not with a judge that made the
    grades (method least-squares).
    """
    length: bool = False
    """Take off what length alone is worth to the judge (method bradley-terry)."""
    weights: dict[str, float] = {}
    """What a judge's verdicts count for, by its name; others count 1 (method bradley-terry)."""

    @model_validator(mode="after")
    def _can(self) -> RateSettings:
        if self.prior != "none" and self.method != "least-squares":
            raise ValueError("a prior is for the method least-squares")
        if (self.length or self.weights) and self.method != "bradley-terry":
            raise ValueError("length and weights are for the method bradley-terry")
        if self.scope == "cluster" and self.method == "bradley-terry":
            raise ValueError(
                "the method bradley-terry rates all clusters together; leave out scope"
            )
        if any(not weight > 0 for weight in self.weights.values()):
            raise ValueError("a weight is a number above 0")
        return self


class SelectSettings(SettingsSection):
    """How many, and how they are shared out among clusters."""

    n: Annotated[int | str, BeforeValidator(_normalise_size)] = 1000
    """Rows (500), a share of the pool ("5%"), or a budget of tokens ("2Mtokens"); see
    `tacos.amounts`.
    """
    quota: Literal["ascending-size", "square-root", "proportional", "equal"] = "square-root"
    """A cluster's share by its size; `ascending-size`: the same for all, the smallest cluster first
    (paper).
    """
    coverage: float = Field(0.5, ge=0)
    """What one more canonical tag covered is worth, in standard deviations of the scores; 0: only
    scores count (paper).
    """
    keep: tuple[str, ...] = ()
    """Sample ids or content hashes that must be selected; they count towards n."""
    exclude: tuple[str, ...] = ()
    """Sample ids or content hashes that must not be selected."""
    fill: bool = False
    """Take unjudged rows where there are fewer judged ones than asked for, and fewer rows where
    there are no more.
    """
    per_source: Annotated[dict[str, str], BeforeValidator(_normalise_source_quotas)] = {}
    """Source (input file) -> its part of the selection: 0.3 or "30%", rows (300), or a limit
    ("<=30%", "<=300").
    """
    per_tag: Annotated[dict[str, str], BeforeValidator(_normalise_tag_quotas)] = {}
    """Canonical tag -> its part of the selection, written as those of sources."""
    match_length: bool = False
    """Each tenth of the pool by length of response has a tenth of the selection: longer is then not
    simply better.
    """
    limit: float = Field(1.0, gt=0, le=1)
    """Below 1: turn rows away whose cosine (static encoder) to a row taken is larger, as near
    duplicates.
    """

    @model_validator(mode="after")
    def _can(self) -> SelectSettings:
        shares = sum(
            part.value
            for part in self.parts("per_source").values()
            if part.unit == "share" and not part.at_most
        )
        if shares > 1 + 1e-9:
            raise ConfigError(
                f"the quotas of the sources sum to {shares:.0%}, more than the whole selection"
            )
        return self

    @property
    def size(self) -> SelectionSize:
        """What `n` means."""
        return amounts.parse_size(self.n)

    def parts(self, name: Literal["per_source", "per_tag"]) -> dict[str, QuotaAmount]:
        """The quotas of sources or tags."""
        return amounts.parse_quotas(getattr(self, name), name)

    @property
    def limited(self) -> bool:
        """Whether rows can be turned away for another reason than their score."""
        return bool(self.per_source or self.per_tag or self.match_length or self.limit < 1)


class RefineSettings(SettingsSection):
    """Rewriting of selected rows (TACOS, optional); judges of the section `judge` confirm each
    rewrite.
    """

    model: str = "llm"
    """The model that rewrites: `llm` is that of `--model`. The judges of the section `judge` are
    asked apart.
    """
    instructions: bool = True
    """Rewrite the instruction, too, after the response."""
    temperature: float = Field(0.3, ge=0, le=2)
    max_tokens: int = Field(4096, gt=0)
    max_chars: int = Field(8000, gt=0)
    """Longer rows stay as they are: a text that was cut cannot be rewritten."""
    max_failure_rate: float = Field(0.2, ge=0, le=1)
    """More failures than this stop the command; under it, the originals stay."""


class CheckSettings(SettingsSection):
    """Tag quality (InsTag, section 3.3): cases drawn from the samples of a run, judged by a model
    or by people.
    """

    model: str = "llm"
    n_precision: int = Field(200, ge=0)
    """Is this tag right for this instruction? InsTag asked 2,000."""
    n_consistency: int = Field(200, ge=0)
    """Does this tag mean the same in these instructions? InsTag asked 2,000."""
    n_planted: int = Field(50, ge=0)
    """Cases of either kind with a wrong tag or a foreign instruction planted, on top of these."""
    n_instructions: int = Field(4, ge=2, le=6)
    """Instructions per consistency case."""
    temperature: float = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(512, gt=0)
    max_chars: int = Field(4000, gt=0)
    """Longer instructions are cut, visibly, before they are asked."""
    max_failure_rate: float = Field(0.1, ge=0, le=1)
