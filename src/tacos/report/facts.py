"""What a run did, as plain figures: the same for the terminal, for JSON and for the HTML report.

Every figure says how many rows it rests on. A stage that the settings leave out has no figures.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl

from tacos.config import Settings
from tacos.engines.freed_memory import give_back_memory
from tacos.methods.judging import judge_health
from tacos.methods.judging.comparisons import combine_verdicts
from tacos.methods.measures.random_range import RandomRange
from tacos.methods.samples.reading_notes import group_notes
from tacos.models import close_judge, judge
from tacos.pipeline import conditions
from tacos.pipeline.reply_origins import N_ASKED_ANEW, list_other_endpoints
from tacos.pipeline.steps.ingest import count_templates
from tacos.pipeline.steps.matched_rows import count_distinct_ids
from tacos.pipeline.steps.pool import (
    count_members,
    find_newest_scores,
)
from tacos.report import selection_facts
from tacos.report.better_than_random import add_coverage, judge_against_random
from tacos.report.extension_facts import summarise_extension
from tacos.report.judge_tastes import summarise_tastes
from tacos.report.judge_words import EMBEDDED
from tacos.report.score_figures import (
    summarise_scores,
    warn_about_length,
    warn_about_numbers,
    warn_about_rating,
)
from tacos.report.selection_request import read_request
from tacos.report.spending_figures import list_spending
from tacos.report.tag_warnings import warn_about_tags
from tacos.store.artifacts import Artifact

Artifacts = Mapping[str, Artifact]

CASCADE_ARTIFACTS = ("tagger", "guesses")
LEFT_OUT = "left out by rule "
"""How the shortlist begins the reason of a row that a rule left out."""
UNCLUSTERED = "(in no cluster)"


@dataclass(frozen=True)
class RunSummary:
    """The figures of one run; lengths are characters of the response."""

    preset: str
    seed: int
    n_read: int
    n_samples: int
    rejects: dict[str, dict[str, int]]
    """Stage -> reason -> rows."""
    models: dict[str, str]
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Stage -> "asked_anew" (questions whose earlier replies could not be used) and
    "other_endpoints" (URL -> replies of other endpoints that were used, "not noted" for those
    whose endpoint is not known), where there are any.
    """
    spending: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What the answers to each stage cost: see `tacos.report.spending_figures.list_spending`."""
    taken: dict[str, dict[str, int]] = field(default_factory=dict)
    """Kind (`columns`, `roles`, `first_answers`, `best_answers`, `list_answers`, `not_read`)
    -> what was read, or not -> usable rows; duplicates count.
    """
    tagged_by: dict[str, int] = field(default_factory=dict)
    """Model -> instructions with its tags; only for a cascade."""
    distilled: dict[str, Any] = field(default_factory=dict)
    """How far the tagger of a cascade agrees with the language model: see
    `tacos.models.training.llm_imitation.measure_tagger`.
    """
    normalisation: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What a user should know about overrides or a vocabulary: names that no tag has, a different
    encoder.
    """
    drift: dict[str, Any] = field(default_factory=dict)
    """Where tags are mapped onto a published vocabulary: the figures of
    `tacos.methods.tags.published_vocabulary.summarise_drift`.
    """
    extended: dict[str, Any] = field(default_factory=dict)
    """Where the run extends others: see `tacos.report.extension_facts.summarise_extension`."""
    n_raw_tags: int = 0
    n_canonical_tags: int = 0
    templates: dict[str, int] = field(default_factory=dict)
    """Prompt template, by its beginning -> rows whose questions stand in it. It is not tagged."""
    n_untagged: int = 0
    clusters: list[dict[str, Any]] = field(default_factory=list)
    n_shortlisted: int = 0
    shortlist: dict[str, dict[str, int]] = field(default_factory=dict)
    """"kept" and "left out": rule -> rows; a sample counts once in each cluster where it is
    compared.
    """
    shortlist_note: str = ""
    """Why every row is on it, where no setting of the shortlist decides."""
    n_graded: dict[str, int] = field(default_factory=dict)
    """Stage -> rows that it graded one by one, where such grades are the scores and no pair was
    compared: `grade`, and `reread` for the slow tier of the embedded judge.
    """
    is_pointwise: bool = False
    """Whether these grades are by judges that see one row at a time anyway, not by choice."""
    lacks_close_tier: bool = False
    """Whether the embedded judge graded without its slow tier."""
    n_pairs: int = 0
    n_verdicts: int = 0
    diagnostics: dict[str, Any] = field(default_factory=dict)
    tastes: dict[str, Any] = field(default_factory=dict)
    """What the judge gives points for beside quality: see
    `tacos.report.judge_tastes.summarise_tastes`.
    """
    judges: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The same for each judge of a panel."""
    agreement: list[dict[str, Any]] = field(default_factory=list)
    """For each two judges of a panel: judges, value (share of pairs where they prefer the same
    side), n.
    """
    certainty: dict[str, float | None] = field(default_factory=dict)
    """How certain the cut by score is: error, recall and n of
    `tacos.methods.selecting.certainty.Certainty`; empty where errors are unknown.
    """
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The judges' own scores: see `tacos.report.score_figures.summarise_scores`."""
    warnings: list[str] = field(default_factory=list)
    """What a user must know before relying on the selection."""
    worth: dict[str, Any] = field(default_factory=dict)
    """What the judge's scores are worth: reliability (None: not known) and its basis, and how many
    points of reference grades the same number of rows is expected to gain over random rows, by the
    judge's score ("gain") and by perfect scores ("perfect"); it does not rest on the scores.
    """
    verdict: dict[str, Any] = field(default_factory=dict)
    """Whether the selection is better than as many random rows, by a measure that is not the
    judge's own word: see `tacos.report.better_than_random.RandomVerdict`.
    """
    request: dict[str, Any] = field(default_factory=dict)
    """What the selection was asked for: strategy, scores, quotas and limits; see
    `tacos.report.selection_request.MadeRequest.as_dict`.
    """
    n_selected: int = 0
    n_repeats: int = 0
    """Selected rows that repeat another one, taken since there were no others."""
    n_missing: int = 0
    """Rows that were requested but that the pool does not have (select.fill)."""
    selection: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """"pool", "selection", as many "random" rows of the pool (expected values), as many of the
    "longest": the figures of `tacos.methods.measures.selection_figures`.
    """
    random_range: RandomRange | None = None
    """How far random rows vary in the tags that they cover; None where no row has a tag."""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total_seconds(self) -> float:
        """The seconds of all stages; the same whatever their order."""
        return round(math.fsum(self.seconds.values()), 2)

    @property
    def n_clusters(self) -> int:
        """Clusters, without the group of rows that are in none."""
        return sum(cluster["name"] != UNCLUSTERED for cluster in self.clusters)

    @property
    def checks_no_facts(self) -> bool:
        """Whether the judge that is shipped with tacos gave the scores, alone or in a panel."""
        judge = self.models.get("judge") or self.models.get("grade")
        return judge in EMBEDDED or bool(EMBEDDED.intersection(self.judges))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarise_run(
    artifacts: Artifacts,
    settings: Settings,
) -> RunSummary:
    """The summary of those stages that have run.

    Of 10 million rows each group of figures takes hundreds of megabytes for itself, and gives them
    back.
    """
    samples = artifacts["samples"].manifest
    figures: dict[str, Any] = {
        "preset": settings.preset,
        "seed": settings.seed,
        "n_read": samples["n_rows"] + samples["n_rejects"],
        "n_samples": samples["n_rows"],
        "rejects": _list_rejects(artifacts),
        "templates": count_templates(samples.get("notes") or {}),
        "taken": group_notes(samples.get("notes", {})),
        "models": list_stage_models(artifacts),
        "seconds": _sum_stage_seconds(artifacts),
        "replies": _list_reply_origins(artifacts),
        "spending": list_spending(artifacts),
    }
    if "known" in artifacts:
        figures["extended"] = summarise_extension(artifacts, settings)
    if "tagger" in artifacts and "tags" in artifacts:
        figures |= _summarise_cascade(artifacts)
    if "vocabulary" in artifacts:
        figures |= _summarise_tags(artifacts)
    if "memberships" in artifacts:
        figures["clusters"] = _summarise_clusters(artifacts, settings)
        give_back_memory()
    if "shortlist" in artifacts:
        figures |= _summarise_shortlist(artifacts["shortlist"])
        figures["shortlist_note"] = _note_full_shortlist(settings)
    if _list_rounds(artifacts, "verdicts"):
        figures |= _summarise_judging(artifacts, settings)
        if "selection" in artifacts:
            figures["tastes"] = summarise_tastes(artifacts, settings)
    elif find_newest_scores(artifacts) and not settings.ingest.score:
        figures |= _summarise_grading(artifacts, settings)
    give_back_memory()
    scores = summarise_scores(artifacts, settings)
    figures["scores"] = scores
    figures["warnings"] = [
        *warn_about_tags(artifacts, figures.get("n_untagged", 0)),
        *warn_about_length(artifacts, scores),
        *warn_about_numbers(settings, scores),
        *warn_about_rating(artifacts, settings),
    ]
    give_back_memory()
    if "selection" in artifacts:
        figures |= selection_facts.summarise_selection(artifacts, settings)
        give_back_memory()
        figures |= selection_facts.summarise_certainty(artifacts)
        figures |= selection_facts.summarise_worth(artifacts)
        verdict = judge_against_random(artifacts, settings)
        figures["verdict"] = add_coverage(
            verdict,
            figures["selection"],
            figures["random_range"],
        ).as_dict()
        figures["request"] = read_request(artifacts, settings).as_dict()
    return RunSummary(**figures)


# Stages


def _list_rejects(artifacts: Artifacts) -> dict[str, dict[str, int]]:
    """Artifact -> reason -> rows, for the artifacts with rejects."""
    rejects = {}
    for name, artifact in artifacts.items():
        if artifact.manifest["rejects"]:
            rejects[name] = artifact.manifest["rejects"]
    return rejects


def list_stage_models(artifacts: Artifacts) -> dict[str, str]:
    """Stage -> model.

    The stages of a cascade are left out: their tool is the shipped tagger, which they only start
    from.
    """
    models = {}
    for name, artifact in artifacts.items():
        stage = artifact.manifest["stage"]
        model = artifact.manifest["model"]
        if not model or name in CASCADE_ARTIFACTS:
            continue
        models[stage] = model
    return models


def _list_reply_origins(artifacts: Artifacts) -> dict[str, dict[str, Any]]:
    """Stage -> the questions asked anew and the replies of other endpoints, over all rounds."""
    anew: Counter[str] = Counter()
    others: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for artifact in artifacts.values():
        stage = artifact.manifest["stage"]
        notes = artifact.manifest.get("notes") or {}
        anew[stage] += notes.get(N_ASKED_ANEW, 0)
        others[stage].update(list_other_endpoints(notes))
    return {
        stage: {"asked_anew": anew[stage], "other_endpoints": dict(others[stage])}
        for stage in others
        if anew[stage] or others[stage]
    }


def _sum_stage_seconds(artifacts: Artifacts) -> dict[str, float]:
    """Seconds per stage, all rounds together."""
    seconds: dict[str, float] = {}
    for artifact in artifacts.values():
        manifest = artifact.manifest
        stage = manifest["stage"]
        earlier = seconds.get(stage, 0.0)
        total = earlier + manifest["duration_s"]
        seconds[stage] = round(total, 2)
    return seconds


def _list_rounds(artifacts: Artifacts, name: str) -> list[Artifact]:
    """The artifacts of all rounds with that plain name."""
    prefix = f"{name}/"
    return [artifact for key, artifact in artifacts.items() if key.startswith(prefix)]


# Tags


def _summarise_cascade(artifacts: Artifacts) -> dict[str, Any]:
    """How many instructions each model tagged, and how good the distilled tagger is."""
    counts = (
        artifacts["tags"]
        .scan()
        .group_by("model")
        .len()
        .sort(
            "len",
            "model",
            descending=[True, False],
        )
        .collect()
    )
    return {
        "tagged_by": dict(counts.iter_rows()),
        "distilled": artifacts["tagger"].manifest["notes"]["agreement"],
    }


def _summarise_tags(artifacts: Artifacts) -> dict[str, Any]:
    """Tags before and after normalisation."""
    counts = (
        artifacts["vocabulary"]
        .scan()
        .select(
            pl.len().alias("n_raw_tags"),
            pl.col("canonical").drop_nulls().n_unique().alias("n_canonical_tags"),
        )
        .collect()
    )
    figures = counts.row(0, named=True)
    if "canonical_tags" in artifacts:
        figures["n_untagged"] = _count_untagged(artifacts["canonical_tags"])
    notes = artifacts["vocabulary"].manifest["notes"]
    return {
        **figures,
        "remarks": notes.get("remarks", []),
        "drift": notes.get("drift", {}),
        "normalisation": notes.get("steps", []),
    }


def _count_untagged(canonical_tags: Artifact) -> int:
    """Samples without a canonical tag."""
    has_none = pl.col("tags").list.len() == 0
    count = canonical_tags.scan().filter(has_none).select(pl.len())
    return int(count.collect().item())


# Clusters and shortlist


def _summarise_clusters(
    artifacts: Artifacts,
    settings: Settings,
) -> list[dict[str, Any]]:
    """Per cluster: number, name, members, shortlisted, selected; the largest first."""
    names = artifacts["clusters"].scan().select("cluster", "name").unique().collect()
    members = count_members(artifacts, settings)
    table = pl.DataFrame(
        list(members.items()),
        schema={"cluster": pl.UInt32, "n_members": pl.UInt32},
        orient="row",
    )
    for name, column in (("shortlist", "n_shortlisted"), ("selection", "n_selected")):
        if name in artifacts:
            counts = artifacts[name].scan().group_by("cluster").len(column)
            table = table.join(
                counts.collect(),
                on="cluster",
                how="left",
            )
    return (
        table.join(
            names,
            on="cluster",
            how="left",
        )
        .with_columns(pl.col("name").fill_null(UNCLUSTERED))
        .fill_null(0)
        .sort(
            "n_members",
            "cluster",
            descending=[True, False],
        )
        .to_dicts()
    )


def _summarise_shortlist(shortlist: Artifact) -> dict[str, Any]:
    """Rows that entered comparison and rows that did not, by the rule that decided."""
    by_rule = shortlist.scan().group_by("rule").len().sort("rule")
    left_out = {}
    for reason, n_rows in shortlist.manifest["rejects"].items():
        left_out[reason.removeprefix(LEFT_OUT)] = n_rows
    return {
        "n_shortlisted": shortlist.manifest["n_rows"],
        "shortlist": {
            "kept": dict(by_rule.collect().iter_rows()),
            "left out": left_out,
        },
    }


def _note_full_shortlist(settings: Settings) -> str:
    """Why no row was left out, and which setting has no effect for it; "" where rules decide."""
    if conditions.uses_comparisons(settings) or conditions.uses_close_judge(settings):
        return ""
    note = "the judge grades every row"
    if settings.ingest.score:
        note = "the input scores every row"
    rule = settings.shortlist.rule
    if rule in {"auto", "all"}:
        return note
    return f"{note}, so shortlist.rule={rule} has no effect"


# Judging


def _summarise_judging(
    artifacts: Artifacts,
    settings: Settings,
) -> dict[str, Any]:
    """What the judges did, over all rounds; a judge without a usable verdict is included."""
    rounds = _list_rounds(artifacts, "verdicts")
    verdicts = combine_verdicts(
        pl.concat([artifact.scan() for artifact in rounds]).collect(),
        settings.judge.target,
    )
    lengths = artifacts["samples"].scan().select("id", "length").collect()
    panel = settings.judges if len(settings.judges) > 1 else ()
    judges = sorted({*verdicts["judge"], *panel})
    pointwise = _find_pointwise_judges(rounds, judges)
    n_rejected = 0
    for artifact in rounds:
        n_rejected += sum(artifact.manifest["rejects"].values())
    n_asked = verdicts.height + n_rejected

    def diagnose(
        table: pl.DataFrame,
        n_asked: int,
        *,
        pointwise: bool,
    ) -> dict[str, Any]:
        health = judge_health.diagnose_judge(table, lengths, pointwise)
        n_missing = n_asked - health.n_verdicts
        return asdict(replace(health, n_missing=n_missing))

    figures = {
        "n_pairs": _count_pairs(artifacts),
        "n_verdicts": verdicts.height,
        "diagnostics": diagnose(
            verdicts,
            n_asked,
            pointwise=all(pointwise.values()),
        ),
    }
    if len(pointwise) > 1:
        # Every judge of a panel is asked the same questions.
        n_each = n_asked // len(pointwise)
        by_judge = {}
        for judge, is_pointwise in pointwise.items():
            own_verdicts = verdicts.filter(pl.col("judge") == judge)
            by_judge[judge] = diagnose(
                own_verdicts,
                n_each,
                pointwise=is_pointwise,
            )
        figures["judges"] = by_judge
        figures["agreement"] = _measure_judge_agreement(verdicts)
    return figures


def _summarise_grading(artifacts: Artifacts, settings: Settings) -> dict[str, Any]:
    """Who graded rows one by one where grades are the scores."""
    n_graded = _count_graded_rows(artifacts)
    if "grades" not in artifacts:
        return {"n_graded": n_graded}
    manifest = artifacts["grades"].manifest
    note = manifest["notes"].get("pointwise")
    # A panel notes the names of its pointwise members.
    is_pointwise = note is True
    if isinstance(note, list):
        is_pointwise = len(note) == len(settings.judges)
    is_embedded = manifest["model"] == judge.NAME
    return {
        "n_graded": n_graded,
        "is_pointwise": is_pointwise,
        "lacks_close_tier": is_embedded and not close_judge.is_available(),
    }


def _count_graded_rows(artifacts: Artifacts) -> dict[str, int]:
    """Stage -> rows that it graded, for the stages that grade rows one by one."""
    n_graded = {}
    for name in ("grades", "close_grades"):
        if name in artifacts:
            stage = artifacts[name].manifest["stage"]
            n_graded[stage] = count_distinct_ids(artifacts[name].batches(["id"]))
    return n_graded


def _count_pairs(artifacts: Artifacts) -> int:
    """Different pairs over all rounds; a second order has the number of its pair."""
    rounds = _list_rounds(artifacts, "pairs")
    numbers = pl.concat([artifact.scan().select("pair") for artifact in rounds])
    count = numbers.select(pl.col("pair").n_unique())
    return int(count.collect().item())


def _measure_judge_agreement(verdicts: pl.DataFrame) -> list[dict[str, Any]]:
    """How far each two judges agree."""
    agreements = judge_health.measure_judge_agreement(verdicts)
    return [
        {"judges": [judge, other], **asdict(agreement)}
        for judge, other, agreement in agreements
    ]


def _find_pointwise_judges(
    rounds: list[Artifact],
    judges: list[str],
) -> dict[str, bool]:
    """Judge -> whether it cannot see the order of a pair."""
    # A single judge notes a flag; a panel notes the names of its pointwise members.
    members: set[str] = set()
    is_single = False
    for artifact in rounds:
        note = artifact.manifest["notes"].get("pointwise")
        if isinstance(note, list):
            members.update(note)
        elif note:
            is_single = True
    if is_single:
        return dict.fromkeys(judges, True)
    return {judge: judge in members for judge in judges}
