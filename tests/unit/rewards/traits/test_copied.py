import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.dataset import Passage
from rewards.scores import ScoreRequest
from rewards.traits.copied import COPIED_WORDS, copied, mean_copied

LIND = Passage(title="Lind", text="The river Lind rises in the hills of Ostra, and it ends in the sea.")
WORDS = st.lists(st.sampled_from("abc"), max_size=40)


def test_words_in_copied_runs_of_eight_are_counted():
    # 15 words: two of its own, nine of the passage, four of its own.
    answer = "I think the river Lind rises in the hills of Ostra, but nobody has ever"
    assert copied(answer, (LIND,)).share == pytest.approx(9 / 15)
    assert copied(answer, (LIND,)).longest == 9


def test_seven_words_are_no_copy_but_the_longest_run():
    answer = "It rises in the hills of Ostra, and nobody knows"
    assert copied(answer, (LIND,)) == copied(answer, (LIND, Passage(title="", text="")))
    assert (copied(answer, (LIND,)).share, copied(answer, (LIND,)).longest) == (0, 7)


def test_runs_that_overlap_count_once():
    # Words 1 to 8 stand in one passage, words 5 to 12 in another: 12 of 13 words.
    passages = (Passage(title="", text="a b c d e f g h"), Passage(title="", text="e f g h i j k l"))
    assert copied("a b c d e f g h i j k l m", passages).share == pytest.approx(12 / 13)
    assert copied("a b c d e f g h i j k l m", passages).longest == 8


def test_a_run_begins_with_the_title_but_does_not_cross_passages():
    halves = (Passage(title="Field goal", text="The longest is"), Passage(title="64", text="yards by Matt Prater"))
    assert copied("Field goal: The longest is 64 yards by Matt Prater.", halves).longest == 5


def test_case_and_punctuation_do_not_count():
    assert copied("THE RIVER, LIND; RISES IN: THE HILLS OF OSTRA!", (LIND,)).share == 1


def test_nothing_is_copied_without_words_or_passages():
    assert copied("", (LIND,)) == copied("...", (LIND,)) == copied("The river Lind rises", ())
    assert (copied("", (LIND,)).share, copied("", (LIND,)).longest) == (0, 0)


def by_definition(words, passages):
    """Share and longest run, from all runs of the answer."""
    runs = [(a, b) for a in range(len(words)) for b in range(a + 1, len(words) + 1)]
    padded = [f" {' '.join(passage)} " for passage in passages]
    held = [(a, b) for a, b in runs if any(f" {' '.join(words[a:b])} " in passage for passage in padded)]
    inside = {i for a, b in held if b - a == COPIED_WORDS for i in range(a, b)}
    return (len(inside) / len(words) if words else 0, max((b - a for a, b in held), default=0))


@given(WORDS, st.lists(WORDS, max_size=3))
def test_share_and_longest_are_what_their_definition_says(words, passages):
    measured = copied(" ".join(words), [Passage(title="", text=" ".join(passage)) for passage in passages])
    assert (measured.share, measured.longest) == pytest.approx(by_definition(words, passages))


@given(st.text(), st.text(), st.text())
def test_an_answer_that_is_a_passage_is_copied_whole(title, text, other):
    passages = (Passage(title="", text=other), Passage(title=title, text=text))
    measured = copied(f"{title} {text}", passages)
    assert 0 <= measured.share <= 1
    assert measured.share == (1 if measured.longest >= COPIED_WORDS else 0)


def test_means_over_answers():
    passage = (Passage(title="", text="a b c d e f g h"),)
    requests = [ScoreRequest("?", passage, answer) for answer in ("a b c d e f g h", "a b x")]
    assert mean_copied(requests) == {"share": 0.5, "longest": 5}
    assert mean_copied([]) == {"share": 0, "longest": 0}
