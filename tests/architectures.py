"""Random bases of many architectures: two layers that read bytes."""

import shutil

import torch
import transformers as t

from policies.base import BaseModel

_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_COMMON = _SIZES | {"intermediate_size": 32, "max_position_embeddings": 512, "initializer_range": 0.5}
_ONE_KEY = _COMMON | {"num_key_value_heads": 1, "head_dim": 16}
_SWA = {"sliding_window": 16}
_MIXED = _SWA | {"layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
_GPT = {"n_embd": 32, "n_layer": 2, "n_positions": 512, "initializer_range": 0.5}

ARCHITECTURES = {
    "llama": (t.LlamaConfig, _COMMON),
    "mistral": (t.MistralConfig, _COMMON | {"num_key_value_heads": 1} | _SWA),
    "qwen2": (
        t.Qwen2Config,
        _COMMON | _SWA | {"num_key_value_heads": 1, "use_sliding_window": True, "max_window_layers": 1},
    ),
    "qwen3": (t.Qwen3Config, _ONE_KEY),
    "gemma": (t.GemmaConfig, _ONE_KEY),
    "gemma2": (t.Gemma2Config, _ONE_KEY | _SWA),
    "gemma3": (t.Gemma3TextConfig, _ONE_KEY | _MIXED),
    "phi": (t.PhiConfig, _COMMON),
    "phi3": (t.Phi3Config, _COMMON | _SWA | {"pad_token_id": 0}),
    "opt": (t.OPTConfig, _COMMON | {"ffn_dim": 32, "word_embed_proj_dim": 32, "init_std": 0.5}),
    "gpt2": (t.GPT2Config, _GPT | {"n_head": 2}),
    "gptj": (t.GPTJConfig, _GPT | {"n_head": 2, "rotary_dim": 8}),
    "codegen": (t.CodeGenConfig, _GPT | {"n_head": 4, "rotary_dim": 8}),
    "gpt_neox": (t.GPTNeoXConfig, _COMMON),
    "falcon": (t.FalconConfig, _SIZES | {"initializer_range": 0.5, "alibi": False}),
    "starcoder2": (t.Starcoder2Config, _COMMON | {"num_key_value_heads": 1} | _SWA),
    "stablelm": (t.StableLmConfig, _COMMON | {"num_key_value_heads": 2}),
    "olmo3": (t.Olmo3Config, _COMMON | _MIXED),
    "cohere": (t.CohereConfig, _COMMON),
    "granite": (t.GraniteConfig, _COMMON),
    "gpt_oss": (t.GptOssConfig, _ONE_KEY | _MIXED | _EXPERTS),
    "mixtral": (t.MixtralConfig, _COMMON | _EXPERTS | {"num_key_value_heads": 1}),
    "llama4": (
        t.Llama4TextConfig,
        _ONE_KEY | _EXPERTS | {"intermediate_size_mlp": 32, "attention_chunk_size": 16, "pad_token_id": 0}
        | {"layer_types": ["chunked_attention", "full_attention"]},
    ),
    "bloom": (t.BloomConfig, {"hidden_size": 32, "n_layer": 2, "n_head": 2, "initializer_range": 0.5}),
    "falcon_alibi": (t.FalconConfig, _SIZES | {"initializer_range": 0.5, "alibi": True}),
    "mpt": (t.MptConfig, {"d_model": 32, "n_layers": 2, "n_heads": 2, "max_seq_len": 512, "initializer_range": 0.5}),
    "gpt_neo": (
        t.GPTNeoConfig,
        {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]}
        | {"window_size": 16, "max_position_embeddings": 512, "initializer_range": 0.5},
    ),
    "lfm2": (
        t.Lfm2Config,
        _ONE_KEY | {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    ),
    "qwen3_next": (
        t.Qwen3NextConfig,
        _ONE_KEY | {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
        | {"shared_expert_intermediate_size": 16, "layer_types": ["linear_attention", "full_attention"]}
        | {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
        | {"linear_key_head_dim": 8, "linear_value_head_dim": 8},
    ),
    "recurrent_gemma": (
        t.RecurrentGemmaConfig,
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
        | {"num_key_value_heads": 1, "attention_window_size": 16},
    ),
    "mamba": (t.MambaConfig, {"hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.5}),
}  # fmt: skip


def random_base(name, directory, tokenizer):
    """The random base of an architecture in a new directory, with the tokenizer of another base."""
    config, settings = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = t.AutoModelForCausalLM.from_config(config(vocab_size=257, **settings), dtype=torch.float32)
    model.save_pretrained(directory)
    for file in tokenizer.path.glob("tokenizer*"):
        shutil.copy(file, directory)
    return BaseModel(name, directory, "0" * 64)
