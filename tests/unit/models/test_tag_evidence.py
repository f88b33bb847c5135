"""What speaks for a candidate tag: one word, or the rest of the text."""

import numpy as np
import pytest
import scipy.sparse as sp

from tacos.models import tag_evidence
from tacos.models.tag_evidence import EvidenceTable, find_loudest, list_contributions

# Two texts, three n-grams, two tags.
TF_IDF = np.array([[0.6, 0.0, 0.8], [0.0, 0.0, 0.0]], dtype=np.float32)
WEIGHTS = np.array([[1.0, 0.5], [9.0, 9.0], [-1.0, 0.25]], dtype=np.float32)


def contributions() -> tag_evidence.Contributions:
    return list_contributions(sp.csr_array(TF_IDF), sp.csr_array(WEIGHTS))


def test_contributions_add_up_to_the_product() -> None:
    assert contributions().sum_scores() == pytest.approx(TF_IDF @ WEIGHTS)


def test_texts_without_words_have_no_contributions() -> None:
    nothing = sp.csr_array((2, 3), dtype=np.float32)
    listed = list_contributions(nothing, sp.csr_array(WEIGHTS))
    assert listed.sum_scores().tolist() == [[0, 0], [0, 0]]


def test_the_loudest_n_gram_is_the_one_that_adds_most() -> None:
    columns = np.array([[1, 0, -1], [0, -1, -1]])
    by_words, loudest, n_grams = find_loudest(contributions(), columns)
    assert by_words[0] == pytest.approx([0.5, -0.2, 0])
    assert loudest[0] == pytest.approx([0.3, 0.6, 0])
    assert n_grams.tolist() == [[0, 0, -1], [-1, -1, -1]]


def measure(text: list[float]) -> tuple[tag_evidence.Evidence, tag_evidence.Cosines]:
    """One text with one candidate, for which the first n-gram speaks, which is the first axis."""
    axes = np.eye(3, dtype=np.float32)
    prototype = np.array([[0.8, 0.6, 0.0]], dtype=np.float32)
    table = EvidenceTable(
        prototype, axes, np.array([True, False, False]), np.zeros(1, bool)
    )
    listed = list_contributions(sp.csr_array(TF_IDF[:1]), sp.csr_array(WEIGHTS))
    n_grams = find_loudest(listed, np.array([[0]])).n_grams
    found = (np.array([[0]]), np.array([[False]]))
    vectors = np.array([text], dtype=np.float32)
    cosines = tag_evidence.compare_vectors(
        table, prototype[None], found, n_grams, vectors
    )
    return tag_evidence.weigh_evidence(table, found, n_grams, cosines), cosines


def test_the_rest_of_a_text_is_compared_without_the_loudest_word() -> None:
    about_it, _ = measure([0.6, 0.8, 0])
    about_else, cosines = measure([0.6, 0, 0.8])
    assert about_it.rest_to_prototype[0, 0] == pytest.approx(0.6)
    assert about_else.rest_to_prototype[0, 0] == pytest.approx(0, abs=1e-6)
    assert cosines.prototype_to_text[0, 0] == pytest.approx(0.48)
    assert about_it.is_ambiguous.tolist() == [[True]]


def test_a_text_of_one_word_has_no_rest() -> None:
    evidence, _ = measure([1, 0, 0])
    assert evidence.rest_to_prototype.tolist() == [[0]]
