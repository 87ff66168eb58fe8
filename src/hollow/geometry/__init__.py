"""The geometry of latent space as a decoder sees it: metrics, geodesics, means, clusters, Brownian motion.

    metric = geometry.PullBack(decoder)
    path = geometry.geodesic(metric, z0, z1)
    images = decoder(path(0.5))

`geodesic` solves many curves at once, by energy for every decoder or by the differential equation for smooth ones. A
decoder that is to see where there was no data needs a precision: `GaussianDecoder(mean, RBFPrecision.fit(codes, ...))`.
"""

from hollow.geometry.boundary import by_boundary
from hollow.geometry.brownian import brownian
from hollow.geometry.clusters import Clusters, f_measure, kmeans, matched
from hollow.geometry.curves import Geodesics
from hollow.geometry.decoders import kinks
from hollow.geometry.energy import by_energy
from hollow.geometry.graph import Graph
from hollow.geometry.maps import exponential, geodesic, logarithm
from hollow.geometry.metric import FromFunction, Metric, PullBack
from hollow.geometry.precision import GaussianDecoder, RBFPrecision

__all__ = [
    "Clusters",
    "FromFunction",
    "GaussianDecoder",
    "Geodesics",
    "Graph",
    "Metric",
    "PullBack",
    "RBFPrecision",
    "brownian",
    "by_boundary",
    "by_energy",
    "exponential",
    "f_measure",
    "geodesic",
    "kinks",
    "kmeans",
    "logarithm",
    "matched",
]
