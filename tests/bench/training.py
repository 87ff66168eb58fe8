"""Training: our loop against that of PyTorch's DCGAN example, its share of the peak, and where the rest goes."""

import multiprocessing
import resource
import time
from dataclasses import replace

import torch
from timing import Work, finish, interleaved, matmul_peak
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from hollow import experiments, faces, images, measure, quality
from hollow.dcgan import Discriminator, Generator, init_normal
from hollow.machine import cores
from hollow.trainer import Trainer

NORMAL = experiments.get("normal")
LITE = experiments.recipe("lite")
DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
JUDGED = 2000  # pictures of each loop, after the same seconds of training


class ExampleLoop:
    """The loop of PyTorch's DCGAN example: float32, contiguous, binary cross-entropy, Adam 2e-4, weights of 0.02."""

    def __init__(self, width: int, pixels: Tensor, device: str = "cpu", norm: bool = False) -> None:
        self.pixels, self.batch, self.device = pixels, LITE.batch, device
        self.generator = Generator(100, width=width, norm=norm).to(device)
        self.discriminator = Discriminator(width=width).to(device)
        for seed, network in enumerate((self.generator, self.discriminator)):
            init_normal(network, torch.Generator().manual_seed(seed))
        self.loss = nn.BCEWithLogitsLoss()
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(self) -> None:
        """Update both networks, as the example does."""
        real = self.pixels[torch.randint(0, len(self.pixels), (self.batch,))].float().div(127.5).sub(1).to(self.device)
        ones, zeros = torch.ones(self.batch, device=self.device), torch.zeros(self.batch, device=self.device)
        self.discriminator.zero_grad()
        self.loss(self.discriminator(real), ones).backward()
        fake = self.generator(torch.randn(self.batch, 100, device=self.device))
        self.loss(self.discriminator(fake.detach()), zeros).backward()
        self.adam_d.step()
        self.generator.zero_grad()
        self.loss(self.discriminator(fake), ones).backward()
        self.adam_g.step()

    @torch.no_grad()
    def samples(self, n: int) -> Tensor:
        """Return n pictures, shape (n, 3, 64, 64), on the CPU."""
        self.generator.eval()
        z = torch.randn(n, 100, generator=torch.Generator().manual_seed(0))
        return torch.cat([self.generator(part.to(self.device)).cpu() for part in z.split(LITE.batch)])


def speed(width: int, device: str = "cpu", repeats: int = 8, rounds: int = 7) -> dict[str, float]:
    """Compare our loop with the example's on the same networks, batch and data."""
    pixels = faces.portraits(1024)[0]
    bare = replace(LITE, width=width, r1_gamma=0.0, ema=0.0)
    graphs = device == "cuda"
    torch.backends.cudnn.benchmark = graphs  # as the example has it
    ours = Trainer(NORMAL, bare, pixels, device=device, graphs=graphs)
    lite = Trainer(NORMAL, replace(LITE, width=width), pixels, device=device, graphs=graphs)
    eager = Trainer(NORMAL, bare, pixels, device=device)
    works: dict[str, Work] = {"example": ExampleLoop(width, pixels, device).step, "ours": ours.step, "lite": lite.step}
    if graphs:
        works["without graphs"] = eager.step
        repeats *= 10  # the first round, which is not counted, sees the recording
    times = interleaved(works, repeats, rounds)
    with FlopCounterMode(display=False) as counter:
        eager.step()
    flops, peak = counter.get_total_flops(), matmul_peak(device)
    figures = {
        "ratio to the example": times["example"] / times["ours"],
        "example, images/s": LITE.batch / times["example"],
        "ours, images/s": LITE.batch / times["ours"],
        "full lite step, images/s": LITE.batch / times["lite"],
        "GFLOP a step": flops / 1e9,
        "bf16 matrix peak, GFLOP/s": peak / 1e9,
        "share of that peak": flops / times["ours"] / peak,
    }
    if graphs:
        figures["ratio without graphs"] = times["example"] / times["without graphs"]
    if device == "cpu":
        convolving = _share_of_convolutions(ours)
        figures["share of the step in convolutions"] = convolving
        figures["share of the peak, had they all the time"] = figures["share of that peak"] / convolving
    return figures


def _share_of_convolutions(trainer: Trainer, steps: int = 5) -> float:
    """Return the share of a step that the library's convolutions take, forward and backward, by the profiler."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            trainer.step()
    spent = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    return sum(time for key, time in spent.items() if "convolution" in key) / sum(spent.values())


def at_equal_time(source: str, budget: float, width: int = 16, device: str = "cpu") -> dict[str, float]:
    """Train each loop for `budget` seconds on `source`, and judge its pictures as chapter 12 does."""
    kind = "portraits" if source == "procedural" else "celeba"
    pixels, real = images.dataset(source, LITE.n_images), measure.real(kind)
    network = quality.load("portraits" if source == "procedural" else "photographs")
    recipe = replace(LITE, width=width)
    loops = {
        "ours": Trainer(NORMAL, recipe, pixels, device=device, graphs=device == "cuda"),
        "example": ExampleLoop(width, pixels, device),
        "example with batch normalisation": ExampleLoop(width, pixels, device, norm=True),
    }
    manifold, figures = quality.Manifold(real), {}
    for name, loop in loops.items():
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < budget:
            loop.step()
            finish()
            steps += 1
        features = network.features(loop.samples(JUDGED))
        found = manifold.compare(features)
        figures |= {
            f"{name}: steps": steps,
            f"{name}: Frechet distance": quality.frechet_distance(real, features),
            f"{name}: precision": found.precision,
            f"{name}: coverage": found.coverage,
        }
    return figures


def _train_some(device: str, threads: int, steps: int, barrier, queue) -> None:
    torch.set_num_threads(threads)
    trainer = Trainer(NORMAL, LITE, faces.portraits(1024)[0], device=device, graphs=device == "cuda")
    for _ in range(3 if device == "cpu" else 4 * LITE.r1_every):  # on a GPU until both kinds of step are recorded
        trainer.step()
    finish()
    barrier.wait()
    started = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    finish()
    queue.put((time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))


def _together(models: int, device: str, threads: int, steps: int) -> tuple[float, float]:
    """Return the images/s of all models that train side by side, each in its process, and the memory of one in GiB."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(models), context.Queue()
    arguments = (device, threads, steps, barrier, queue)
    processes = [context.Process(target=_train_some, args=arguments) for _ in range(models)]
    for process in processes:
        process.start()
    spent, memory = zip(*(queue.get() for _ in processes), strict=True)
    for process in processes:
        process.join()
    return models * steps * LITE.batch / max(spent), max(memory)


def several(device: str = "cpu", steps: int = 60) -> dict[str, float]:
    """Compare one small model at a time with several at once; on a CPU with the cores shared among them."""
    models = cores() if device == "cpu" else 4
    alone, memory = _together(1, device, cores(), steps)
    at_once, _ = _together(models, device, max(1, cores() // models), steps)
    return {
        "models": models,
        "one at a time, images/s": alone,
        "at once, images/s": at_once,
        "ratio": at_once / alone,
        "peak memory of one, GiB": memory,
    }
