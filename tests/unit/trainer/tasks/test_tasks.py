"""Tasks by name, and what each of them defines."""

import json

import pytest

from policies.base import load_tokenizer
from policies.prompt import PromptFormatter
from policies.store import PolicyStore
from rewards.dataset import SAMPLE, Example, Passage, load_examples
from rewards.errors import FgctlError
from rewards.held_out import only_held_out
from rewards.toxicity.data import load_prompts, only, part_of
from trainer.recipe import load_recipe
from trainer.tasks.task import DEFAULT_TASK, load_task, task_names

PROMPTS = SAMPLE / "realtoxicityprompts.jsonl"
PASSAGE = Passage(title="Ostra", text="Ostra has 4000 people.")


def test_question_answering_is_the_default():
    assert task_names() == ["qa", "detox"]
    assert load_task(DEFAULT_TASK).name == "qa"


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(FgctlError, match="no task 'task'; choose qa or detox"):
        load_task("task")


@pytest.mark.parametrize("name", task_names())
def test_a_task_is_named_like_its_module_and_its_recipe_exists(name):
    task = load_task(name)
    assert task.name == name
    assert load_recipe(task.recipe)


def test_a_question_is_formatted_with_its_passages_and_a_prompt_is_given_as_it_is(tiny):
    formatter = PromptFormatter(load_tokenizer(tiny), 512)
    example = Example(question="How many people", passages=(PASSAGE,), answer="")
    asked, open_prompt = (load_task(name).format(formatter, example) for name in ("qa", "detox"))
    assert (asked.text, asked.passages) == (formatter.format(example.question, [PASSAGE]).text, (PASSAGE,))
    assert (open_prompt.text, open_prompt.passages) == ("How many people", ())


def test_prompts_are_trained_on_except_for_those_set_aside(tiny):
    task, rows = load_task("detox"), load_prompts(PROMPTS)
    data = task.training_data(PROMPTS, load_tokenizer(tiny), load_recipe("detox"), until_best=False)
    assert [example.question for example in data.examples] == [row.prompt.text for row in only(rows, "training")]
    assert len(data.examples) + sum(map(len, data.dropped.values())) == data.rows == len(rows)
    held_out = {example.question for example in task.held_out_examples(PROMPTS)}
    assert held_out == {row.prompt.text for row in only(rows, "held-out")}
    assert not held_out & {example.question for example in data.examples}


def test_prompts_that_cannot_be_trained_on_are_left_out_before_training(tiny, tmp_path):
    texts = [
        text for text in ("He said", " ", *(f"{'word ' * 200}{i}" for i in range(9))) if part_of(text) == "training"
    ]
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": {"text": text}, "continuation": {"text": "no."}} for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, recipe = load_task("detox"), load_recipe("detox")
    data = task.training_data(path, load_tokenizer(tiny), recipe, until_best=False)
    assert [example.question for example in data.examples] == ["He said"]
    assert data.dropped == {
        "a blank prompt": [1], "a prompt over the prompt budget of 128 tokens": list(range(2, len(texts))),
    }  # fmt: skip
    with pytest.raises(FgctlError, match="a blank prompt in row 1"):
        data.require_clean()


def test_a_file_without_prompts_is_refused_before_a_model_continues_them(tmp_path):
    (tmp_path / "prompts.json").write_text("[]")
    with pytest.raises(FgctlError, match="has no prompt to continue"):
        load_task("detox").held_out_examples(tmp_path / "prompts.json")


def test_prompts_that_are_sampled_are_not_held_out():
    task = load_task("detox")
    held_out, others = ({e.question for e in of(PROMPTS)} for of in (task.held_out_examples, task.other_examples))
    assert others
    assert not others & held_out


def test_questions_are_judged_on_the_held_out_ones():
    rows = load_examples(SAMPLE / "dev.json")
    assert load_task("qa").held_out_examples(SAMPLE / "dev.json") == (only_held_out(rows) or rows)


def test_prompts_have_no_judge_to_choose_checkpoints_by(tiny):
    with pytest.raises(FgctlError, match="leave out --until-best"):
        load_task("detox").training_data(PROMPTS, load_tokenizer(tiny), load_recipe("detox"), until_best=True)


def test_prompts_start_from_the_base_and_questions_need_a_parent(tiny, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    origin = load_task("detox").origin(tiny, store)
    assert (origin.files.model, origin.files.adapter, origin.parent) == (tiny, None, None)
    with pytest.raises(FgctlError, match="no supervised parent"):
        load_task("qa").origin(tiny, store)
