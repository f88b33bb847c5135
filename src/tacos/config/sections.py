"""The settings of each stage: one frozen model per stage.

The text under a setting is its documentation: `tacos settings` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, model_validator

from tacos import amounts
from tacos.addresses import is_elsewhere, redact_address
from tacos.amounts import QuotaAmount, SelectionSize
from tacos.config.files import digest_file, read_criteria_file, read_object_file
from tacos.config.section import SettingsSection
from tacos.errors import ConfigError

DEFAULT_TARGET = 0.4
"""The share of correctness in the score that selects; the rest is value (`judge.target`)."""


def _normalise_size(value: Any) -> Any:
    """A size as `SelectSettings.n` keeps it: a number of rows, or a text."""
    size = amounts.parse_size(value)
    return int(size.value) if size.unit == "rows" else str(size)


def _normalise_quotas(value: Any, what: str) -> Any:
    """Quotas as `SelectSettings` keeps them: name -> text."""
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"quotas per {what} are a table of names and amounts, "
            f'e.g. {{ "name" = 0.3 }}, not {value!r}'
        )
    quotas = amounts.parse_quotas(value, what)
    return {str(name): str(amount) for name, amount in quotas.items()}


def _normalise_source_quotas(value: Any) -> Any:
    """Quotas of sources."""
    return _normalise_quotas(value, "source")


def _normalise_tag_quotas(value: Any) -> Any:
    """Quotas of tags."""
    return _normalise_quotas(value, "tag")


def _digest_files(value: Any) -> Any:
    """File -> the hash of its content, of one file or several; "" for those elsewhere, whose
    version is looked up before a run.
    """
    if isinstance(value, Mapping):
        return value
    files = [value] if isinstance(value, str | Path) else value
    return {str(file): _digest_one(file) for file in files}


def _digest_one(file: str | Path) -> str:
    """The hash of a file's content, "" for one elsewhere."""
    if not is_elsewhere(file):
        return digest_file(Path(file))
    address = str(file)
    # Settings are kept with the run.
    if redact_address(address) != address:
        raise ConfigError(
            f"{redact_address(address)} was given with a login or a query, which settings must not "
            "keep: download it first, and name the file"
        )
    return ""


def _read_switch(value: Any, on: str) -> Any:
    """A word for the on and off of settings from before there were several ways."""
    if isinstance(value, bool):
        return on if value else "off"
    return value


def _read_semantic_switch(value: Any) -> Any:
    return _read_switch(value, "distance")


def _read_association_switch(value: Any) -> Any:
    return _read_switch(value, "merge")


class IngestSettings(SettingsSection):
    """How rows are read."""

    format: Literal[
        "auto", "alpaca", "sharegpt", "openai", "self-instruct", "columns"
    ] = "auto"
    """The layout of rows. `columns`: those named by `instruction`, `input` and `response`."""
    # For rows of your own layout
    instruction: str = ""
    """The column that holds instructions, or a path such as `data.question`. Empty: detected."""
    input: str = ""
    """The column or path that holds an input to the instruction. Empty: detected."""
    response: str = ""
    """The column or path that holds responses. Empty: detected."""
    system: str = ""
    """The column or path that holds system texts. Empty: detected."""
    preference: Literal["chosen", "rejected"] = "chosen"
    """Which answer of a preference is read; rows without a rejected one are left out then."""
    templates: bool = True
    """Whether a prompt template that nearly all instructions of a file share (labels, marks of chat
    formats, known sentences) is set aside before they are tagged and encoded; judges and the output
    have it.
    """
    roles: dict[str, Literal["user", "assistant", "system", "tool"]] = {}
    """Who the speakers of conversations are, beside the usual names (`user`, `gpt`, `claude`, ...):
    `{"teacher" = "assistant"}`.
    """
    # What the data already has
    tags: str = ""
    """A column or path that already holds tags: rows with tags are not tagged again."""
    score: str = ""
    """A column or path that already holds scores: no judge is asked."""
    max_failure_rate: float = Field(0.02, ge=0, le=1)
    """A larger share of unreadable rows stops the run."""


CleaningRule = Literal[
    "secrets",
    "pii",
    "encoding",
    "refusals",
    "boilerplate",
    "lengths",
    "duplicates",
    "near-duplicates",
    "paraphrases",
    "same-instruction",
]
"""The rules of `tacos clean` that need nothing but their name."""


class CleanSettings(SettingsSection):
    """Rows that are left out as they are read; see `tacos clean`."""

    preset: Literal["off", "light", "strict"] = "off"
    """The rules by which rows are left out: `light` or `strict`."""
    against: Annotated[dict[str, str], BeforeValidator(_digest_files)] = {}
    """Files of evaluation sets: rows with a prompt of theirs are left out. Given as a list of
    files; kept with a hash of each, so that a changed file is noticed.
    """
    rules: tuple[CleaningRule, ...] = ()
    """Rules beside those of the preset, such as `["pii", "same-instruction"]`."""
    languages: tuple[str, ...] = ()
    """Codes of languages, such as `["en", "de"]`: rows in other ones are left out."""

    @property
    def is_on(self) -> bool:
        """Whether any row may be left out."""
        is_preset = self.preset != "off"
        return is_preset or bool(self.against or self.rules or self.languages)


class ExtendSettings(SettingsSection):
    """An annotated pool that the input joins; see `tacos select --extend`."""

    runs: tuple[str, ...] = ()
    """Directories of runs whose rows, and what is known of them, belong to this run, too."""
    renew: bool = False
    """Whether the vocabulary and the clusters are made anew over all rows; else those of the first
    of these runs stay.
    """

    @property
    def keeps_vocabulary(self) -> bool:
        """Whether tags are mapped onto the vocabulary of an earlier run."""
        return bool(self.runs) and not self.renew


class TagSettings(SettingsSection):
    """Open tagging; the sampling is that of the TACOS authors."""

    model: str = "embedded"
    """`embedded`, `llm` (the model of `--model`), another model of that endpoint, or a folder made
    by `tacos distill`.
    """
    temperature: float = Field(0.6, ge=0, le=2)
    """The sampling temperature of a language model."""
    top_p: float = Field(1.0, gt=0, le=1)
    """The nucleus sampling of a language model."""
    max_tokens: int = Field(1024, gt=0)
    """The longest answer, in tokens."""
    max_chars: int = Field(8000, gt=0)
    """Longer instructions lose their middle, which is marked, before they are sent."""
    per_request: int = Field(1, ge=1, le=50)
    """Instructions that a language model gets in one request (`max_tokens` applies to each). More
    are cheaper; the loss of quality depends on the model (`tacos quote --quality` measures it). The
    ledger keeps separate answers for each value. Not for batch and exchange files.
    """
    max_failure_rate: float = Field(0.02, ge=0, le=1)
    """A larger share of instructions without a usable answer stops the run."""


MIN_TAGGED = 200
"""The smallest number of tagged instructions that a tagger is distilled from."""


class CascadeSettings(SettingsSection):
    """A language model tags a sample; a small model learns from it and tags the rest; the language
    model tags again what the small one is least sure of.

    This is not a hard cap (`llm.budget` is): there are `sample` requests, `unsure` of the rest, and
    the retries of both.
    """

    sample: int = Field(0, ge=0)
    """Instructions in the sample. 0: no cascade, `tag.model` tags everything."""
    unsure: int | Annotated[float, Field(le=1)] = Field(0.1, ge=0)
    """What the language model tags again: a share of the rest (0.1, 1.0) or a number of
    instructions (500).
    """

    @model_validator(mode="after")
    def _check_sample(self) -> CascadeSettings:
        if 0 < self.sample < MIN_TAGGED:
            raise ValueError(
                f"a tagger cannot learn from fewer than {MIN_TAGGED} instructions"
            )
        return self

    @property
    def again(self) -> float | None:
        """`unsure` if there is a cascade: what the stage `tag` depends on."""
        return self.unsure if self.sample else None

    def n_again(self, n_rest: int) -> int:
        """How many instructions of the rest are tagged again.

        >>> CascadeSettings(sample=200, unsure=0.25).n_again(1000)
        250
        >>> CascadeSettings(sample=200, unsure=30).n_again(20)
        20
        """
        if isinstance(self.unsure, float):
            return round(self.unsure * n_rest)
        return min(self.unsure, n_rest)


class NormaliseSettings(SettingsSection):
    """How raw tags become canonical tags: the four steps of InsTag, section 3.2."""

    # Step 1: frequency
    alpha: NonNegativeInt | Literal["auto"] = "auto"
    """Tags seen fewer times are dropped. `auto`: 20 for `auto_samples` samples, and for fewer
    samples less, by the square root.
    """
    auto_samples: int = Field(306_044, gt=0)
    """The number of samples for which `auto` means 20: InsTag's number of queries. The preset
    `paper` has the 52,002 samples of TACOS, whose authors used 20 as well.
    """
    # Step 2: rules
    rules: bool = True
    """Merge tags that differ only in case, special characters or word endings."""
    signs: bool = True
    """`+` and `#` at the end of a word belong to it (C++, C#). The papers turn them into spaces,
    which merges them with C.
    """
    guard: float = Field(0.7, ge=0, le=1)
    """Merge tags with the same stems only if their words have at least this cosine similarity. 0
    merges them all, as the papers do.
    """
    # Step 3: meaning
    semantic: Annotated[
        Literal["learned", "distance", "off"], BeforeValidator(_read_semantic_switch)
    ] = "learned"
    """Merge tags of similar meaning. `learned`: those that a small model, fitted to pairs of tags
    that readers judged, finds likely to be the same (with the encoder `minilm`; with any other:
    `distance`). `distance`: those within `eps` of each other.
    """
    eps: float = Field(0.05, gt=0, lt=2)
    """The largest distance at which tags are merged by meaning (DBSCAN)."""
    max_tags: int = Field(200_000, gt=0)
    """If more tags are left to merge by meaning, the run stops: the time grows with the square of
    their number, and MiniLM embeds a few hundred per second.
    """
    model: str = ""
    """A language model that says which tags mean the same, in place of `semantic`: `llm` (the model
    of `--model`) or another model of that endpoint. Empty: none is asked.
    """
    max_pairs: int = Field(5000, gt=0)
    """The most pairs of tags that the language model is asked about."""
    pairs_per_request: int = Field(16, ge=1, le=100)
    """About how many pairs are in one request."""
    temperature: float = Field(0.0, ge=0, le=2)
    """The sampling temperature of the language model."""
    max_tokens: int = Field(4096, gt=0)
    """The longest answer, in tokens, for all pairs of a request."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """A larger share of requests without a usable answer stops the run. Below it, tags of a pair
    without an answer stay apart.
    """
    # Step 4: association
    association: Annotated[
        Literal["link", "merge", "off"], BeforeValidator(_read_association_switch)
    ] = "link"
    """What becomes of a tag that nearly always occurs with another one. `link`: both stay, and the
    other one is noted as its parent. `merge`: it is merged into the other one, as InsTag does.
    """
    min_support: NonNegativeInt | Literal["auto"] = "auto"
    """In how many samples tags must occur together to be associated: a count, never a fraction."""
    min_confidence: float = Field(0.99, gt=0, le=1)
    """In what share of a tag's samples the other one must occur, too."""
    itemsets: bool = False
    """Also remove from each sample the tags that several of its other tags imply (needs pyfim).
    This merges no tags.
    """
    encoder: str = "minilm"
    """The encoder of tags: `minilm`, `static`, a folder, or `endpoint:MODEL` (see `embed`)."""
    # Your own decisions, or a vocabulary that is there already
    overrides: dict[str, Any] = {}
    """Your own decisions about tags: drop, merge, rename, keep_apart. See
    `tacos.methods.tags.overrides`.
    """
    overrides_file: str = ""
    """A TOML or JSON file to read `overrides` from. Results depend on its content, not its name."""
    vocabulary: dict[str, Any] = {}
    """A published vocabulary to map the tags onto, instead of making one. See
    `tacos.methods.tags.published_vocabulary`.
    """
    vocabulary_file: str = ""
    """A JSON file to read `vocabulary` from. Results depend on its content, not its name."""

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        # The content is part of the settings, so that a run does not depend on the file later.
        merged = dict(values)
        for name in ("overrides", "vocabulary"):
            file = values.get(f"{name}_file")
            if file:
                merged[name] = read_object_file(Path(file))
                merged[f"{name}_file"] = ""
        return merged

    @model_validator(mode="after")
    def _check_vocabulary(self) -> NormaliseSettings:
        if self.overrides and self.vocabulary:
            raise ValueError(
                "overrides do not apply to a published vocabulary; edit its file instead"
            )
        return self


class CanonicaliseSettings(SettingsSection):
    """The canonical tags of each row."""

    tags: dict[str, tuple[str, ...]] = {}
    """Content hash -> tags that a person has set in place of the row's own; see `--edits`."""


class ClusterSettings(SettingsSection):
    """K-means over the embeddings of samples, or over tags, weighted by frequency (TACOS)."""

    by: Literal["embedding", "tags"] = "embedding"
    """`embedding`: clusters of samples, each in the one cluster whose centre is nearest to the
    embedding of its text and its tags (preset `robust`). `tags`: clusters of tags (preset `paper`).
    """
    k: int | Literal["auto"] = "auto"
    """The number of clusters. `auto`: one per 40 samples, between 5 and 50. Never more than there
    are distinct tags (by tags).
    """
    tag_weight: float = Field(0.55, ge=0)
    """The weight of a sample's tags in its embedding, beside 1 for its text. 0: text alone (by
    embedding).
    """
    weighted: bool = True
    """Weight tags by their frequency (by tags)."""
    membership: Literal["home", "every"] = "home"
    """`home`: each sample is in one cluster (preset `robust`). `every`: in the cluster of each of
    its tags (preset `paper`).
    """
    smallest: int = Field(8, ge=0)
    """Clusters with fewer samples are merged into the nearest one; the number is half the mean size
    of `k` clusters where that is smaller. 0: never (preset `paper`). See
    `tacos.methods.clusters.cluster_size_limits`.
    """
    largest: float = Field(0.1, gt=0, le=1)
    """Clusters with a larger share of all samples are split by a second K-means; the share is
    twice the mean of `k` clusters where that is larger. 1: never (preset `paper`).
    """
    encoder: str = "minilm"
    """The encoder of tags: `minilm`, `static`, a folder, or `endpoint:MODEL` (see `embed`; by
    tags).
    """
    max_tags: int = Field(200_000, gt=0)
    """With more tags, the run stops instead of embedding them for hours (by tags)."""
    sample_encoder: str = "static"
    """The encoder of texts and of the names of their tags: `static`, `minilm` (55 rows a second and
    core), or a folder (by embedding).
    """


class ShortlistSettings(SettingsSection):
    """Which members of a cluster are compared."""

    rule: Literal[
        "auto",
        "all",
        "longest-per-tag-set",
        "stratified",
        "objective",
        "embedded-judge",
        "random",
    ] = "auto"
    """Has an effect only before comparisons and before the slow tier of the embedded judge: a judge
    that grades every row, such as the embedded one without it, has every row on the shortlist.
    `stratified`: the best by a cheap grade, and some of every kind (cluster and length); `auto`
    before a language model. `objective`: what the selection would take by that grade; `auto` before
    the slow tier of the embedded judge. `embedded-judge`: the best of each cluster by the grade;
    `auto` where `select.quota` gives clusters a share. `longest-per-tag-set`: the unwritten
    heuristic of the TACOS authors.
    """
    factor: float = Field(4.0, gt=0)
    """Shortlisted rows per row wanted (rules `stratified`, `objective`, `embedded-judge` and
    `random`).
    """
    explore: float = Field(0.25, ge=0, le=1)
    """The share of the shortlist that is not simply the best by grade: spread over clusters and
    thirds of length (rule `stratified`), or drawn at random (rule `embedded-judge`).
    """
    close_factor: float = Field(2.25, ge=1)
    """Rows that the slow tier of the embedded judge reads, per row wanted (`judge.close`)."""
    cap: int = Field(0, ge=0)
    """The largest shortlist of a cluster, whatever the rule. 0: no limit."""


class PairSettings(SettingsSection):
    """Which samples are compared with each other."""

    method: Literal["neighbour", "reference", "chain+swiss", "active"] = "chain+swiss"
    """`neighbour`: as in the paper. `reference`: each sample against the one with the median grade
    in its cluster (without grades, a random one). `active`: only where an answer can still change
    who is selected, and a second order only where it can, too; limits are not taken into account.
    """
    rounds: int = Field(4, ge=1)
    """`chain+swiss`: one chain, then rounds - 1 Swiss rounds. `active`: one opening round, then
    rounds - 1 active ones.
    """
    budget: float = Field(2.0, ge=0.6)
    """Requests per shortlisted sample and judge, bridges and opening included; a pair in both
    orders takes two (method `active`). From 2 on, the opening connects each cluster. Rounds end
    early when no answer could change anything.
    """
    bridges: int = Field(2, ge=0)
    """Pairs per cluster that connect it to another cluster, so that one rating covers all."""

    @property
    def n_rounds(self) -> int:
        """The number of rounds; methods that do not read verdicts have one."""
        return self.rounds if self.method in {"chain+swiss", "active"} else 1


Share = Annotated[float, Field(ge=0, le=1)]


class JudgeSettings(SettingsSection):
    """Comparative scoring in both orders (TACOS), or for ablations each sample alone (as in
    AlpaGasus).
    """

    model: str = "embedded"
    """`embedded`, `llm` (the model of `--model`), another model of that endpoint, or a folder made
    by `tacos distill`.
    """
    models: tuple[str, ...] = ()
    """A panel (["a", "b"]) instead of `model`: each judge gets every question. If both are set, the
    later one wins.
    """
    mode: Literal["auto", "comparative", "singleton"] = "auto"
    """`comparative`: pairs of samples (preset `paper`). `singleton`: no pairs; the judge grades
    each sample alone, and the grade is the score. `auto`: `singleton` for judges that see each
    sample alone anyway (`embedded`, folders, your own function), since comparisons by them change
    nothing; `comparative` for all others.
    """
    close: Literal["auto", "on", "off"] = "auto"
    """Whether the embedded judge reads the shortlist a second time, with a language model (the
    slow tier). `auto`: where its weights are installed and `mode` is `auto`. `off`: the fast tier
    grades every row, and its grade is the score.
    """
    reliability: Literal["auto"] | Share = "auto"
    """How much the scores say: the share of the variance of reference grades that they explain
    (`tacos calibrate` measures it). The less, the more diversity counts in the selection: 0 selects
    by tags alone, 1 by score alone. `auto`: as measured for the embedded judge; else 0.5, or less
    where a language model's own contradictions leave less.
    """
    reliability_interval: tuple[Share, Share] | None = None
    """Both ends of the 95% interval of a `reliability` that is set, as `tacos calibrate` prints
    them. No row depends on it: with it the summary can say whether the selection is better than
    random.
    """
    scores: Literal["two", "one"] = "two"
    """What a language model is asked for. `two`: the correctness and the value of each sample.
    `one`: a single score by the seven criteria of the paper (preset `paper`).
    """
    target: float = Field(DEFAULT_TARGET, ge=0, le=1)
    """The share of correctness in the score that selects; the rest is value. Changing it asks no
    question again; rows and pairs that another target brings in are new ones. A judge that gives
    one score is not affected.
    """
    repetitions: int = Field(1, ge=1, le=100)
    """How often each judge gets the same question. Of little use at temperature 0."""
    criteria: str = ""
    """Your own criteria and rubric, put into the prompt word for word."""
    criteria_file: str = ""
    """A text file to read `criteria` from. Results depend on its content, not its name."""
    temperature: float = Field(0.0, ge=0, le=2)
    """The sampling temperature of a language model."""
    max_tokens: int = Field(1024, gt=0)
    """The longest answer, in tokens."""
    max_chars: int = Field(12000, gt=0)
    """Longer samples lose their middle, which is marked, before they are sent; both samples of a
    pair are treated alike.
    """
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
    def _check_panel(self) -> JudgeSettings:
        if len(set(self.models)) < len(self.models):
            raise ValueError(
                "a judge is named twice; to ask a judge more than once, set judge.repetitions"
            )
        return self

    @model_validator(mode="after")
    def _check_interval(self) -> JudgeSettings:
        if self.reliability_interval is None:
            return self
        low, high = self.reliability_interval
        if self.reliability == "auto" or not low <= self.reliability <= high:
            raise ValueError(
                "judge.reliability_interval must hold judge.reliability: set both, as "
                "tacos calibrate prints them"
            )
        return self

    @property
    def panel(self) -> tuple[str, ...]:
        """The names of the judges, as they are set: one, or several."""
        return self.models or (self.model,)

    @property
    def asking(self) -> dict[str, Any]:
        """What questions to the judge and their answers depend on: the whole section but the
        target, which combines numbers that the judge has given, how far they are trusted, and
        whether the shortlist is read a second time.
        """
        others = {"target", "reliability", "reliability_interval", "close"}
        return self.model_dump(mode="json", exclude=others)

    @property
    def grading(self) -> dict[str, Any]:
        """What the stage `grade` depends on: all that questions depend on if the judge grades, else
        only how texts are cut.
        """
        if self.mode == "singleton":
            return self.asking
        return {"max_chars": self.max_chars}


class RateSettings(SettingsSection):
    """How verdicts become scores."""

    method: Literal["mean", "least-squares", "bradley-terry"] = "least-squares"
    """`mean`: of the raw scores (preset `paper`). `least-squares`: on score differences.
    `bradley-terry`: on who won, which is robust against outliers.
    """
    scope: Literal["cluster", "global"] = "global"
    """One rating for each cluster, or one for all of them together."""
    prior: Literal["none", "grades"] = "none"
    """`grades`: scores are pulled towards what the cheap grade predicts, more so where they are
    less certain. Useful with fewer requests than samples, but not with the judge that gave the
    grades (method `least-squares`).
    """
    length: bool = False
    """Subtract the judge's preference for length itself (method `bradley-terry`)."""
    weights: dict[str, float] = {}
    """The weight of a judge's verdicts, by its name; 1 for all others (method `bradley-terry`)."""

    @model_validator(mode="after")
    def _check_method(self) -> RateSettings:
        if self.prior != "none" and self.method != "least-squares":
            raise ValueError("rate.prior needs rate.method=least-squares: set it")
        if (self.length or self.weights) and self.method != "bradley-terry":
            raise ValueError(
                "rate.length and rate.weights need rate.method=bradley-terry: set it"
            )
        if self.scope == "cluster" and self.method == "bradley-terry":
            raise ValueError(
                "rate.method=bradley-terry rates all clusters together: leave out rate.scope"
            )
        if any(not weight > 0 for weight in self.weights.values()):
            raise ValueError("every weight of rate.weights must be above 0")
        return self


class SelectSettings(SettingsSection):
    """How many rows are selected, and what makes one selection better than another."""

    n: Annotated[int | str, BeforeValidator(_normalise_size)] = 1000
    """Rows (500), a share of the pool ("5%"), or a budget of tokens ("2Mtokens")."""
    quota: Literal["none", "ascending-size", "square-root", "proportional", "equal"] = (
        "none"
    )
    """How a cluster's share of the selection depends on its size. `none`: clusters have no share,
    rows come from anywhere. `ascending-size`: the same for all, the smallest cluster first (preset
    `paper`).
    """
    tag_price: float = Field(1.5, ge=0, allow_inf_nan=False)
    """What one more tag is worth, in points of expected quality (1 to 100), if the judge were
    worthless; the more reliable the judge, the less. 0: only scores count (preset `paper`). See
    `tacos.methods.selecting.objective`.
    """
    # Single rows
    keep: tuple[str, ...] = ()
    """Sample ids or content hashes that must be selected. They count towards `n`."""
    exclude: tuple[str, ...] = ()
    """Sample ids or content hashes that must not be selected."""
    fill: bool = False
    """If there are too few judged rows, add unjudged ones; if there are still too few, select fewer
    instead of stopping.
    """
    # Limits: see `tacos.methods.selecting.limits`
    per_source: Annotated[
        dict[str, str], BeforeValidator(_normalise_source_quotas)
    ] = {}
    """Source (input file) -> its quota of the selection: a share (0.3 or "30%"), rows (300), or an
    upper limit ("<=30%", "<=300").
    """
    per_tag: Annotated[dict[str, str], BeforeValidator(_normalise_tag_quotas)] = {}
    """Canonical tag -> its quota of the selection, in the same form."""
    match_length: bool = False
    """Take a tenth of the selection from each tenth of the pool by length of response, so that
    longer is not simply better.
    """
    limit: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = "auto"
    """Skip near-duplicates of a selected row. `auto`: rows that ask the same, by their words, and
    are answered alike, by all-MiniLM-L6-v2 where its weights are installed; they are taken after
    all where there are no others. A number: rows whose cosine similarity (static encoder, question
    and response) is above it. 1: none are skipped (preset `paper`).
    """
    conversations: bool = True
    """Take at most one row of a conversation, where rows are longer and longer beginnings of it:
    the one with the best score and new tags. More are taken only where there are no others. `false`
    in preset `paper`.
    """
    min_correctness: float = Field(0.0, ge=0, le=100)
    """Skip rows whose correctness, by the judge, is below this (1 to 100). 0: none are skipped.
    Rows without a correctness of their own are not skipped.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_coverage(cls, values: Any) -> Any:
        """Take the settings of runs before 0.3: `coverage` was a price in standard deviations."""
        if not isinstance(values, Mapping) or "coverage" not in values:
            return values
        renamed = dict(values)
        if not renamed.pop("coverage"):
            renamed["tag_price"] = 0.0
        return renamed

    @model_validator(mode="after")
    def _check_floor(self) -> SelectSettings:
        if self.min_correctness and self.fill:
            raise ConfigError(
                "select.fill adds rows that were not judged, which select.min_correctness cannot "
                "test: leave out one of them (--fill, --min-correctness)"
            )
        return self

    @model_validator(mode="after")
    def _check_source_quotas(self) -> SelectSettings:
        exact_shares = [
            quota.value
            for quota in self.parts("per_source").values()
            if quota.unit == "share" and not quota.at_most
        ]
        total = sum(exact_shares)
        if total > 1 + 1e-9:  # 0.1 + 0.2 + 0.7 is a little more than 1
            raise ConfigError(
                f"the quotas of the sources sum to {total:.0%}, more than the whole selection"
            )
        return self

    @property
    def size(self) -> SelectionSize:
        """`n` as an amount."""
        return amounts.parse_size(self.n)

    def parts(self, name: Literal["per_source", "per_tag"]) -> dict[str, QuotaAmount]:
        """The quotas of sources or tags."""
        return amounts.parse_quotas(getattr(self, name), name)

    @property
    def cosine(self) -> float:
        """The largest cosine similarity of whole samples; 1 without such a limit."""
        return 1.0 if self.limit == "auto" else self.limit

    @property
    def limited(self) -> bool:
        """Whether somebody asks for rows to be skipped for another reason than their score."""
        return bool(
            self.per_source
            or self.per_tag
            or self.match_length
            or self.cosine < 1
            or self.min_correctness
        )


class RefineSettings(SettingsSection):
    """Rewriting of selected rows (TACOS, optional); the judges of the section `judge` confirm each
    rewrite.
    """

    model: str = "llm"
    """The model that rewrites: `llm` (the model of `--model`) or another model of that endpoint."""
    instructions: bool = True
    """Rewrite the instruction, too, after the response."""
    temperature: float = Field(0.3, ge=0, le=2)
    """The sampling temperature."""
    max_tokens: int = Field(4096, gt=0)
    """The longest answer, in tokens."""
    max_chars: int = Field(8000, gt=0)
    """Longer rows stay as they are, since a shortened text cannot be rewritten."""
    max_failure_rate: float = Field(0.2, ge=0, le=1)
    """A larger share of failures stops the command; below it, rows that failed stay as they are."""


class CheckSettings(SettingsSection):
    """Tag quality (InsTag, section 3.3): cases drawn from the samples of a run, judged by a model
    or by people.
    """

    model: str = "llm"
    """The model that judges: `llm` (the model of `--model`) or another model of that endpoint."""
    n_precision: int = Field(200, ge=0)
    """Cases of the question: is this tag right for this instruction? InsTag had 2,000."""
    n_consistency: int = Field(200, ge=0)
    """Cases of the question: does this tag mean the same everywhere? InsTag had 2,000."""
    n_planted: int = Field(50, ge=0)
    """Additional cases of either kind with a wrong tag or an unrelated instruction planted."""
    n_instructions: int = Field(4, ge=2, le=6)
    """Instructions per consistency case."""
    temperature: float = Field(0.0, ge=0, le=2)
    """The sampling temperature."""
    max_tokens: int = Field(512, gt=0)
    """The longest answer, in tokens."""
    max_chars: int = Field(4000, gt=0)
    """Longer instructions lose their middle, which is marked, before they are sent."""
    max_failure_rate: float = Field(0.1, ge=0, le=1)
    """A larger share of cases without a usable answer stops the command."""
