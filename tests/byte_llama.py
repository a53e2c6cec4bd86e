"""Random Llamas of two layers and two heads that read bytes: bases small enough for any test."""

from policies.base import BaseModel, directory_digest


def byte_llama(directory, width, initializer_range):
    """A base named like its directory, of this hidden width."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([], trainers.BpeTrainer(special_tokens=["<end>"], initial_alphabet=alphabet))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(directory)
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": width, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=257, max_position_embeddings=4096, initializer_range=initializer_range, **sizes)
    LlamaForCausalLM(config).save_pretrained(directory)
    return BaseModel(directory.name.rstrip("0123456789"), directory, directory_digest(directory))
