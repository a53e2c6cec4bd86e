"""Supervised fine-tuning and fine-grained PPO of LoRA policy adapters.

recipe.py        every setting of a run, and the TOML files in recipes/
sft.py           train the supervised parent
ppo_run.py       train a policy: from the parent to a stored version
warm_start.py    a policy that a run begins as, in place of the parent
ppo.py           one PPO step
policy_model.py  the frozen base with the adapters of policy and reference
packing.py       prompts and responses in one row without padding
logprobs.py      log-probabilities of chosen tokens, in little memory
experience.py    a step's samples, rewards and log-probabilities as tensors
credit.py        each segment's reward on the segment's last token
kl.py            the KL penalty, fixed or adaptive
losses.py        PPO's clipped losses
processes.py     several processes that share a step

bases/           loading a base of any architecture, or refusing it
rollouts/        sampling responses: vLLM, transformers or vLLM servers
tasks/           what a policy learns to do: question answering, detoxification
estimators/      advantages from token rewards
tracking/        checkpoints, logs, metrics and early warnings of a run
validation/      watching a policy while it is trained
evaluation/      judging policies on held-out questions
experiments/     training several ways and comparing them
arena/           comparing answers head to head
bench/           what a step and a score cost
"""
