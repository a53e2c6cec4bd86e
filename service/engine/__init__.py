"""The vLLM engine: started, supervised, and made fast on CPUs.

engine.py           the engine: load adapters, generate with one of them for each request
token_bytes.py      the bytes that a token stands for
supervisor.py       restart the engine when its process has died
cpu_environment.py  environment variables and libraries that make vLLM fast on a CPU
cpu_lora.py         vLLM plugin that replaces the LoRA kernels on a CPU
packed_adapters.py  the arithmetic of those kernels: packed weights, and how the rows of a step are multiplied
"""
