"""Linear heads on named features, fitted on feedback and stored as JSON.

linear.py             logistic and Bradley-Terry heads: the probability of an error, and which response is better
annotation_label.py   which annotation label an error most likely has, stored beside the rewards
stored_json.py        how heads are written: rounded numbers, a version of the content, in one step
"""
