"""Policies: LoRA adapters for settings of the reward weights, their store, and what they are prompted with.

names.py            names of profiles and versions; the default profile
weights.py          how much each category counts
base.py             the base model: the embedded default, or another
trunk.py            the base with the parent merged into it, and what to load for a stored policy
prompt.py           one prompt formatter for training, evaluation and service
control_tokens.py   which tokens are special, and text in which none counts
manifest.py         policy.json, and the README beside an adapter
verification.py     what can be checked of a stored policy without its base's weights
mixing.py           adapters for weights that no policy was trained for
mixture_weights.py  which shares of the trained policies reach given weights
errors.py           a policy or a store that cannot be used as it is

adapters/           LoRA adapters as PEFT stores them, and the check whether they can be used
engine/             vLLM's arguments, their defaults on CPUs and GPUs, and the memory that they take
preferences/        which weights a person seems to want, by what they say of answers
exchange/           export to, and import from, a directory or the Hugging Face Hub
promotion/          which versions may replace others, by evaluations and by traffic
store/              versions on disk, and which one each profile serves
shipped/            the store that ships with fgctl, and the default
"""
