import re

import pytest
import torch

from rewards.errors import FgctlError
from trainer.packing import Group, pack
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe

TRAINED = (
    "llama mistral qwen2 qwen3 gemma gemma2 gemma3 phi phi3 opt gpt2 gptj codegen gpt_neox falcon starcoder2 stablelm "
    "olmo3 cohere granite gpt_oss mixtral llama4"
).split()
REFUSED = "bloom falcon_alibi mpt gpt_neo lfm2 qwen3_next recurrent_gemma".split()
GROUPS = [Group([*range(100, 124)], [[130, 131, 132, 133, 134], [140, 141, 142]]), Group([9, 8, 7], [[50, 51], [60]])]


@pytest.mark.parametrize("architecture", TRAINED)
def test_a_packed_row_gives_what_each_sequence_gives_alone(make_base, architecture):
    model = PolicyModel(make_base(architecture), LoraRecipe(top_layers=1), dtype=torch.float32)
    packed = model.evaluate(pack(GROUPS)).logprobs
    sequences = [(group.prompt, response) for group in GROUPS for response in group.responses]
    alone = torch.cat([model.logprobs([*prompt, *response])[-len(response) :] for prompt, response in sequences])
    assert (packed - alone).abs().max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", REFUSED)
def test_a_base_that_reads_packed_rows_in_another_way_is_refused_by_name(make_base, architecture, dtype):
    base = make_base(architecture)
    with pytest.raises(FgctlError, match=r"cannot be trained: .* use another base\.$") as refused:
        PolicyModel(base, LoraRecipe(top_layers=1, target_modules="all-linear"), dtype=dtype)
    message = str(refused.value)
    assert re.match(rf"Base model {architecture} \(\w+\) cannot", message)
    assert len(re.findall(r"\.(\s|$)", message)) == 1
