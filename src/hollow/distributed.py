"""Several processes that train one model: who has which part of a batch, and what they must agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from hollow import devices

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells each process
_PATIENCE = timedelta(hours=4)  # with one that reads a large set of images for the first time


@dataclass(frozen=True)
class Ranks:
    """One of several processes that train one model together; by default it is alone.

    Attributes
    ----------
    rank, world : int
        Number of this process, from 0, and how many there are.
    local, local_world : int
        The same on this machine alone.
    talk : process group, optional
        For what is agreed upon between processors, so that no GPU is waited for.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1
    talk: Any = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def share(self, batch: int) -> int:
        """Return how many images of a batch are this process's; a ValueError says if they cannot be shared evenly."""
        if batch % self.world:
            raise ValueError(
                f"a batch of {batch} cannot be shared evenly by {self.world} processes; start a number that divides it"
            )
        return batch // self.world

    def part(self, whole: Tensor) -> Tensor:
        """Return this process's rows of a batch; those of all ranks, in order, are the batch."""
        if self.world == 1:
            return whole
        size = self.share(len(whole))
        return whole[self.rank * size : (self.rank + 1) * size]

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network, its gradients averaged over the ranks by `DistributedDataParallel` in backward passes.

        Layers of batch normalisation are replaced in place by those that see the whole batch.

        Raises
        ------
        ValueError
            If the network has batch normalisation and is on the CPU.
        """
        if self.world == 1:
            return network
        device = next(network.parameters()).device
        if any(isinstance(layer, _BatchNorm) for layer in network.modules()):
            if device.type == "cpu":
                raise ValueError(
                    "batch normalisation over several processes needs GPUs, PyTorch has it for no CPU; "
                    "train this model in one process, or with --device cuda"
                )
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(network, device_ids=None if device.type == "cpu" else [device])

    def mean(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Return the means over the ranks, which for losses of equal parts are those of the whole batch."""
        values = torch.stack([value.detach().float() for value in losses.values()])
        if self.world > 1:
            dist.all_reduce(values)
        return dict(zip(losses, (values / self.world).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank."""
        return bool(self._greatest(int(flag))[0]) if self.world > 1 else flag

    def agree(self, step: int) -> None:
        """Raise a ValueError unless every rank goes on from the same step."""
        if self.world == 1:
            return
        last, first = self._greatest(step, -step)
        if last != -first:
            raise ValueError(
                f"the processes found checkpoints after steps {-first} and {last}; give an --out that all machines see"
            )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let the first process of each machine go through the block before the others, as to fill a cache."""
        if self.local:
            self._wait()
        yield
        if not self.local:
            self._wait()

    def command(self, alone: str) -> str:
        """Return the command that repeats a run, given that of one process."""
        if self.world == 1:
            return alone
        machines = self.world // self.local_world
        nodes = f"--nnodes {machines} " if machines > 1 else ""
        return f"torchrun {nodes}--nproc-per-node {self.local_world} -m {alone}"

    def _wait(self) -> None:
        if self.world > 1:
            self._greatest(0)

    def _greatest(self, *numbers: int) -> list[int]:
        said = torch.tensor(numbers)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.talk)
        return said.tolist()


ALONE = Ranks()


def launched() -> bool:
    """Return whether torchrun, or something that tells the same, started this process."""
    return all(name in os.environ for name in LAUNCHED)


@contextmanager
def joined(device: str = "auto") -> Iterator[tuple[Ranks, str]]:
    """Join the processes that torchrun started, and yield this one's place with its device; or stay alone.

    On GPUs each process takes the one of its number and they speak through NCCL; on CPUs through Gloo.

    Raises
    ------
    ValueError
        If there are more processes than GPUs.
    ConnectionError
        On rank 0, if another process was lost; the other ranks end without a word then, as they do after ctrl-C.
    """
    device = devices.named(device)
    if not launched():
        yield ALONE, device
        return
    rank, world, local = (int(os.environ[name]) for name in LAUNCHED[:3])
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if device.startswith("cuda"):
        if (found := torch.cuda.device_count()) < here:
            raise ValueError(f"{here} processes here for {found} GPUs; start one for each, or use --device cpu")
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Ranks(rank, world, local, here, dist.new_group(backend="gloo", timeout=_PATIENCE)), device
    except KeyboardInterrupt:
        if rank:
            raise SystemExit(130) from None
        raise
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        if rank:
            raise SystemExit(1) from None
        said = "another process of this run was lost; go on from the last checkpoint with --resume"
        raise ConnectionError(said) from error
    finally:
        dist.destroy_process_group()
