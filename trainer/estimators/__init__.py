"""Advantage estimators: how token rewards become each token's credit. The PPO step does not know which one it uses.

estimator.py      what every estimator does; a recipe's `estimator.type` names the module that makes it
leave_one_out.py  compare with the prompt's other samples; no critic
gae.py            the paper's: generalised advantage estimation with a critic
advantages.py     the arithmetic
"""
