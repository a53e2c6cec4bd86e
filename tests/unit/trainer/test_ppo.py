from trainer.ppo import step_examples
from trainer.recipe import PpoRecipe


def test_every_epoch_asks_every_question_once_in_an_order_of_its_own():
    recipe = PpoRecipe(prompts_per_step=4)
    questions = list(range(10))
    asked = [q for step in range(5) for q in step_examples(questions, step, recipe)]
    assert sorted(asked[:10]) == sorted(asked[10:]) == questions
    assert asked[:10] != asked[10:]
    assert step_examples(questions, 3, recipe) == asked[12:16]
