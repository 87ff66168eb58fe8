"""Paths, painted portraits and the reading of image files."""

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import stats
from timing import interleaved, seconds

from hollow import faces, images, interpolations, priors


def cauchy_linear(n: int = 2000) -> dict[str, float]:
    """Against the composition that a reader would write with scipy.stats (inaccurate in the tails)."""
    prior = priors.get("normal")
    z0, z1 = prior.sample(n), prior.sample(n)
    path, lam = interpolations.get("cauchy-linear", prior), torch.linspace(0, 1, 9)

    def composed() -> np.ndarray:
        c0, c1 = (stats.cauchy.ppf(stats.norm.cdf(z.double().numpy())) for z in (z0, z1))
        lams = lam.double().numpy()[:, None, None]
        return stats.norm.ppf(stats.cauchy.cdf((1 - lams) * c0 + lams * c1))

    assert np.allclose(composed()[1:-1], path(z0, z1, lam)[1:-1].numpy(), atol=1e-4)
    times = interleaved({"scipy.stats": composed, "ours": lambda: path(z0, z1, lam)}, 1, 5)
    return {
        "ratio to scipy.stats": times["scipy.stats"] / times["ours"],
        "million values/s": lam.numel() * z0.numel() / times["ours"] / 1e6,
    }


def rendering(n: int = 4096) -> dict[str, float]:
    """Portraits painted by hollow.faces."""
    return {"images/s": n / min(seconds(lambda: faces.portraits(n)) for _ in range(3))}


def caching(width: int, height: int, n: int = 20_000) -> dict[str, float]:
    """Generated JPEGs: 200 different portraits, repeated under different names."""
    pictures = []
    for portrait in faces.portraits(200)[0]:
        buffer = io.BytesIO()
        picture = Image.fromarray(portrait.permute(1, 2, 0).numpy()).resize((width, height), Image.Resampling.BICUBIC)
        picture.save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "faces.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for i in range(n):
                archive.writestr(f"{i:06d}.jpg", pictures[i % len(pictures)])
        cold, warm = (seconds(lambda: images.load(source, cache=folder, progress=False)) for _ in range(2))
    return {"first time, s": cold, "again, s": warm}
