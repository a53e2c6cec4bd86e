"""Reward models fitted on span feedback, as a library.

    from rewards.dataset import Passage
    from rewards.scorer import Scorer
    from rewards.scores import ScoreRequest

    scorer = Scorer.load()
    request = ScoreRequest("How tall is it?", (Passage(title="Tower", text="It is 31 m tall."),), "It is 31 m tall.")
    for name, scores in scorer.score([request])[0].categories.items():
        print(name, [segment.error_probability for segment in scores.segments])

What other packages import:

    scorer.py          scores responses by every category in use
    scores.py          a scoring request, and the scores it gets
    categories.py      the built-in categories: density, annotation labels, reward of a segment
    configuration.py   further categories, from a TOML file
    protocol.py        what a reward model of a further category implements
    segmentation.py    cuts a response into sentences and sub-sentences
    dataset.py         QA-Feedback: questions with reference answers, and span feedback
    json_rows.py       rows of a JSON file, checked against a schema
    held_out.py        the questions that no training may see
    compute.py         device and precision of every model
    errors.py          the error that carries a message for the user
    child_processes.py child processes that end with their parent

How scores come about, each folder importing only the ones above it:

    statistics/        calibration, agreement with people, distribution shift, benchmarks
    heads/             linear heads on named features
    features/          what heads read of a response: encoder, alignment, reader, expected words
    traits/            length, repetition, refusals and language of a response, without any model of ours
    models/            the fitted reward models and the judge
    toxicity/          toxicity of a text, and rewards of the task detoxification
    adapters/          reward models of further categories: classifiers, HTTP endpoints, installed packages
    quality/           how often answers err, as people see it: estimates from few labels and all scores
    fitting/           fits heads, reader and judge on feedback and reference answers
    evaluation/        agreement with people, attacks, comparison of recipes, the model card

Data: `fitted/` (the shipped models), `recipes/`, `candidates/` (logs behind the card), `sample/`, `splits/`.
"""
