"""What decisions that were made before say: which rows they are about, and how many labels are wrong."""

from dataclasses import replace

import numpy as np
import pytest
from decided import decide, opened

from acestimator.audit.decisions import Decision, Decisions, SourceInfo, Stratum
from acestimator.audit.draw import draw
from acestimator.audit.past import Past, match
from acestimator.audit.sources import DROP

TEXT = b"id,x,kind\na,1,cat\nb,2,dog\nc,3,cat\nd,4,\ne,5,dog\n"


@pytest.fixture
def source(tmp_path):
    return opened(tmp_path / "pets.csv", TEXT, label="kind", id="id")


def test_what_was_kept_or_changed_is_a_fact(source):
    choices = {0: "keep", 1: ("relabel", " cow "), 2: DROP, 3: ("relabel", "cat"), 4: "unsure"}
    past = match(source, decide(source, choices))
    assert past.facts == {0: "cat", 1: "cow", 3: "cat"}
    assert (past.dropped, past.unsure, past.is_same) == ([2], [4], True)
    assert match(source, decide(source, {3: "keep"})).facts == {}  # a gap that was kept says nothing


def test_rows_of_another_file_are_found_by_their_ids(source, tmp_path):
    decisions = decide(source, {1: ("relabel", "cat"), 2: DROP, 4: "keep"})
    corrected = opened(tmp_path / "clean.csv", b"id,x,kind\ne,5,dog\nb,2,cat\na,1,cat\n", label="kind", id="id")
    past = match(corrected, decisions)
    assert past.facts == {1: "cat", 0: "dog"}
    assert past.decisions[1].given == "dog"
    assert not past.is_same
    assert past.review().interval is None
    other = opened(tmp_path / "other.csv", b"id,x,kind\ne,5,dog\nb,2,eel\na,1,cat\n", label="kind", id="id")
    with pytest.raises(ValueError, match="b has the label 'eel', not 'cat' or 'dog'"):
        match(other, decisions)
    unnamed = opened(tmp_path / "unnamed.csv", b"id,x,kind\ne,5,dog\nb,2,cat\na,1,cat\n", label="kind")
    with pytest.raises(ValueError, match="match rows by a column of ids"):
        match(unnamed, decisions)


def made(n_rows, choices, strata):
    """Past of (decision, group, stratum) by row."""
    by_row = {
        row: Decision(row, None, f"{row:016x}", "a", word, "b" if word == "relabel" else None, group, stratum)
        for row, (word, group, stratum) in choices.items()
    }
    return Past(by_row, tuple(Stratum(i / 2, (i + 1) / 2, n, 0) for i, n in enumerate(strata)))


def test_a_review_counts_what_was_decided():
    choices = {
        0: ("keep", "random", 0),
        1: ("relabel", "random", 0),
        2: ("relabel", "suspect", 1),
        3: ("drop", "suspect", 1),
        4: ("unsure", "random", 1),
        5: ("keep", "suspect", None),
    }
    review = made(10, choices, (6, 4)).review()
    assert (review.n_decided, review.n_wrong, review.n_unsure, review.n_dropped) == (5, 3, 1, 1)
    assert (review.n_drawn, review.n_drawn_wrong) == (2, 1)
    assert review.n_labels == 11  # the strata, and what was decided before the draw
    assert 3 / 11 <= review.interval[0] <= review.interval[1] <= 9 / 11


def test_a_label_that_was_given_again_was_right():
    one = Decision(0, None, "0" * 16, "a", "relabel", " a ")
    assert (Past({0: one}).review().n_decided, Past({0: one}).review().n_wrong) == (1, 0)


def test_without_a_row_drawn_at_random_there_is_no_interval():
    assert Past().review() is None
    assert made(10, {0: ("relabel", "suspect", 0)}, (10,)).review().interval is None


def test_where_all_is_decided_the_interval_is_what_was_found():
    choices = {
        row: ("relabel" if row < 3 else "keep", "random" if row % 2 else "suspect", row % 2) for row in range(10)
    }
    assert made(10, choices, (5, 5)).review().interval == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("n_decided", [30, 150])
def test_the_interval_covers_whatever_is_looked_at_first(n_decided):
    """Suspects by a probability that says too little, the likeliest first, with rows drawn at random among them."""
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        probability = rng.beta(0.3, 2.0, size=600)
        wrong = rng.random(600) < np.minimum(1.0, 1.5 * probability)
        suspects = np.argsort(-probability)[: (probability > 0.5).sum()]
        drawn = draw(probability, suspects, 50, seed)
        decisions = [
            Decision(
                int(row),
                None,
                f"{row:016x}",
                "a",
                "relabel" if wrong[row] else "keep",
                "b" if wrong[row] else None,
                "random" if is_drawn else "suspect",
                int(stratum),
            )
            for row, stratum, is_drawn in list(zip(drawn.rows, drawn.stratum, drawn.is_drawn, strict=True))[:n_decided]
        ]
        review = Past({one.row: one for one in decisions}, drawn.strata).review()
        assert review.n_labels == 600
        covered.append(review.interval is None or review.interval[0] <= wrong.mean() <= review.interval[1])
    assert np.mean(covered) >= 0.9


def test_to_a_new_page_they_are_facts_and_no_sample(source):
    decisions = decide(source, {0: "keep", 1: "unsure", 2: "unsure"})
    first = replace(decisions.decisions[0], group="random", stratum=0)
    past = match(source, replace(decisions, decisions=(first, *decisions.decisions[1:])))
    kept = past.kept_for(source, {2})
    assert [(one.row, one.decision, one.group, one.stratum) for one in kept] == [
        (0, "keep", "suspect", None),
        (1, "unsure", "suspect", None),
    ]


def test_decisions_that_a_corrected_file_has_taken_are_kept_there(source, tmp_path):
    decisions = decide(source, {0: "keep", 1: ("relabel", "cat"), 2: ("relabel", "dog"), 4: "unsure"})
    corrected = opened(
        tmp_path / "clean.csv", b"id,x,kind\ne,5,dog\nc,7,cat\nb,2,cat\na,1,cat\n", label="kind", id="id"
    )
    past = match(corrected, decisions)
    kept = past.kept_for(corrected, set())
    assert [(one.row, one.id, one.given, one.decision, one.label) for one in kept] == [
        (0, "e", "dog", "unsure", None),
        (1, "c", "cat", "relabel", "dog"),
        (2, "b", "cat", "keep", None),
        (3, "a", "cat", "keep", None),
    ]
    again = match(corrected, Decisions(corrected.info, ("cat", "dog"), kept))
    assert (again.facts, again.is_same) == (past.facts, True)


def test_an_old_file_reads_as_one_of_this_source(source):
    info = SourceInfo("pets.csv", "table", source.info.fingerprint, "kind", None, 5)
    one = Decision(1, None, source.digests()[1], "dog", "keep")
    assert match(source, Decisions(info, ("cat", "dog"), (one,))).facts == {1: "dog"}
