"""Token terms: what is counted, and that a text's terms are its own."""

import numpy as np

from tacos.models import static_encoder, token_terms
from tacos.models.static_encoder import StaticEncoder


def count(*texts: str):
    tokens, _ = static_encoder.encode_tokens(StaticEncoder(), texts)
    return token_terms.count_terms(tokens)


def test_tokens_and_pairs_of_neighbours_are_counted() -> None:
    counts = count("red fish", "red red red", "")
    assert np.diff(counts.indptr).tolist() == [3, 2, 0]  # two tokens and a pair
    assert sorted(counts[[1]].data.round(4)) == [
        round(1 + np.log(2), 4),
        round(1 + np.log(3), 4),
    ]


def test_no_pair_spans_two_texts() -> None:
    together = count("red", "fish", "red fish")
    assert np.diff(together.indptr).tolist() == [1, 1, 3]


def test_weighted_terms_have_length_1_and_do_not_depend_on_the_other_texts() -> None:
    texts = ["red fish", "a blue whale swims", "", "red whale"]
    counts = count(*texts)
    idf = token_terms.learn_idf(counts, min_texts=1)
    weighted = token_terms.weight_terms(counts, idf).toarray()
    lengths = np.linalg.norm(weighted, axis=1)
    assert np.allclose(lengths, [1, 1, 0, 1])
    alone = token_terms.weight_terms(count(texts[1]), idf).toarray()
    assert (alone[0] == weighted[1]).all()


def test_rare_terms_weigh_more_and_the_rarest_nothing() -> None:
    counts = count("red fish", "red whale", "red", "red fish")
    idf = token_terms.learn_idf(counts, min_texts=2)
    red, fish = (counts[[row]].indices.min() for row in (2, 0))
    seen = counts[[0]].indices
    assert set(np.flatnonzero(idf)) <= set(seen)
    assert idf[[red]].max() < idf[seen].max()
    assert fish in seen
