from rewards.dataset import Passage
from rewards.scores import ScoreRequest
from trainer.validation.texts import write_texts


def test_answers_are_written_beside_the_reference_answers(tmp_path):
    requests = [ScoreRequest("Where is Ostra?", (Passage(title="Ostra", text="By the Lind."),), "By the Lind.")]
    per_question = {
        "words": [3], "reward": {"relevance": [0.5], "factuality": [-0.25]},
        "copied": {"share": [0.6], "longest": [3]},
    }  # fmt: skip
    write_texts(requests, ["It lies there."], per_question, 528, tmp_path)
    assert (tmp_path / "validation" / "000528.md").read_text() == (
        "# After 528 episodes\n\n## Where is Ostra?\n\n"
        "**Answer** (3 words, 60% copied, longest run 3; relevance +0.50, factuality -0.25)\n\nBy the Lind.\n\n"
        "**Reference answer**\n\nIt lies there.\n\nPassages: Ostra\n"
    )


def test_no_answers_write_no_file(tmp_path):
    write_texts([], [], {}, 528, tmp_path)
    assert list(tmp_path.iterdir()) == []
