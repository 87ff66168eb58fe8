"""Training of the networks that are no GAN: progress, checkpoints, ctrl-C; a resumed run ends with the same weights."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hollow import checkpoints
from hollow.training import ctrl_c

WARM_UP = 100  # steps
EVERY = 500  # steps between checkpoints


def stream(seed: int, step: int) -> int:
    """Return the seed of a step's data: other ones for 1,000 seeds of a million steps; torch uses 32 bits of it."""
    return (seed << 20) + step


class Task(nn.Module, ABC):
    """What is learned: the network, whatever else has weights, and the loss of a batch."""

    name: str
    rate: float  # learning rate at its highest
    network: nn.Module

    @abstractmethod
    def batch(self, step: int) -> Any:
        """Return the data of a step: of its number alone, so that a resumed run sees the same."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """Return the loss."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what identifies the run, for its checkpoint and for the manifest."""


def learn(
    task: Task, steps: int, checkpoint: Path | None, *, resume: bool = False, progress: bool = True
) -> Task:
    """Train by AdamW with a cosine schedule, from the checkpoint if `resume` is true and there is one.

    A run of seconds may do without a checkpoint.

    Raises
    ------
    FileExistsError
        If there is a checkpoint and `resume` is false.
    ValueError
        If the checkpoint is damaged or of another run, or the loss is not finite.
    KeyboardInterrupt
        After ctrl-C, once the checkpoint has been written.
    """
    if checkpoint and checkpoint.exists() and not resume:
        raise FileExistsError(f"{checkpoint} is there already; continue it with --resume or choose another --out")
    task.to(memory_format=torch.channels_last)
    matrices = [p for p in task.parameters() if p.ndim > 1]
    vectors = [p for p in task.parameters() if p.ndim <= 1]  # biases and scales are not decayed
    groups = [{"params": matrices, "weight_decay": 1e-2}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=task.rate)
    identity = {"task": task.name, "steps": str(steps), **{k: json.dumps(v) for k, v in task.facts().items()}}
    begun = 0
    if checkpoint and checkpoint.exists():
        tensors, begun = checkpoints.read(checkpoint, identity)
        _restore(task, optimizer, tensors)
    bar = tqdm(total=steps, initial=begun, desc=task.name, unit="step", disable=None if progress else True)
    task.train()
    with bar, ThreadPoolExecutor(1) as ahead, ctrl_c() as stop:
        coming = ahead.submit(task.batch, begun)
        for step in range(begun, steps):
            data, coming = coming.result(), ahead.submit(task.batch, step + 1)
            for group in optimizer.param_groups:
                group["lr"] = task.rate * min((step + 1) / WARM_UP, 1) * 0.5 * (1 + math.cos(math.pi * step / steps))
            loss = task(data)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.update()
            done = step + 1
            if done % 25 == 0:
                if not math.isfinite(said := float(loss.detach())):
                    raise ValueError(f"the loss of {task.name} is {said} at step {done}; report it")
                bar.set_postfix_str(f"loss {said:.4f}")
            if checkpoint and (done % EVERY == 0 or done == steps or stop):
                checkpoints.write(checkpoint, _state(task, optimizer), done, identity)
            if stop and done < steps:
                mend = "continue with --resume" if checkpoint else "begin again"
                raise KeyboardInterrupt(f"stopped after step {done} of {steps}; {mend}")
    return task.eval()


def _state(task: Task, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {f"task.{key}": value for key, value in task.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
    return {key: value.contiguous() for key, value in tensors.items()}


def _restore(task: Task, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    weights = {}
    for key, value in tensors.items():
        kind, rest = key.split(".", 1)
        if kind == "task":
            weights[rest] = value
        else:
            index, name = rest.split(".")
            state.setdefault(int(index), {})[name] = value
    task.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
