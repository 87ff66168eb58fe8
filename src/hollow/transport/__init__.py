"""Transport from a simple law to the law of codes: exact and entropic plans, closed forms, and Liu et al.'s map.

Three lines on a decoder of your own::

    T = transport.fit(torch.randn(20_000, D), codes, generator=generator)
    images = decoder(T(torch.randn(64, D)))
"""

from hollow.transport.discrete import Plan, entropic, exact, out_of_sample
from hollow.transport.fitting import fit, refine, regress
from hollow.transport.gaussian import Affine, bures, bures_cost, of_samples
from hollow.transport.potential import Potential, climb
from hollow.transport.rivals import Rival, gan, ways

__all__ = [
    "Affine",
    "Plan",
    "Potential",
    "Rival",
    "bures",
    "bures_cost",
    "climb",
    "entropic",
    "exact",
    "fit",
    "gan",
    "of_samples",
    "out_of_sample",
    "refine",
    "regress",
    "ways",
]
