"""The vLLM engine: started, supervised, and made fast on CPUs.

engine.py           the engine: load adapters, generate with one of them for each request
token_bytes.py      the bytes that a token stands for
processes.py        vLLM's processes: they end with the service, and can be killed
supervisor.py       restart the engine when its processes have died or hang
cpu_environment.py  environment variables and libraries that make vLLM fast on a CPU
cpu_lora.py         vLLM plugin that replaces the LoRA kernels on a CPU
packed_adapters.py  the arithmetic of those kernels: packed weights, and how the rows of a step are multiplied
"""
