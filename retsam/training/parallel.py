"""Several processes that train one network together, one per GPU, as torchrun starts them.

Each makes and computes its part of the same batch; gradients and batch statistics are summed over all, so that the
result is that of one process with the whole batch, to rounding.
"""

import atexit
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from retsam.errors import UserError

PATIENCE = timedelta(hours=12)
"""How long processes wait for the first one, which makes the frames and validates."""

BUCKET = 2**24
"""Numbers that are summed at once."""


@dataclass(frozen=True)
class Group:
    """Processes that train together.

    Attributes
    ----------
    rank : int
        Which one this is, from 0; the first one writes, validates and speaks.
    ranks : int
        How many there are; for 1 nothing here does anything.
    device : str
        Where numbers are exchanged.
    """

    rank: int = 0
    ranks: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all processes, in place."""
        if self.ranks > 1:
            dist.all_reduce(tensor)
        return tensor

    def spread(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the first one's tensors, in place."""
        if self.ranks > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def agreed(self, *values: float) -> list[float]:
        """Return the first process's numbers, waiting for it."""
        if self.ranks == 1:
            return list(values)
        exchanged = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(exchanged, 0)
        return exchanged.tolist()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process do something before the others do it: they find the files that it wrote."""
        if not self.first:
            self.agreed(0.0)
        yield
        if self.first:
            self.agreed(0.0)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum gradients over all processes, in place, many at once."""
        if self.ranks == 1:
            return
        waiting: list[torch.Tensor] = []
        for parameter in parameters:
            if parameter.grad is not None:
                waiting.append(parameter.grad)
            if sum(gradient.numel() for gradient in waiting) >= BUCKET:
                self._sum_together(waiting)
                waiting = []
        self._sum_together(waiting)

    def _sum_together(self, tensors: Sequence[torch.Tensor]) -> None:
        if not tensors:
            return
        flat = self.sum(torch.cat([tensor.reshape(-1) for tensor in tensors]))
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))


ALONE = Group()


def join(device: str) -> tuple[Group, str]:
    """Join the processes that torchrun started.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    Group
        :data:`ALONE` where torchrun did not start this process, or only one.
    str
        Device of this process: each has a GPU of its own.

    Raises
    ------
    UserError
        If there are fewer GPUs than processes, or one was named.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks == 1:
        return ALONE, device
    if device.startswith("cuda"):
        device = _own_gpu(device)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
        atexit.register(_leave)
    return Group(dist.get_rank(), ranks, device), device


def _own_gpu(device: str) -> str:
    here, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if ":" in device:
        raise UserError(f"--device {device} is one GPU, but torchrun started several processes; give cuda or auto.")
    if here >= there:
        raise UserError(f"there are {there} GPUs here, fewer than processes; use torchrun --nproc-per-node {there}.")
    return f"cuda:{here}"


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def share_statistics(model: nn.Module, group: Group) -> None:
    """Let every batch normalisation in a network see the whole batch of all processes; names of tensors stay."""
    if group.ranks == 1:
        return
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.BatchNorm2d):
                setattr(parent, name, _shared(module, group.device))


def _shared(module: nn.BatchNorm2d, device: str) -> nn.Module:
    if device.startswith("cuda"):
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    out = SharedBatchNorm(module.num_features, module.eps, module.momentum)
    out.load_state_dict(module.state_dict())
    return out.to(module.weight)


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes, where torch has none: on CPUs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same; B may differ between processes."""
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        here = torch.cat([values.sum((0, 2, 3)), values.new_tensor([values.numel() / values.shape[1]])])
        total = _Sum.apply(here)
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = values - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _Sum(torch.autograd.Function):
    """Sum over processes: what one gives counts in the results of all, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        dist.all_reduce(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        out = gradients[0].clone()
        dist.all_reduce(out)
        return out
