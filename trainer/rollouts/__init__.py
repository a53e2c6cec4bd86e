"""Sampling responses from the policy as it is now.

sampler.py         what every sampler can do
choose_sampler.py  the one that a run gets: `ppo.rollouts` names the module that makes it
vllm.py            vLLM in this process, from merged weights
transformers.py    transformers' generate, where vLLM is not installed
server.py          vLLM servers that load the adapter
ahead.py           sampling a step while the one before it is learned from
scored.py          scoring responses while further ones are sampled
"""
