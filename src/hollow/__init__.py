"""Priors, paths and generators behind *The Hollow Latent Space*.

The rooms, from the ground up: `priors` (latent laws), `interpolations` (paths between latents), `properties` (what a
path keeps, as tests), `faces` and `images` (data), `dcgan`, `experiments`, `training`, `zoo` (trained models),
`figures`, `book`, `cli`.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("hollow-latents")
except PackageNotFoundError:  # run from src without an installation
    __version__ = "0+src"
