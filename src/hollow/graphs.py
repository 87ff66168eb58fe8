"""A step of training as one CUDA graph: recorded once, then replayed without Python between its kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

Outputs = dict[str, Tensor]
Capture = Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]]
WARM_UP = 3  # calls before the recording, in which libraries choose their kernels and take their memory


def capture(function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
    """Record the kernels of a function, which do not run yet; return what replays them, and its outputs' memory."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function()
    return graph.replay, outputs


class Replayed:
    """A function of tensors whose work on a GPU is recorded at the fourth call and replayed from then on.

    A graph repeats the same kernels on the same memory. So whatever changes from call to call must be an argument, of
    the same shape each time, and whatever lasts must be written in place; a number of Python's is frozen as it was.
    The first three calls run as they are, on a stream of their own, as recording requires. The graph keeps a pool of
    memory of its own, beside that of the first calls.

    Parameters
    ----------
    function : callable
        From tensors to a dict of tensors, without waiting for the GPU.
    capture : callable, keyword-only
        What records; `hollow.graphs.capture` by default.
    """

    def __init__(self, function: Callable[..., Outputs], *, capture: Capture = capture) -> None:
        self.function, self.capture, self.calls = function, capture, 0
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: Outputs = {}
        self._replay: Callable[[], None] | None = None
        self._side: torch.cuda.Stream | None = None

    def __call__(self, *inputs: Tensor) -> Outputs:
        # Streams and recordings are those of the current device, which need not be the one that trains.
        with torch.cuda.device(inputs[0].device) if inputs[0].is_cuda else contextlib.nullcontext():
            self.calls += 1
            return self._aside(inputs) if self.calls <= WARM_UP else self._again(inputs)

    def _again(self, inputs: tuple[Tensor, ...]) -> Outputs:
        if self._replay is None:
            self._inputs = tuple(x.clone() for x in inputs)
            self._replay, self._outputs = self.capture(lambda: self.function(*self._inputs))
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given)
        self._replay()
        return {name: value.clone() for name, value in self._outputs.items()}  # the next call writes over them

    def _aside(self, inputs: tuple[Tensor, ...]) -> Outputs:
        if not inputs[0].is_cuda:
            return self.function(*inputs)
        self._side = self._side or torch.cuda.Stream()
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            outputs = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(self._side)
        return outputs
