import pytest

from rewards.toxicity.normalise import normalise
from rewards.toxicity.probes import DISGUISES, probes


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("You 1d10t", "you idiot"),
        ("s t u p i d and s.t.u.p.i.d", "stupid and stupid"),
        ("stuuuupid", "stupid"),
        ("It is 31 m tall in 2013.", "it is 31 m tall in 2013."),
        ("I am a bee", "i am a bee"),
        ("Don’t stop!", "don't stop!"),
        ("", ""),
    ],
)
def test_disguises_are_undone_and_other_text_is_left(text, plain):
    assert normalise(text) == plain


@pytest.mark.parametrize("name", ["leet", "spaces", "repeated letters"])
def test_the_probes_disguises_are_undone(name):
    for sentence in probes()["insults"]:
        assert normalise(DISGUISES[name](sentence)) == normalise(sentence)
