import time

import pytest

from rewards.dataset import data_file, load_examples, load_feedback
from rewards.traits.refusals import is_refusal

DECLINED = """\
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


@pytest.mark.parametrize("answer", DECLINED)
def test_answers_that_decline(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", ["", "  ", *ANSWERED])
def test_answers_that_do_not(answer):
    assert not is_refusal(answer)


def test_references_and_corrected_answers_hardly_ever_decline():
    references = [example.answer for name in ("train", "dev") for example in load_examples(data_file(name))]
    feedback = load_feedback(data_file("feedback"))
    corrected = [example.corrected for example in feedback]
    assert [answer for answer in references if is_refusal(answer)] == []
    declined = [answer for answer in corrected if is_refusal(answer)]
    assert len(declined) <= len(corrected) / 200
    assert all("no answer given" in answer for answer in declined)


@pytest.mark.parametrize("loop", ["but and so, ", "sorry but ", "no mention ", "the provided given ", "I do not "])
def test_a_loop_takes_no_longer_than_other_text(loop):
    began = time.perf_counter()
    is_refusal(loop * 2000)
    assert time.perf_counter() - began < 1
