"""How good, how diverse and how saturated images are: numbers from their pixels and from their features.

`load` gives a small frozen network, whose 64 features of portraits know the ground-truth factors and whose features of
photographs were learned without labels. Distances and manifolds compare features of generated images with those of real
ones. Every number depends on the network and most of them on the number of images: compare like with like.
"""

from hollow.quality.distances import frechet_distance, kernel_distance
from hollow.quality.manifolds import Comparison, Manifold, density_coverage, precision_recall, realism
from hollow.quality.network import Features, Statistics, load
from hollow.quality.pixels import between, colour_saturation, compare, contrast, saturation, spread, unit

__all__ = [
    "Comparison",
    "Features",
    "Manifold",
    "Statistics",
    "between",
    "colour_saturation",
    "compare",
    "contrast",
    "density_coverage",
    "frechet_distance",
    "kernel_distance",
    "load",
    "precision_recall",
    "realism",
    "saturation",
    "spread",
    "unit",
]
