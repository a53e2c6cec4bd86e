"""LoRA adapters as PEFT stores them, and the one check whether they can be used.

configuration.py  adapter_config.json: ranks, scales and target modules, and features that cannot be served
base_modules.py   the modules of a base model and their shapes
digest.py         the digest of an adapter's content, which names its version
lora.py           a stored adapter: its tensors, the check, and how much two adapters differ
"""
