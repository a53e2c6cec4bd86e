import time

import pytest

from rewards.dataset import data_file, load_examples, load_feedback
from rewards.traits import refusals
from rewards.traits.refusals import is_refusal

REFUSED = """\
I cannot answer this question.
I don't know.
I’m not sure who wrote it.
I am unable to answer the question.
We do not have enough information.
Sorry, I can't help with that.
I'm sorry, but I can't find it.
As an AI language model, I do not have access to current data.
The passages do not say who won.
The passages don't explicitly mention her.
Unfortunately, the provided passages do not mention the date.
The context doesn’t specify the year.
The given text does not provide an answer.
The information provided does not include it.
None of the passages mention it.
No passage says so.
Based on the given passages, it is not possible to determine who it was.
There is no information about this.
There is no mention of the director in the passages.
The name of the director is not mentioned in the provided text.
The year isn't given in the passages.
It is unclear from the passages who wrote it.
The answer is not given in the passages.
The answer to this question is unknown.
The question cannot be answered.
It cannot be determined.
Unable to determine.
Not enough information.
Insufficient context.
Unknown.
N/A
No information can be verified from the response reference and there is no answer given in the reference paragraphs
The passages do not name him. The Lind is a river, and Ostra lies on it.
Ostra is old. I cannot say who founded it, since the passages do not go so far back in time at all.
""".splitlines()

ANSWERED = """\
The answer is not Paris but Lyon.
The answer is not 7, it is 8.
The answer is unusual: 42.
No personal data was leaked in the breach.
No data was lost when the server failed.
"I Can't Tell You Why" is a song by the American rock band Eagles.
I Can't Tell You Why is a song by the American rock band Eagles.
I Don't Know How to Love Him is a song from Jesus Christ Superstar.
"I don't know," said Bruce, and left.
It is not known who wrote Beowulf.
The author is unknown.
Unknown Pleasures is an album by Joy Division.
The Constitution does not mention slavery by name.
There is no mention of slavery in the Constitution.
There is no evidence that he was there.
The text of the Bible does not mention it.
The passage of the act did not give women the vote.
None of the songs mention it.
He was unable to answer the call.
The pig was not found in the house.
She says that she cannot marry him.
God, grant me the serenity to accept the things I cannot change, courage to change the things I can.
No Country for Old Men was directed by the Coens.
Ostra lies on the Lind, north of the hills, and was founded in 1200 by monks. The passages do not say by whom.
""".splitlines()


@pytest.mark.parametrize("answer", REFUSED)
def test_refusals(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", ["", "  ", *ANSWERED])
def test_answers_that_are_no_refusals(answer):
    assert not is_refusal(answer)


def test_references_and_corrected_answers_are_hardly_ever_refusals():
    references = [example.answer for name in ("train", "dev") for example in load_examples(data_file(name))]
    feedback = load_feedback(data_file("feedback"))
    corrected = [example.corrected for example in feedback]
    assert [answer for answer in references if is_refusal(answer)] == []
    refused = [answer for answer in corrected if is_refusal(answer)]
    assert len(refused) <= len(corrected) / 200
    assert all("no answer given" in answer for answer in refused)


LOOPS = ["but and so, ", "sorry but ", "no mention ", "the provided given ", "I do not "]


class Spy:
    """A pattern that counts the characters it reads."""

    def __init__(self, pattern):
        self.pattern, self.characters = pattern, 0

    def match(self, text):
        self.characters += len(text)
        return self.pattern.match(text)

    def search(self, text):
        self.characters += len(text)
        return self.pattern.search(text)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_longer_loop_gives_the_patterns_no_more_to_read(monkeypatch, loop):
    read = []
    for times in (200, 2000):
        spies = Spy(refusals._OPENING), Spy(refusals._ANYWHERE)
        with monkeypatch.context() as patch:
            patch.setattr(refusals, "_OPENING", spies[0])
            patch.setattr(refusals, "_ANYWHERE", spies[1])
            is_refusal(loop * times)
        read.append([spy.characters for spy in spies])
    assert read[0] == read[1]
    assert 0 < read[0][0] <= 2 * refusals._READ


@pytest.mark.parametrize("loop", LOOPS)
def test_reading_a_loop_takes_time_that_grows_by_a_small_power_of_its_length(loop):
    """A pattern that backtracks without bound takes thousands of times as long for twice the text."""

    def fastest(text):
        times = []
        for _ in range(20):
            began = time.process_time_ns()
            refusals._refuses(text)
            times.append(time.process_time_ns() - began)
        return min(times)

    text = (loop * refusals._READ)[: refusals._READ]
    assert fastest(text) < 12 * fastest(text[: refusals._READ // 2])
