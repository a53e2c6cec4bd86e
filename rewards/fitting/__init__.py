"""Fits heads, reader and judge. Nothing here runs when responses are scored.

On span feedback:

    segment_labels.py        from annotations to labels of segments and to pairs of responses
    feedback_table.py        feedback as features and labels, shared with rewards.evaluation
    labelled.py              segments and pairs with their labels
    extracts.py              answers copied from the passages
    reference_table.py       labels that follow from reference answers, without annotation
    folds.py                 cross-validation folds that keep the rows of a question together
    fit_heads.py             the heads of the reward models, calibrated
    fit_label_heads.py       the heads that say which annotation label an error has
    fit_judge.py             the judge's heads

On questions with reference answers:

    distant_supervision.py   made-up responses, labelled by the reference answer
    fit_reader.py            the reader's LoRA adapter
    fit_word_head.py         the word head behind expected content
"""
