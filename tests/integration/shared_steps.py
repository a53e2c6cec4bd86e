"""What one or several processes do for test_processes.py: a few steps on a tiny base, and what came of them.

Run as a script by each of several processes, whose environment says who is who.
"""

import os
import random
import sys
import zlib
from pathlib import Path

import torch

from policies.base import BaseModel
from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.dataset import SAMPLE, load_examples
from rewards.errors import FgctlError
from rewards.scores import CategoryScores, ScoredResponse, Segment
from rewards.segmentation import segments
from trainer import sft
from trainer.packing import Group
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.processes import Processes
from trainer.recipe import LoraRecipe, load_recipe
from trainer.rollouts.sampler import Sampled

STEPS = 2
RECIPE = [
    "ppo.prompts_per_step=4",
    "ppo.samples_per_prompt=3",
    "ppo.minibatches=2",
    "ppo.max_prompt_tokens=48",
    "ppo.kl.target=1.0",
    "ppo.logprob_tolerance=1e9",
    "lora.top_layers=2",
    "forward_tokens=128",
]


class FixedSampler:
    """The same responses for a place in a step, whoever asks: of 0 to 12 tokens, some ended and some cut."""

    def __init__(self, eos):
        self._eos = eos

    def synchronise(self, model, step=0):
        self._step = step

    def logprobs(self, tokens):
        return [float(self._step)]

    def sample(self, prompts, n, max_new_tokens, seed, *, top_p=1.0, places):
        return [[self._response(place, j) for j in range(n)] for place in places]

    def _response(self, place, sample):
        drawn = random.Random(f"{self._step}-{place}-{sample}")  # noqa: S311
        nothing = (self._step, place) == (0, 1)  # a prompt without a token to learn from
        tokens = [] if nothing else [drawn.randrange(1000, 20000) for _ in range(drawn.randrange(12))]
        ended = drawn.random() < 0.5 and not nothing
        return Sampled(tokens + [self._eos] * ended, [-1.0] * (len(tokens) + ended))

    def close(self):
        pass


class FixedScorer:
    """A reward that the text alone decides."""

    categories = BUILT_IN

    def __init__(self):
        self.judged = []

    def score(self, requests):
        self.judged += [request.question for request in requests]
        return [ScoredResponse({name: self._judge(name, r.response) for name in BUILT_IN}) for r in requests]

    def holistic(self, requests):
        return [_share(r.response) for r in requests]

    def _judge(self, name, text):
        pieces = [Segment(a, b, _share(name + text[a:b]), False) for a, b in segments(text, BUILT_IN[name].density)]
        return CategoryScores(tuple(pieces), tuple(1 - 2 * piece.error_probability for piece in pieces))


def _share(text):
    return zlib.crc32(text.encode()) / 2**32


def run(base_path, parent, processes):
    """What training came to: for each way, metrics of the steps, parameters and optimiser moments."""
    base = BaseModel("tiny", Path(base_path), "tiny")
    ways = {
        "gae": ["ppo.estimator.type=gae", "ppo.estimator.critic_warmup_steps=0"],
        "leave_one_out": ["ppo.estimator.type=leave_one_out"],
        "holistic": ["ppo.estimator.type=leave_one_out", "ppo.objective=holistic"],
    }
    results = {way: _ppo(base, parent, processes, overrides) for way, overrides in ways.items()}
    return results | {"sft": _sft(base, processes)}


def _ppo(base, parent, processes, overrides):
    recipe = load_recipe("smoke", [*overrides, *RECIPE])
    # In float32: in bf16, rows packed otherwise would round otherwise, and small mistakes would hide in that.
    model = PolicyModel(base, recipe.lora, Path(parent), 0.7, processes, torch.float32)
    held = _held(model)
    scorer = FixedScorer()
    examples = load_examples(SAMPLE / "train.json")
    trainer = PpoTrainer(model, scorer, Weights.parse("1,2,1"), recipe, examples, processes)
    sampler = FixedSampler(model.eos)
    metrics = [trainer.step(step, sampler) for step in range(STEPS)]
    return {"metrics": metrics, "state": trainer.state(STEPS), "judged": scorer.judged, "held": held}


def _held(model):
    """The share of the base's numbers that this process holds."""
    frozen = [p for name, p in model.peft.named_parameters() if ".lora_" not in name]
    return sum(getattr(p, "_local_tensor", p).numel() for p in frozen) / sum(p.numel() for p in frozen)


def _sft(base, processes):
    model = PolicyModel(base, LoraRecipe(top_layers=2), processes=processes, dtype=torch.float32)
    held = _held(model)
    parameters = model.policy_parameters()
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3)
    drawn = random.Random(0)  # noqa: S311
    groups = [Group([1, 2, 3 + i], [[drawn.randrange(20000) for _ in range(2 + 5 * i)]]) for i in range(5)]
    logged = [sft.update(model, groups, optimizer, 64, processes) for _ in range(STEPS)]
    metrics = [dict(zip(("loss", "grad_norm"), step, strict=True)) for step in logged]
    state = {"adapter": parameters, "optimizer": optimizer.state_dict()}
    return {"metrics": metrics, "state": state, "judged": [], "held": held}


def _messages(processes):
    """What the processes tell each other of things that only some know."""

    def fail():
        raise FgctlError("the disk is full")

    try:
        processes.on_main(fail)
        failure = None
    except FgctlError as error:
        failure = str(error)
    told = processes.on_main(os.getpid)
    nan = torch.nn.Parameter(torch.zeros(2))
    if processes.main:
        nan.grad = torch.tensor([1.0, float("nan")])
    processes.sum_gradients([nan])
    return {"failure": failure, "told": told, "pid": os.getpid(), "gradient": nan.grad, "main": processes.main}


if __name__ == "__main__":
    base_path, parent, out = sys.argv[1:]
    whole = Processes()
    results = {"whole": run(base_path, parent, whole), "messages": _messages(whole)}
    # Without a GPU, Accelerate refuses this part of what `accelerate launch --use_fsdp` sets; transformers heeds it.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "true"
    sharded = Processes(sharded=True)
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    results["sharded"] = run(base_path, parent, sharded)
    torch.save(results, Path(out) / f"{os.environ['RANK']}.pt")
