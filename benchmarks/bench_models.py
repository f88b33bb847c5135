"""Figures of the embedded models, as their cards print them.

    python benchmarks/bench_models.py [encoder] [tagger] [judge] [--data ../shared/data] [--encoders
    static,minilm]

Every figure is on rows that the model was not trained on: the tagger is trained anew for each of
five folds (by instruction), the encoder's tag pairs leave out the training's phrases, the judge's
part is `bench_judge.py`. The last line is the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import bench_judge
from tacos.methods.measures.unit_rows import scale_rows
from tacos.models import (
    encoder,
    minilm_encoder,
    static_encoder,
    tag_agreement,
    tag_phrases,
    tagger,
    tagger_files,
    train,
)
from tacos.models.training import corpora, token_distillation
from tacos.models.training.tagger import (
    TaggerRecipe,
    TagReference,
    encode_rows,
    fit_tagger_model,
    freeze_tagger,
    hash_fold,
    pick_spellings,
)
from tacos.models.word_tokenizer import WordTokenizer
from tacos.records import Encoder

N_FOLDS, N_PAIRS = 5, 60_000


def rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)


# --- encoder


def pair_agreement(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """Spearman correlation of the cosines of random pairs."""
    i, j = np.random.default_rng(seed).integers(0, len(a), (2, N_PAIRS))
    i, j = i[i != j], j[i != j]
    return rounded(spearmanr((a[i] * a[j]).sum(axis=1), (b[i] * b[j]).sum(axis=1))[0])


def topic_accuracy(vectors: np.ndarray, labels: list[str]) -> tuple[float, float]:
    """Of a logistic regression in five folds, and half its 95% interval."""
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    model = LogisticRegression(C=10, max_iter=1000)
    right = cross_val_predict(model, vectors, labels, cv=folds) == np.array(labels)
    return rounded(right.mean()), rounded(1.96 * right.std() / np.sqrt(len(right)))


def speed(encode: Callable[[list[str]], Any], texts: list[str]) -> int:
    """Rows per second, the best of three."""
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        encode(texts)
        best = min(best, time.perf_counter() - start)
    return round(len(texts) / best)


class TextEncoder(Protocol):
    """What is measured: texts to vectors."""

    def encode(self, texts: list[str]) -> np.ndarray: ...


class Plain:
    """The static table before it was trained: plain distillation, for comparison."""

    def __init__(
        self, teacher: minilm_encoder.MiniLM, reference: np.ndarray, dim: int = 256
    ) -> None:
        directions = token_distillation.find_main_directions(reference, dim)
        self.table = token_distillation.distil_table(
            token_distillation.encode_tokens(teacher), directions
        )
        self.tokenizer = WordTokenizer(
            minilm_encoder.load_tokenizer(static_encoder.MAX_TOKENS),
            static_encoder.MAX_TOKENS,
        )

    def encode(self, texts: list[str]) -> np.ndarray:
        counts = static_encoder.count_tokens(
            self.tokenizer, texts, static_encoder.MAX_TOKENS, len(self.table)
        )
        return scale_rows(counts @ self.table)


def bench_encoder(data: Path) -> dict[str, Any]:
    teacher = minilm_encoder.MiniLM()
    tags = [tag for tag in corpora.read_tags(data) if corpora.is_holdout_tag(tag)]
    trained_on = set(corpora.read_instructions(data))
    asked = [
        text for text in corpora.read_first_annotations(data) if text not in trained_on
    ][:2000]
    topics = corpora.read_corpus_rows(
        data / "topics/autoj_scenarios_train_2383.jsonl.gz"
    )
    texts, labels = (
        [row["instruction"] for row in topics],
        [row["category"] for row in topics],
    )
    truth = {"tags": teacher.encode(tags), "asked": teacher.encode(asked)}
    models: dict[str, TextEncoder] = {
        "static before": Plain(teacher, truth["tags"]),
        "static": static_encoder.StaticEncoder(),
        "minilm": teacher,
    }
    out: dict[str, Any] = {
        "n_tags": len(tags),
        "n_instructions": len(asked),
        "n_topics": len(texts),
    }
    for name, model in models.items():
        accuracy, half = topic_accuracy(model.encode(texts), labels)
        out[name] = {
            "tag pairs": pair_agreement(model.encode(tags), truth["tags"]),
            "instruction pairs": pair_agreement(model.encode(asked), truth["asked"]),
            "topic accuracy": accuracy,
            "topic accuracy +-": half,
            "tags/s": speed(model.encode, tags),
            "instructions/s": speed(
                model.encode, asked[:500] if name == "minilm" else asked
            ),
        }
        print(name, out[name], flush=True)
    return out


# --- tagger


def cross_validate(
    data: Path, name: str
) -> tuple[list[list[tuple[str, float]]], dict[str, Any]]:
    """Each instruction's tags by a tagger that has not seen it.

    Our own readings of other rows are part of every training, and of no test.
    """
    texts, tags, lore = train.read_tagging_data(data)
    n_tested = len(texts)
    read_texts, read_tags = corpora.read_tag_readings(data)
    texts += read_texts
    tags += read_tags
    recipe = TaggerRecipe(encoder=name)
    rows = encode_rows(texts, tags, recipe)
    folds = np.array([hash_fold(text, N_FOLDS) for text in texts])
    folds[n_tested:] = N_FOLDS
    out: list[list[tuple[str, float]]] = [[] for _ in range(n_tested)]
    for fold in range(N_FOLDS):
        unseen = np.flatnonzero(folds == fold)
        seen = rows.take(np.flatnonzero(folds != fold).tolist())
        spelling = TagReference(
            pick_spellings([tags[row] for row in np.flatnonzero(folds != fold)]),
            lore.published,
        )
        made = tagger_files.assemble_tagger(
            *freeze_tagger(fit_tagger_model(seen, spelling, recipe))
        )
        for row, found in zip(
            unseen,
            tagger.tag_instructions(made, [texts[row] for row in unseen]),
            strict=True,
        ):
            out[row] = [(tag, p) for tag, p, _ in found]
        print(name, "fold", fold, made.choice, flush=True)
    right = [
        tag_agreement.lowercase_tag(tag)
        in set(map(tag_agreement.lowercase_tag, tags[n]))
        for n, row in enumerate(out)
        for tag, _ in row
    ]
    error = tag_agreement.calibration_error([p for row in out for _, p in row], right)
    return out, {
        "calibration error": rounded(error),
        "empty": rounded(np.mean([not row for row in out])),
        "tags per row": rounded(np.mean([len(row) for row in out])),
    }


def by_source(data: Path, predicted: list[list[str]], judge: Encoder) -> dict[str, Any]:
    """All figures, over every instruction and per source."""
    rows = list(corpora.read_first_annotations(data).values())
    sources = np.array([row["id"].rsplit("-", 1)[0] for row in rows])
    out = {
        "all": tag_agreement.measure_tag_agreement(
            predicted, [row["tags"] for row in rows], judge
        )
    }
    for source in sorted(set(sources)):
        picked = np.flatnonzero(sources == source)
        out[str(source)] = tag_agreement.measure_tag_agreement(
            [predicted[n] for n in picked], [rows[n]["tags"] for n in picked], judge
        )
        out[str(source)]["n"] = len(picked)
    return out


def annotators(data: Path, judge: Encoder) -> dict[str, Any]:
    """Agreement between every two annotators of the instructions that five of them tagged: the
    ceiling.
    """
    seen: dict[str, list[list[str]]] = {}
    for row in corpora.read_corpus_rows(data / "tags/open_tags.jsonl.gz"):
        seen.setdefault(row["instruction"], []).append(row["tags"])
    five = [rows for rows in seen.values() if len(rows) == 5]
    pairs = [
        (g, a, b)
        for g, rows in enumerate(five)
        for n, a in enumerate(rows)
        for b in rows[n + 1 :]
    ]
    return tag_agreement.measure_tag_agreement(
        [a for _, a, _ in pairs],
        [b for _, _, b in pairs],
        judge,
        [g for g, _, _ in pairs],
    )


def baselines(data: Path, judge: Encoder) -> dict[str, Any]:
    """The three most frequent tags for every row; only tags that the text mentions; and what the
    ten instructions of training that are closest by the static encoder vote for.
    """
    texts, tags, lore = train.read_tagging_data(data)
    folds = np.array([hash_fold(text, N_FOLDS) for text in texts])
    frequent: list[list[str]] = [[] for _ in texts]
    mentioned: list[list[str]] = [[] for _ in texts]
    voted: list[list[str]] = [[] for _ in texts]
    vectors = encoder.load("static").encode(texts)
    for fold in range(N_FOLDS):
        seen = [tags[row] for row in np.flatnonzero(folds != fold)]
        cosines = vectors @ vectors[folds != fold].T
        names = pick_spellings(seen)
        counts = {
            tag: sum(tag in map(tag_agreement.lowercase_tag, row) for row in seen)
            for tag in names
        }
        top = sorted(counts, key=lambda tag: (-counts[tag], tag))[:3]
        lexicon = tag_phrases.Lexicon(tuple(sorted({*names, *lore.published})), {}, 1.0)
        for row in np.flatnonzero(folds == fold):
            frequent[row] = top
            voted[row] = vote(seen, cosines[row])
            mentioned[row] = [
                lexicon.tags[tag]
                for tag in lexicon.mentions(tag_phrases.stem_text(texts[row]))[:3]
            ]
    return {
        "most frequent": tag_agreement.measure_tag_agreement(frequent, tags, judge),
        "key phrases": tag_agreement.measure_tag_agreement(mentioned, tags, judge),
        "nearest ten": tag_agreement.measure_tag_agreement(voted, tags, judge),
    }


def vote(seen: list[list[str]], cosines: np.ndarray, n: int = 10) -> list[str]:
    """The three tags of most weight among the `n` closest rows, each of the weight exp(8 cosine)."""
    weights: dict[str, float] = {}
    for row in np.argsort(-cosines, kind="stable")[:n]:
        for tag in map(tag_agreement.lowercase_tag, seen[row]):
            weights[tag] = weights.get(tag, 0.0) + float(np.exp(8 * cosines[row]))
    return sorted(weights, key=lambda tag: (-weights[tag], tag))[:3]


def bench_tagger(data: Path, names: list[str]) -> dict[str, Any]:
    judge = encoder.load("minilm")
    out: dict[str, Any] = {
        "annotators": annotators(data, judge),
        **baselines(data, judge),
    }
    print(out, flush=True)
    for name in names:
        predicted, more = cross_validate(data, name)
        out[name] = (
            by_source(data, [[tag for tag, _ in row] for row in predicted], judge)
            | more
        )
        print(name, out[name], flush=True)
    rows = corpora.read_corpus_rows(data / "corpora/alpaca_data.json.gz")
    texts = [corpora.join_raw_input(row["instruction"], row["input"]) for row in rows]
    out["instructions/s"] = speed(tagger.load().tag, texts[:5000])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["encoder", "tagger", "judge"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--encoders", default="static")
    asked = parser.parse_args()
    out: dict[str, Any] = {}
    if "encoder" in asked.models:
        out["encoder"] = bench_encoder(asked.data)
    if "tagger" in asked.models:
        out["tagger"] = bench_tagger(asked.data, asked.encoders.split(","))
    if "judge" in asked.models:
        tiers = bench_judge.list_tiers()
        out["judge"] = bench_judge.main(asked.data, tiers, bench_judge.N_PARTITIONS)
        print("judge", out["judge"], flush=True)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
