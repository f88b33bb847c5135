"""Trains a tagger from instructions and the tags that people or an LLM gave them.

1. Fit a kernel ridge regression on the learned tags (given twice or more): K = tf-idf . tf-idf' +
   exp(gamma (x.x' - 1)), weights A = (K + ridge I)^-1 Y (Saunders et al., 1998).
2. Make it small: the n-grams' part T'A keeps its largest weights; the other part is projected onto
   landmarks, the centres of a K-means of the instructions (Williams and Seeger, 2001), so that no
   instruction is stored.
3. Fit the second look on candidates of instructions that the scorer of an inner fold had not seen,
   and on wrong ones: words with several meanings, planted into these instructions
   (`planted_words`).
4. Choose the floors of `TagThresholds` that are best on these, for the mean of micro and macro F1.

Training assumes that an instruction's tags are complete: a good tag that nobody gave counts as
wrong.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve
from sklearn.cluster import KMeans
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from tacos.errors import ModelError
from tacos.methods.measures.unit_rows import scale_rows
from tacos.models import (
    encoder,
    int8_tensors,
    ngrams,
    tag_candidates,
    tag_evidence,
    tag_phrases,
    tagger,
    tagger_files,
)
from tacos.models.tag_agreement import lowercase_tag, lowercase_tags
from tacos.models.tagger_texts import TextReader
from tacos.models.training import planted_words

Matrix = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]
MIN_GIVEN = 2
"""A tag is learned if it is given to this many instructions or more."""
FLOORS = (0.15, 0.2, 0.25, 0.3)
FIRST_FLOORS = (0.15, 0.2)
EXPECTED_TAGS = (1.6, 2.4, 3.2, 4.8)
REST_TO_PROTOTYPE = "closeness of the rest to the prototype"
SAME_TOPIC = 0.35
"""A planted text whose rest is this close to a tag's prototype may well deserve the tag."""


@dataclass(frozen=True)
class TaggerRecipe:
    """How a tagger is trained; `n_weights` and `n_landmarks` decide its size.

    `n_planted` is the number of texts per fold that each word with several meanings is planted in.
    """

    encoder: str = "static"
    gamma: float = 2.0
    ridge: float = 1.0
    n_weights: int = 500_000
    n_landmarks: int = 768
    n_folds: int = 5
    hidden: tuple[int, ...] = (32, 16)
    n_epochs: int = 12
    n_planted: int = 5
    seed: int = 0
    name: str = "tacos-tagger"


@dataclass(frozen=True)
class TrainingRows:
    """Instructions with their tags (lower case, blanks single), vectors, words and stems.

    `vectors` come from the recipe's encoder and feed the scorer; `near` come from the static one
    and compare texts with tags.
    """

    texts: list[str]
    tags: list[list[str]]
    vectors: Matrix
    near: Matrix
    words: list[list[str]]
    stems: list[list[str]]

    def take(self, rows: Sequence[int]) -> TrainingRows:
        """Return only these rows."""
        texts = [self.texts[row] for row in rows]
        tags = [self.tags[row] for row in rows]
        words = [self.words[row] for row in rows]
        stems = [self.stems[row] for row in rows]
        return TrainingRows(
            texts=texts,
            tags=tags,
            vectors=self.vectors[rows],
            near=self.near[rows],
            words=words,
            stems=stems,
        )


@dataclass(frozen=True)
class TagReference:
    """What else is known of tags: how each is written, and how often others gave it."""

    written: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)


def encode_rows(
    instructions: Sequence[str],
    tags: Sequence[Sequence[str]],
    recipe: TaggerRecipe,
) -> TrainingRows:
    """Encode instructions and tags as training rows; each tag once per row."""
    texts = list(instructions)
    near = encoder.load("static").encode(texts)
    vectors = near
    if recipe.encoder != "static":
        vectors = encoder.load(recipe.encoder).encode(texts)
    distinct_tags = [list(filter(None, lowercase_tags(row))) for row in tags]
    return TrainingRows(
        texts=texts,
        tags=distinct_tags,
        vectors=vectors,
        near=near,
        words=[ngrams.tokenise_text(text) for text in texts],
        stems=[tag_phrases.stem_text(text) for text in texts],
    )


def pick_spellings(tags: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return how each tag is most often written (ties: the first in the alphabet)."""
    spellings: dict[str, Counter[str]] = {}
    for row in tags:
        for tag in row:
            spelling = " ".join(tag.split())
            name = spelling.lower()
            if name not in spellings:
                spellings[name] = Counter()
            spellings[name][spelling] += 1

    most_frequent: dict[str, str] = {}
    for name, counts in spellings.items():
        largest = max(counts.values())
        leaders = [spelling for spelling, count in counts.items() if count == largest]
        most_frequent[name] = min(leaders)
    return most_frequent


def hash_fold(text: str, n_folds: int, salt: str = "") -> int:
    """Assign an instruction to a fold by its hash, so that all its rows go together."""
    content = (salt + text).encode("utf-8", "replace")
    digest = hashlib.sha256(content).digest()
    return int.from_bytes(digest[:8], "big") % n_folds


def fit_tagger_model(
    rows: TrainingRows,
    lore: TagReference,
    recipe: TaggerRecipe,
) -> tagger_files.TaggerModel:
    """Fit a tagger to the rows, on one thread: the same bits on any number of cores.

    Raises `ModelError` if too few tags are given twice.
    """
    vectors = _encode_tags(rows, lore)
    with threadpool_limits(1):
        scorer = _fit_scorer(rows, recipe)
        known = _build_tag_table(rows, lore, vectors, scorer.n_grams.names)
        network, choice = _fit_second_look(rows, lore, vectors, recipe)
    meta: dict[str, Any] = {
        "name": recipe.name,
        "encoder": recipe.encoder,
        "closeness": "static",
        "ambiguous": sorted(planted_words.read_ambiguous_stems()),
        "fingerprints": tagger_files.fingerprint_encoders(recipe.encoder, "static"),
    }
    return tagger_files.TaggerModel(
        reader=TextReader(scorer.n_grams, known.lexicon),
        scorer=scorer,
        known=known,
        network=network,
        choice=choice,
        encoder=encoder.load(recipe.encoder),
        closeness=encoder.load("static"),
        meta=meta,
        digest="",
    )


# --- steps 1 and 2: the scorer


def _list_learned_tags(rows: TrainingRows) -> list[str]:
    """List the tags given to `MIN_GIVEN` instructions or more, sorted."""
    counts = _count_rows_by_tag(rows)
    frequent = [tag for tag, count in counts.items() if count >= MIN_GIVEN]
    learned = sorted(frequent)
    if len(learned) < 2:
        raise ModelError(
            f"too little to learn from: only {len(learned)} tags are given to {MIN_GIVEN} "
            "instructions or more; train on more rows"
        )
    return learned


def _count_rows_by_tag(rows: TrainingRows) -> Counter[str]:
    return Counter(chain.from_iterable(rows.tags))


def _fit_scorer(
    rows: TrainingRows,
    recipe: TaggerRecipe,
) -> tagger_files.TagScorer:
    """Fit the scorer, steps 1 and 2 of the module's docstring."""
    n_grams, idf = ngrams.learn_vocabulary(rows.words)
    table = ngrams.NGramTable.build(n_grams)
    tf_idf = ngrams.tf_idf_matrix(table.number_words(rows.words), table, idf)
    near = _compute_kernel(
        rows.vectors,
        rows.vectors,
        recipe.gamma,
    )

    # Step 1: the dual weights (rows, learned tags).
    by_words = (tf_idf @ tf_idf.T).toarray()
    kernel = by_words + near
    diagonal = np.diag_indices_from(kernel)
    kernel[diagonal] += np.float32(recipe.ridge)
    learned = _list_learned_tags(rows)
    indicator = _build_indicator(rows.tags, learned)
    duals = cho_solve(
        cho_factor(kernel, overwrite_a=True),
        indicator,
    )

    # Step 2: weights of n-grams and landmarks in place of instructions.
    landmarks = _find_landmarks(rows.vectors, recipe)
    features = _compute_kernel(
        rows.vectors,
        landmarks,
        recipe.gamma,
    )
    head = _project_features(features, near) @ duals
    return tagger_files.TagScorer(
        n_grams=table,
        idf=idf,
        n_gram_weights=keep_largest(tf_idf.T @ duals, recipe.n_weights),
        landmarks=landmarks,
        head=np.asarray(head, dtype=np.float32),
        gamma=recipe.gamma,
    )


def _compute_kernel(
    left: Matrix,
    right: Matrix,
    gamma: float,
) -> Matrix:
    """Compute exp(gamma (l.r - 1)) for rows of unit vectors, shape (len(left), len(right))."""
    cosines = left @ right.T
    kernel: Matrix = np.exp(np.float32(gamma) * (cosines - 1))
    return kernel


def _build_indicator(
    tags: Sequence[Sequence[str]],
    learned: Sequence[str],
) -> Matrix:
    """Build float32 (rows, learned tags): 1 where the row has the tag."""
    column = {tag: number for number, tag in enumerate(learned)}
    indicator = np.zeros(
        (len(tags), len(learned)),
        dtype=np.float32,
    )
    for row, given in enumerate(tags):
        learned_tags = column.keys() & set(given)
        columns = [column[tag] for tag in learned_tags]
        indicator[row, columns] = 1
    return indicator


def _find_landmarks(vectors: Matrix, recipe: TaggerRecipe) -> Matrix:
    """Find the landmarks: centres of a K-means, each scaled to length 1.

    If there are no more vectors than landmarks, these are the landmarks themselves.
    """
    if len(vectors) <= recipe.n_landmarks:
        return vectors
    distinct = np.unique(vectors, axis=0)
    if len(distinct) <= recipe.n_landmarks:
        return distinct
    clustering = KMeans(
        recipe.n_landmarks,
        n_init=1,
        max_iter=8,
        random_state=recipe.seed,
    )
    centres = clustering.fit(vectors).cluster_centers_
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    return np.asarray(
        centres / np.maximum(lengths, 1e-9),
        dtype=np.float32,
    )


def _project_features(
    features: Matrix,
    targets: Matrix,
    damping: float = 0.01,
) -> Matrix:
    """Find the weights H that bring features @ H closest to the targets, kept small by `damping`.

    `features` is (n, m), `targets` (n, ...) and H (m, ...).
    """
    n_features = features.shape[1]
    transposed = features.T
    # In float64, because the squares are nearly singular where two landmarks are close.
    precise = transposed.astype(np.float64)
    squares = precise @ features
    penalty = damping * np.eye(n_features)
    damped = squares + penalty
    products = transposed @ targets
    weights = np.linalg.solve(damped, products)
    return np.asarray(weights, dtype=np.float32)


def keep_largest(weights: Matrix, n: int) -> sp.csr_array:
    """Keep the `n` largest entries by size, as a sparse matrix; ties with the least are kept."""
    n_kept = min(n, weights.size)
    place = weights.size - n_kept
    sizes = np.abs(weights)
    # Partitioned, not sorted: only the value at one place is needed.
    partitioned = np.partition(
        sizes,
        place,
        axis=None,
    )
    threshold = partitioned[place]
    kept = np.where(
        sizes >= threshold,
        weights,
        np.float32(0),
    )
    return sp.csr_array(kept)


# --- what is known of tags


def _encode_tags(
    rows: TrainingRows,
    lore: TagReference,
) -> dict[str, Matrix]:
    """Encode every tag given here or published; the keys are the tags as they are written."""
    tags = set(lore.published)
    tags.update(*rows.tags)
    names = [_spell_tag(tag, lore) for tag in sorted(tags)]
    static = encoder.load("static")
    vectors = static.encode(names)
    return dict(zip(names, vectors, strict=True))


def _spell_tag(tag: str, lore: TagReference) -> str:
    """Return how a tag is written, with capitals if nobody is known to have written it."""
    return lore.written.get(tag, tag.title())


def _build_tag_table(
    rows: TrainingRows,
    lore: TagReference,
    vectors: Mapping[str, Matrix],
    n_grams: Sequence[str],
) -> tag_candidates.TagTable:
    """Build the lexicon (every tag given here or published) and what is known of each tag.

    `n_grams` are those of the scorer, in the order of its columns.
    """
    counts = _count_rows_by_tag(rows)
    learned = _list_learned_tags(rows)
    column = {tag: number for number, tag in enumerate(learned)}
    # One row per tag, in the order of the tags in lower case
    tags = sorted({*counts, *lore.published})
    names = tuple(_spell_tag(tag, lore) for tag in tags)
    given = [counts[tag] for tag in tags]
    published = [lore.published.get(tag, 0) for tag in tags]
    columns = [column.get(tag, -1) for tag in tags]
    lexicon = _build_lexicon(rows, names)
    tag_vectors = np.stack([vectors[name] for name in names])
    tag_columns = np.array(columns, dtype=np.int64)
    return tag_candidates.TagTable(
        lexicon=lexicon,
        vectors=tag_vectors,
        given=np.array(given, dtype=np.float32),
        published=np.array(published, dtype=np.float32),
        columns=tag_columns,
        evidence=tagger_files.build_evidence_table(
            n_grams,
            lexicon,
            tag_vectors,
            tag_columns,
            prototypes=_build_prototypes(rows, learned),
            ambiguous=planted_words.read_ambiguous_stems(),
            closeness=encoder.load("static"),
        ),
    )


def _build_prototypes(
    rows: TrainingRows,
    learned: Sequence[str],
) -> Matrix:
    """Build the mean direction of the instructions with each learned tag, (tags, dim)."""
    indicator = _build_indicator(rows.tags, learned)
    sums = indicator.T @ rows.near
    return scale_rows(sums)


def _build_lexicon(
    rows: TrainingRows,
    names: tuple[str, ...],
) -> tag_phrases.Lexicon:
    """Build a lexicon whose stems are weighed by their inverse frequency in the instructions."""
    n_texts = len(rows.texts)
    text_counts: Counter[str] = Counter()
    for stems in rows.stems:
        # A stem counts once per text.
        text_counts.update(set(stems))

    # A stem that no instruction has weighs most.
    rare = float(np.log(1 + n_texts))
    # A lexicon without weights knows which stems its tags have.
    unweighted = tag_phrases.Lexicon(
        names,
        weights={},
        rare=rare,
    )
    weights: dict[str, float] = {}
    # Sorted, so that two trainings write equal files.
    for stem in sorted(text_counts):
        if stem not in unweighted.by_stem:
            continue
        inverse_frequency = (1 + n_texts) / (1 + text_counts[stem])
        weight = float(np.log(inverse_frequency))
        weights[stem] = round(weight, 4)
    return tag_phrases.Lexicon(
        names,
        weights,
        rare,
    )


# --- steps 3 and 4: the second look


class _FoldCandidates(NamedTuple):
    """Candidates of rows that the scorer has not seen, each array (rows, WIDTH, ...).

    `inputs` describes them, `right` says whether an annotator gave them, `filled` whether there is
    a candidate, and `sizes` (rows,) how many tags each row has. `planted` (candidates, names)
    describes wrong candidates of texts with a planted word.
    """

    inputs: Matrix
    right: Flags
    filled: Flags
    sizes: Ids
    planted: Matrix


def _fit_second_look(
    rows: TrainingRows,
    lore: TagReference,
    vectors: Mapping[str, Matrix],
    recipe: TaggerRecipe,
) -> tuple[tag_candidates.Perceptron, tagger_files.TagThresholds]:
    """Fit the network and choose the floors, steps 3 and 4 of the module's docstring."""
    fold_of_row = [hash_fold(text, recipe.n_folds, "inner") for text in rows.texts]
    folds = np.array(fold_of_row)
    parts: list[_FoldCandidates] = []
    for fold in np.unique(folds):
        unseen = np.flatnonzero(folds == fold)
        part = _prepare_fold(
            rows,
            unseen,
            lore,
            vectors,
            recipe,
        )
        parts.append(part)
    inputs = np.concatenate([part.inputs for part in parts])
    right = np.concatenate([part.right for part in parts])
    filled = np.concatenate([part.filled for part in parts])
    sizes = np.concatenate([part.sizes for part in parts])

    planted = np.concatenate([part.planted for part in parts])
    n_planted = len(planted)
    network = _fit_network(
        np.concatenate([inputs[filled], planted]),
        np.concatenate([right[filled], np.zeros(n_planted, dtype=np.bool_)]),
        recipe,
    )
    # An empty place has no chance to be given.
    probabilities = np.where(
        filled,
        network.probability(inputs),
        np.float32(0),
    )
    return network, _search_thresholds(probabilities, right, sizes)


def _prepare_fold(
    rows: TrainingRows,
    unseen: Ids,
    lore: TagReference,
    vectors: Mapping[str, Matrix],
    recipe: TaggerRecipe,
) -> _FoldCandidates:
    """Propose candidates for the rows `unseen` by a scorer that was fitted to all others."""
    seen = np.setdiff1d(np.arange(len(rows.texts)), unseen)
    seen_rows = rows.take(seen.tolist())
    unseen_rows = rows.take(unseen.tolist())
    scorer = _fit_scorer(seen_rows, recipe)
    known = _build_tag_table(seen_rows, lore, vectors, scorer.n_grams.names)
    words = scorer.n_grams.number_words(unseen_rows.words)
    stems = known.lexicon.number_stems(unseen_rows.stems)
    scores = scorer.score_texts(words, unseen_rows.vectors)
    candidates = tag_candidates.propose_candidates(
        known,
        scores.total,
        stems,
    )
    inputs = tag_candidates.describe_candidates(
        known,
        scores,
        stems,
        unseen_rows.near,
        candidates,
    )
    tags, _ = candidates
    filled = tags >= 0
    names = [lowercase_tag(tag) for tag in known.lexicon.tags]
    right = np.zeros(tags.shape, dtype=np.bool_)
    for row, given in enumerate(unseen_rows.tags):
        right[row] = [names[tag] in given for tag in tags[row]]
    sizes = [len(given) for given in unseen_rows.tags]
    return _FoldCandidates(
        inputs=inputs,
        right=right & filled,
        filled=filled,
        sizes=np.array(sizes),
        planted=_describe_planted(scorer, known, unseen_rows, recipe),
    )


def _describe_planted(
    scorer: tagger_files.TagScorer,
    known: tag_candidates.TagTable,
    rows: TrainingRows,
    recipe: TaggerRecipe,
) -> Matrix:
    """Describe the wrong candidates of texts with a planted word, (candidates, len(NAMES)).

    Wrong is what rests on the planted word, unless the row has the tag or is close to its topic.
    """
    loudness = scorer.n_gram_weights.max(axis=1).toarray() * scorer.idf
    idf = dict(zip(scorer.n_grams.names, scorer.idf.tolist(), strict=True))
    planted = planted_words.plant_words(
        planted_words.find_loud_words(scorer.n_grams.names, loudness),
        rows.texts,
        rows.words,
        idf,
        n_per_word=recipe.n_planted,
        seed=recipe.seed,
    )
    n_names = len(tag_candidates.NAMES)
    parts: list[Matrix] = [np.empty((0, n_names), dtype=np.float32)]
    for start in range(0, len(planted), tagger.CHUNK):
        end = start + tagger.CHUNK
        chunk = planted[start:end]
        part = _describe_planted_chunk(
            scorer,
            known,
            rows,
            chunk,
            recipe,
        )
        parts.append(part)
    return np.concatenate(parts)


def _describe_planted_chunk(
    scorer: tagger_files.TagScorer,
    known: tag_candidates.TagTable,
    rows: TrainingRows,
    planted: Sequence[planted_words.PlantedText],
    recipe: TaggerRecipe,
) -> Matrix:
    texts = [text for text, _, _ in planted]
    near = encoder.load("static").encode(texts)
    vectors = near
    if recipe.encoder != "static":
        vectors = encoder.load(recipe.encoder).encode(texts)
    read = TextReader(scorer.n_grams, known.lexicon).read(texts)
    stems = read.stems
    scores = scorer.score_texts(read.words, vectors)
    candidates = tag_candidates.propose_candidates(
        known,
        scores.total,
        stems,
    )
    inputs = tag_candidates.describe_candidates(
        known,
        scores,
        stems,
        near,
        candidates,
    )

    rest = inputs[..., tag_candidates.NAMES.index(REST_TO_PROTOTYPE)]
    is_wrong = _rests_on_planted(scorer, known, scores, candidates, planted)
    is_wrong &= rest < SAME_TOPIC
    tags, _ = candidates
    names = known.lexicon.tags
    for number, one in enumerate(planted):
        given = rows.tags[one.row]
        is_given = [lowercase_tag(names[tag]) in given for tag in tags[number]]
        is_wrong[number, is_given] = False
    return inputs[is_wrong]


def _rests_on_planted(
    scorer: tagger_files.TagScorer,
    known: tag_candidates.TagTable,
    scores: tag_candidates.TextScores,
    candidates: tag_candidates.Found,
    planted: Sequence[planted_words.PlantedText],
) -> Flags:
    """Say which candidates rest on the planted word, (texts, WIDTH).

    Their loudest n-gram has it, or they are only mentioned and have it.
    """
    tags, mentioned = candidates
    column = np.where(tags >= 0, known.columns[tags], -1)
    n_gram = tag_evidence.find_loudest(scores.by_words, column).n_grams
    n_grams = scorer.n_grams.names
    rests = np.zeros(tags.shape, dtype=np.bool_)
    for number, one in enumerate(planted):
        (stem,) = tag_phrases.stem_text(one.word)
        for place, tag in enumerate(tags[number]):
            loudest = n_gram[number, place]
            if loudest >= 0:
                words = n_grams[loudest].lstrip("^").split()
                rests[number, place] = one.word in words
            elif mentioned[number, place]:
                rests[number, place] = stem in known.lexicon.stems[tag]
    return rests


def _fit_network(
    inputs: Matrix,
    right: Flags,
    recipe: TaggerRecipe,
) -> tag_candidates.Perceptron:
    """Fit the perceptron by Adam on the log loss; `inputs` is (candidates, len(NAMES))."""
    # In float64: float32 sums over this many rows would be off.
    mean = inputs.mean(axis=0, dtype=np.float64)
    spread = inputs.std(axis=0, dtype=np.float64) + 1e-6
    model = MLPClassifier(
        recipe.hidden,
        alpha=1e-3,
        batch_size=512,
        learning_rate_init=2e-3,
        max_iter=recipe.n_epochs,
        n_iter_no_change=recipe.n_epochs,
        random_state=recipe.seed,
    )
    # scikit-learn warns when the epochs are over, but their number is the recipe's.
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        model.fit((inputs - mean) / spread, right)
    return tag_candidates.Perceptron(
        mean=mean.astype(np.float32),
        spread=spread.astype(np.float32),
        weights=[layer.astype(np.float32) for layer in model.coefs_],
        biases=[layer.astype(np.float32) for layer in model.intercepts_],
    )


def _search_thresholds(
    chance: Matrix,
    right: Flags,
    sizes: Ids,
) -> tagger_files.TagThresholds:
    """Find the floors with the largest mean of micro and macro F1 on these rows."""
    grid = [
        tagger_files.TagThresholds(*floors)
        for floors in product(FLOORS, FIRST_FLOORS, EXPECTED_TAGS)
    ]
    return max(grid, key=lambda choice: _mean_f1(chance, right, sizes, choice))


def _mean_f1(
    chance: Matrix,
    right: Flags,
    sizes: Ids,
    choice: tagger_files.TagThresholds,
) -> float:
    """Return the mean of micro and macro F1 of the tags that `choice` gives.

    `chance` and `right` are (rows, WIDTH); `sizes` is the number of true tags of each row.
    """
    n_hits: list[int] = []
    n_chosen: list[int] = []
    for row_chance, row_right in zip(chance, right, strict=True):
        chosen = tagger.choose_tags(row_chance, choice)
        is_hit = row_right[chosen]
        n_hits.append(is_hit.sum())
        n_chosen.append(len(chosen))
    hits = np.array(n_hits)
    totals = np.array(n_chosen) + sizes
    micro = hits.sum() / totals.sum()
    # A row without a tag on either side counts 0 here.
    shares = hits / np.maximum(totals, 1)
    macro = np.mean(shares)
    # F1 is 2 hits / totals, so that this sum is the mean of both.
    return float(micro + macro)


# --- files


def write_tagger(out: Path, made: tagger_files.TaggerModel) -> Path:
    """Write the two files of a tagger into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    meta, packed = freeze_tagger(made)
    for name, content in tagger_files.pack_tagger(meta, packed):
        (out / name).write_bytes(content)
    return out


def freeze_tagger(
    made: tagger_files.TaggerModel,
) -> tuple[dict[str, Any], dict[str, int8_tensors.Array]]:
    """Return the content of a tagger's two files, see `tagger_files.assemble_tagger`."""
    scorer = made.scorer
    known = made.known
    lexicon = known.lexicon
    meta = {
        **made.meta,
        "gamma": scorer.gamma,
        "n_grams": list(scorer.n_grams.names),
        "tags": list(lexicon.tags),
        "stems": lexicon.weights,
        "rare": lexicon.rare,
        "choice": made.choice._asdict(),
    }
    packed = {
        "idf": scorer.idf,
        **int8_tensors.pack_sparse("n_gram_weights", scorer.n_gram_weights),
        **int8_tensors.pack_matrix("landmarks", scorer.landmarks),
        **int8_tensors.pack_matrix("head", scorer.head),
        "given": known.given.astype(np.int32),
        "published": known.published.astype(np.int32),
        "columns": known.columns.astype(np.int32),
        **int8_tensors.pack_matrix("prototypes", _list_prototypes(known)),
        **_freeze_network(made.network),
    }
    return meta, packed


def _list_prototypes(known: tag_candidates.TagTable) -> Matrix:
    """List the prototypes of learned tags in the order of the scores' columns."""
    (learned,) = np.nonzero(known.columns >= 0)
    order = np.argsort(known.columns[learned])
    return known.evidence.prototypes[learned[order]]


def _freeze_network(
    network: tag_candidates.Perceptron,
) -> dict[str, int8_tensors.Array]:
    packed: dict[str, int8_tensors.Array] = {
        "network.mean": network.mean,
        "network.spread": network.spread,
    }
    layers = zip(network.weights, network.biases, strict=True)
    for number, (weights, bias) in enumerate(layers):
        packed[f"network.weights{number}"] = weights
        packed[f"network.bias{number}"] = bias
    return packed
