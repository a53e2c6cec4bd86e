"""People judge an arena through a feedback store."""

import asyncio

import pytest

from cli.arena.people import ask_people, questions_in
from policies.weights import Weights
from rewards.dataset import Example, Passage
from service.feedback.records import Comparison
from service.feedback.store.feedback_store import open_store
from trainer.arena.arena import Answered, Arena
from trainer.arena.contestants import Contestant
from trainer.arena.matches import matches_of
from trainer.arena.question_sets import Question


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'feedback.db'}"


@pytest.fixture
def arena(tmp_path):
    passage = Passage(title="Ostra", text="By the Lind.")
    questions = [Question("mine", Example(question=q, passages=(passage,), answer="")) for q in ("Where?", "When?")]
    return Arena(
        [Contestant("x", "references"), Contestant("y", "references")], questions, 1, Weights.parse("1,1,1"), tmp_path
    )


@pytest.fixture
def answered(arena):
    texts = {"x": [["Here."], ["Now."]], "y": [["There."], ["Now."]]}
    return Answered(texts, matches_of(texts, [question.key for question in arena.questions]))


def compare(url, choose):
    """A person compares the next pair; `choose` gives the choice from the text shown first and the other."""

    async def work():
        store = await open_store(url)
        try:
            await store.sign_in("Ada")
            pair = await store.next_pair("Ada")
            sides = {"a": pair.a, "b": pair.b}
            first = sides[pair.shown_first]
            second = sides["b" if pair.shown_first == "a" else "a"]
            assert first.profile is first.policy is None
            assert first.question == "Where?"
            better = choose(first.text, second.text)
            choice = next((side for side, response in sides.items() if response.text == better), better)
            await store.compare(
                Comparison(submission_id=f"s{choice}", a=pair.a.id, b=pair.b.id, choice=choice, annotator="Ada")
            )
            return first.text, await store.next_pair("Ada")
        finally:
            await store.close()

    return asyncio.run(work())


@pytest.mark.parametrize(("better", "choice"), [("Here.", "a"), ("There.", "b"), ("neither", "neither")])
def test_people_compare_texts_without_names_and_their_choices_come_back(url, arena, answered, better, choice):
    assert ask_people(url, arena, answered) == []
    first, following = compare(url, lambda *shown: better)
    assert following is None  # the other question has equal answers
    (verdict,) = ask_people(url, arena, answered)
    assert (verdict.choice, verdict.who) == (choice, "Ada")
    assert verdict.first == ("a" if first == "Here." else "b")
    assert verdict.match == answered.different[0].key


def test_the_stores_own_questions_are_those_that_people_asked(url, arena, answered):
    ask_people(url, arena, answered)
    assert questions_in(url) == []

    async def serve():
        from service.feedback.records import NewResponse, StoredPassage

        store = await open_store(url)
        passages = (StoredPassage(title="Ostra", text="By the Lind."),)
        await store.record(
            [NewResponse(id="1", text="Yes.", question="Is it?", passages=passages), NewResponse(id="2", text="Yes.")]
        )
        await store.close()

    asyncio.run(serve())
    assert [example.question for example in questions_in(url)] == ["Is it?"]
