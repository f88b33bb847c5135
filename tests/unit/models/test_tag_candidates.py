"""The second look: which candidates, and what is said of them."""

import string

import numpy as np
import pytest
import scipy.sparse as sp

from tacos.methods.measures.unit_rows import scale_rows
from tacos.models import tag_candidates, tag_evidence
from tacos.models.tag_candidates import NAMES, WIDTH, Perceptron, TagTable, TextScores
from tacos.models.tag_phrases import Lexicon, stem_text

LEXICON = Lexicon(("Cooking", "Poetry", "Rare Thing"), {"cook": 1.0}, 4.0)
VECTORS = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
COUNTS = np.array([5, 3, 1], dtype=np.float32)
EVIDENCE = tag_evidence.EvidenceTable(
    VECTORS,
    np.array([[0, 1]], dtype=np.float32),
    np.array([True]),
    np.array([False, False, False]),
)
KNOWN = TagTable(
    LEXICON,
    VECTORS,
    COUNTS,
    np.zeros(3, dtype=np.float32),
    np.array([1, 0, -1]),
    EVIDENCE,
)
TEXT = LEXICON.number_stems([stem_text("a poem about a rare thing")])
SCORES = np.array([[0.9, 0.2]], dtype=np.float32)
BY_WORDS = tag_evidence.list_contributions(
    sp.csr_array(np.array([[0.5]], dtype=np.float32)),
    sp.csr_array(np.array([[1.0, -1.0]], dtype=np.float32)),
)


def described() -> tuple[list[int], dict[str, list[float]]]:
    found = tag_candidates.propose_candidates(KNOWN, SCORES, TEXT)
    rows = tag_candidates.describe_candidates(
        KNOWN, TextScores(SCORES, BY_WORDS), TEXT, VECTORS[:1], found
    )
    tags = [int(tag) for tag in found[0][0] if tag >= 0]
    places = [int(np.flatnonzero(found[0][0] == tag)[0]) for tag in tags]
    return tags, {
        name: rows[0, places, number].tolist() for number, name in enumerate(NAMES)
    }


def test_learned_tags_and_mentioned_ones_are_candidates() -> None:
    tags, values = described()
    assert tags == [0, 1, 2]
    assert values["mentioned"] == [0, 0, 1]
    assert values["learned"] == [1, 1, 0]


def test_the_best_scores_propose_their_tags_and_the_first_of_equal_ones() -> None:
    n_tags = 3 * tag_candidates.N_SCORED
    lexicon = Lexicon(tuple(f"t{number}" for number in range(n_tags)), {}, 1.0)
    # Columns in another order than tags
    columns = np.random.default_rng(0).permutation(n_tags)
    known = KNOWN._replace(lexicon=lexicon, columns=columns)
    distinct = np.random.default_rng(1).permutation(n_tags).astype(np.float32)
    coarse = np.floor(distinct / 7)
    for scores in (distinct, coarse, np.zeros(n_tags, dtype=np.float32)):
        ranking = np.argsort(-scores, kind="stable")[: tag_candidates.N_SCORED]
        expected = sorted(np.flatnonzero(np.isin(columns, ranking)).tolist())
        rows = np.stack([scores, distinct])
        texts = lexicon.number_stems([[], []])
        tags, _ = tag_candidates.propose_candidates(known, rows, texts)
        assert tags[0][: tag_candidates.N_SCORED].tolist() == expected


def test_scores_are_found_by_the_tags_own_column() -> None:
    _, values = described()
    assert np.allclose(values["score"], [0.2, 0.9, 0])
    assert np.allclose(values["gap to the best"], [0.7, 0, 0.9])


def test_a_better_neighbour_is_noticed() -> None:
    _, values = described()
    assert np.allclose(values["closest better tag"], [0.6, 0, 0.8])


def test_what_one_word_adds_is_said() -> None:
    _, values = described()
    assert np.allclose(values["score by words"], [-0.5, 0.5, 0])
    assert np.allclose(values["loudest n-gram"], [0, 0.5, 0])
    assert values["loudest has several meanings"] == [0, 1, 0]


def test_an_untrained_network_says_one_half() -> None:
    zeros = [
        np.zeros((len(NAMES), 3), dtype=np.float32),
        np.zeros((3, 1), dtype=np.float32),
    ]
    biases = [np.zeros(3, dtype=np.float32), np.zeros(1, dtype=np.float32)]
    network = Perceptron(
        np.zeros(len(NAMES), dtype=np.float32),
        np.ones(len(NAMES), dtype=np.float32),
        zeros,
        biases,
    )
    assert (
        network.probability(np.ones((2, WIDTH, len(NAMES)), dtype=np.float32)) == 0.5
    ).all()


@pytest.mark.parametrize("n_columns", [20, 127, 128, 700])
def test_the_largest_numbers_are_found_and_the_first_of_equal_ones(
    n_columns: int,
) -> None:
    rng = np.random.default_rng(n_columns)
    for n in (1, 7, 20):
        rows = rng.normal(size=(9, n_columns)).astype(np.float32)
        for numbers in (rows, np.round(rows), np.zeros_like(rows)):
            found = tag_candidates.find_largest(numbers, n)
            expected = np.argsort(-numbers, axis=1, kind="stable")[:, :n]
            assert found.tolist() == expected.tolist()


def test_texts_of_few_and_of_many_candidates_are_described_alike() -> None:
    """Texts are compared in groups by their number of candidates, which changes nothing."""
    names = [f"T{letter}x N{letter}x" for letter in string.ascii_lowercase]
    n_tags = len(names)
    rng = np.random.default_rng(0)
    vectors = scale_rows(rng.normal(size=(n_tags, 8)).astype(np.float32))
    n_learned = tag_candidates.N_SCORED + 1
    columns = np.where(np.arange(n_tags) < n_learned, np.arange(n_tags), -1)
    known = TagTable(
        Lexicon(tuple(names), {}, 1.0),
        vectors,
        np.ones(n_tags, dtype=np.float32),
        np.ones(n_tags, dtype=np.float32),
        columns,
        EVIDENCE._replace(
            prototypes=vectors,
            n_gram_vectors=vectors[:1],
            ambiguous_tags=np.zeros(n_tags, dtype=np.bool_),
        ),
    )
    texts = [stem_text(" ".join(names[-n:])) for n in range(1, 8)] * 9
    n_texts = len(texts)
    own = scale_rows(rng.normal(size=(n_texts, 8)).astype(np.float32))
    scores = rng.normal(size=(n_texts, n_learned)).astype(np.float32)
    nothing = tag_evidence.list_contributions(
        sp.csr_array((n_texts, 1), dtype=np.float32),
        sp.csr_array((1, n_learned), dtype=np.float32),
    )
    stems = known.lexicon.number_stems(texts)
    found = tag_candidates.propose_candidates(known, scores, stems)
    together = tag_candidates.describe_candidates(
        known, TextScores(scores, nothing), stems, own, found
    )
    for row in range(n_texts):
        one = slice(row, row + 1)
        alone = tag_candidates.describe_candidates(
            known,
            TextScores(scores[one], nothing._replace(text_ends=nothing.text_ends[:1])),
            known.lexicon.number_stems(texts[one]),
            own[one],
            (found[0][one], found[1][one]),
        )
        is_filled = found[0][row] >= 0
        assert together[row][is_filled] == pytest.approx(alone[0][is_filled], abs=1e-6)
