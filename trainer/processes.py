"""The processes of a run, by Accelerate: one, several on a machine, or many on several machines.

Every process holds the whole step's small tensors, but samples, scores and evaluates only its own prompts and fills in
their values; a sum over the processes completes the tensors. What is computed from complete tensors, such as whitening
and metrics, is the same everywhere and needs no further exchange. The adapter's gradients are summed in the same way,
so all processes take the same optimiser step.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from rewards.errors import FgctlError

T = TypeVar("T")


class Processes:
    """How the processes of a run share a step's work and exchange results."""

    def __init__(self, *, sharded: bool | None = None) -> None:
        """Join the processes that `accelerate launch` or `torchrun` started; without them, run alone.

        `sharded` defaults to the launcher's --use_fsdp.
        """
        self._accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.count: int = self._accelerator.num_processes
        self.main: bool = self._accelerator.is_main_process
        """Whether this is the process that writes checkpoints, logs and policies."""
        self.device: torch.device = self._accelerator.device
        fsdp = os.environ.get("ACCELERATE_USE_FSDP") == "true" if sharded is None else sharded
        self.sharded = fsdp and self.count > 1
        """Whether the frozen base is spread over the processes."""
        if self.sharded:
            # With it, transformers would leave the base empty on all processes but the first.
            os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"

    def own(self, items: Sequence[T]) -> list[T]:
        """This process's share of some items: every n-th, so that any consecutive part is shared evenly, too."""
        return list(items[self._accelerator.process_index :: self.count])

    def merge(self, results: dict[int, T]) -> dict[int, T]:
        """The results of all processes, each for its own items."""
        if self.count == 1:
            return results
        return {item: result for part in gather_object([results]) for item, result in part.items()}

    def sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Each tensor summed over the processes, on the tensor's device. All processes pass the same shapes."""
        if self.count == 1:
            return tensors
        return tuple(self._reduce(tensor.to(self.device)).to(tensor.device) for tensor in tensors)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the parameters' gradients by their sums over the processes; a missing gradient counts as zero."""
        if self.count == 1:
            return
        every = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in every]
        (summed,) = self.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        for p, part in zip(every, summed.split([p.numel() for p in every]), strict=True):
            p.grad = part.view_as(p)

    def level(self, rows: Sequence[T], idle: T) -> list[T]:
        """The rows of this process's forward passes, padded with idle rows where the model is sharded.

        A sharded layer is gathered from all processes whenever it runs, so all must run equally often.
        """
        if not self.sharded:
            return list(rows)
        most = int(max(gather_object([len(rows)])))
        return [*rows, *[idle] * (most - len(rows))]

    def on_main(self, function: Callable[[], T]) -> T:
        """Run a function on the main process; all processes wait for it and get its result, or raise its FgctlError."""
        if self.count == 1:
            return function()
        outcome: list[Any] = [None, None]
        if self.main:
            try:
                outcome[0] = function()
            except FgctlError as error:
                outcome[1] = error
        result, failure = broadcast_object_list(outcome)
        if failure is not None:
            raise failure
        return result  # type: ignore[no-any-return]

    def shard(self, model: nn.Module, layers: Iterable[nn.Module], unsharded: Iterable[nn.Parameter]) -> None:
        """Spread a model's parameters over the processes by FSDP2, layer by layer; those `unsharded` stay whole.

        The model must then be called itself, not through one of its modules.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh, whole = init_device_mesh(self.device.type, (self.count,)), set(unsharded)
        for parameter in whole:  # sharding moves the others
            parameter.data = parameter.data.to(self.device)
        for module in (*layers, model):
            fully_shard(module, mesh=mesh, ignored_params=whole)

    def _reduce(self, tensor: Tensor) -> Tensor:
        return self._accelerator.reduce(tensor, reduction="sum")  # type: ignore[no-any-return]
