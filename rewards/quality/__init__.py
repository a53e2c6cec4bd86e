"""How often answers err, as people see it: estimates from few labels and all scores, on anybody's traffic.

support_labels.py   labels of parts of responses, in JSON lines
answers.py          scored answers and what people say of them, as sampling units
estimates.py        the error rates of scored answers, with intervals
judged_segments.py  segments that people judged, with what the models say of them
recalibration.py    new intercepts, slopes and thresholds from local labels
calibrated_rewards.py  reward models calibrated to local labels
annotated_feedback.py  full annotations as labels of segments
agreement.py        agreement with support labels, beside lexical overlap
public_sets.py      WiCE and ExpertQA, as another team's traffic
few_labels.py       what few labels do on a set whose answers are all labelled
shift_study.py      false alarms and hits of the warning of unlike inputs
score_files.py      scored answers and labels from files
"""
