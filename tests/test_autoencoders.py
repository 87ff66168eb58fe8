"""Autoencoders: their losses against exact ones, live fits, the shipped four, and files that were changed."""

import re
import shutil

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from typer.testing import CliRunner

from hollow import autoencoders, digits
from hollow.autoencoders import Convolutional, Dense
from hollow.cli import app
from hollow.faces import portraits
from hollow.machine import SOURCE
from hollow.quality.pixels import unit
from hollow.zoo import FILES

SHIPPED = SOURCE / "data" / "autoencoders"


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_the_variational_loss_is_that_of_the_best_gaussian(generator):
    network = Dense(10, 2, hidden=(8,), variational=True, generator=generator)
    images, noise = torch.rand(5, 10, generator=generator), torch.randn(5, 2, generator=generator)
    mean, log_variance = network.coded(images).chunk(2, 1)
    z = mean + (0.5 * log_variance).exp() * noise
    errors = network.drawn(z) - images
    found = {}
    for factor in (0.9, 1, 1.1):  # of the variance that is best
        likelihood = Normal(0, factor * errors.square().mean().sqrt()).log_prob(errors).sum(1).mean()
        divergence = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0, 1)).sum(1).mean()
        found[factor] = float((divergence - likelihood).detach())
    constant = 0.5 * 10 * (1 + torch.log(torch.tensor(2 * torch.pi)))
    assert float(network.loss(images, noise).detach() + constant) == pytest.approx(found[1], rel=1e-5)
    assert found[1] < min(found[0.9], found[1.1])


def test_a_fit_beats_principal_components_and_is_repeatable(generator):
    images = digits.load().images

    def fitted():
        own = torch.Generator().manual_seed(1)
        network = Dense(64, 4, hidden=(128, 64), generator=own)
        return autoencoders.fit(network, images, steps=800, generator=own, progress=False)

    network = fitted()
    codes = network.encode(images)
    torch.testing.assert_close(codes.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    assert float(codes.var(0).mean()) == pytest.approx(1, rel=1e-3)
    error = float((network.decode(codes) - images).square().sum())
    values = torch.linalg.eigvalsh((images - images.mean(0)).T @ (images - images.mean(0)))
    assert error < float(values[:-4].sum())
    assert not any(p.requires_grad for p in network.parameters())
    torch.testing.assert_close(fitted().encode(images), codes, atol=1e-5, rtol=0)


def test_variational_codes_are_about_as_wide_as_the_prior(generator):
    images = digits.load().images
    network = Dense(64, 2, hidden=(64,), variational=True, generator=generator)
    autoencoders.fit(network, images, steps=400, generator=generator, progress=False)
    mean, log_variance = network.coded(images).chunk(2, 1)
    total = mean.var(0) + log_variance.exp().mean(0)
    assert bool(((total > 0.5) & (total < 2)).all())
    assert float(network.scale) == 1


@pytest.mark.parametrize("name", autoencoders.NAMES)
def test_the_shipped_ones_draw(name, generator):
    model = autoencoders.load(name)
    drawn = model.decode(torch.randn(3, model.dim, generator=generator))
    assert drawn.shape == (3, 3, 64, 64)
    assert float(drawn.abs().max()) <= 1
    assert model.manifest["sha256"]


def test_the_shipped_autoencoder_of_portraits_explains_portraits():
    model, images = autoencoders.load("portraits"), portraits(200, 77)[0]
    x = unit(images)
    codes = model.encode(images)
    torch.testing.assert_close(codes, model.encode(x, batch=7), atol=1e-4, rtol=1e-4)
    left = float((model.decode(codes) - x).square().mean() / x.var(0).mean())
    assert left == pytest.approx(model.manifest["unexplained"], rel=0.1)
    other = float((model.decode(codes.roll(1, 0)) - x).square().mean() / x.var(0).mean())
    assert other > 3 * left  # the codes of other portraits do not


def test_the_variational_form_is_shipped_without_its_encoder():
    with pytest.raises(ValueError, match=r"portraits-vae is shipped without its encoder; draw codes from N\(0, I\)"):
        autoencoders.load("portraits-vae").encode(torch.zeros(1, 3, 64, 64))


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="unknown activation 'gelu'; expected relu, softplus, tanh"):
        Dense(4, 2, activation="gelu")
    with pytest.raises(ValueError, match="images hold NaN or infinity; give finite ones"):
        autoencoders.fit(Dense(4, 2), torch.full((9, 4), torch.nan))
    with pytest.raises(ValueError, match="unknown autoencoder 'faces'; expected portraits, portraits-vae"):
        autoencoders.load("faces")
    with pytest.raises(ValueError, match="150 images are too few for an autoencoder; expected at least 200"):
        autoencoders.make("portraits", torch.zeros(150, 3, 64, 64, dtype=torch.uint8), tmp_path)
    again = "restore it or make it again: hollow autoencoder photographs --images FOLDER_OR_ZIP"
    with pytest.raises(ValueError, match=rf"there is no .*photographs.json; {again}"):
        autoencoders.load("photographs", tmp_path)
    for end in FILES:
        shutil.copy(SHIPPED / f"portraits{end}", tmp_path)
    path = tmp_path / "portraits.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"its SHA-256 is .* not that of its manifest\); restore it"):
        autoencoders.load("portraits", tmp_path)


def test_the_command_trains_resumes_and_says_what_it_wants(tmp_path):
    def run(*words):
        return CliRunner().invoke(app, ["autoencoder", *words, "--out", str(tmp_path)])

    for words, said in (
        (("portraits", "--images", "x"), "portraits are painted as they are needed; leave --images out"),
        (("photographs",), "a network of photographs learns from yours"),
        (("faces",), "unknown autoencoder 'faces'"),
    ):
        done = run(*words)
        assert done.exit_code == 2
        assert re.fullmatch(rf"error: .*{re.escape(said)}.*\n", done.output)


def test_a_made_one_is_loaded_again(tmp_path):
    images = portraits(220, 3)[0]
    path = autoencoders.make("portraits", images, tmp_path, steps=3, command="hollow autoencoder", progress=False)
    model = autoencoders.load("portraits", tmp_path)
    assert model.manifest["command"] == "hollow autoencoder"
    assert (model.manifest["steps"], model.manifest["n_images"]) == (3, 198)
    with pytest.raises(FileExistsError, match="continue it with --resume"):
        autoencoders.make("portraits", images, tmp_path, steps=3, progress=False)
    twin = autoencoders.make("portraits", images, tmp_path / "twin", steps=3, progress=False)
    assert path.read_bytes() == twin.read_bytes()
    variational = autoencoders.make("portraits-vae", images, tmp_path, steps=2, progress=False)
    assert variational.stat().st_size < 0.7 * path.stat().st_size
    assert isinstance(autoencoders.load("portraits-vae", tmp_path).network, Convolutional)


@pytest.mark.parametrize(("has", "trained_in"), [({"avx2": True}, torch.float32), ({"amx_bf16": True}, torch.bfloat16)])
def test_it_trains_in_bfloat16_where_there_are_units_and_runs_in_float32(monkeypatch, has, trained_in):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    network, seen = Convolutional(4, width=4), []
    network.encoder[0].register_forward_hook(lambda layer, x, y: seen.append(y.dtype))
    network.train().coded(torch.zeros(2, 3, 64, 64))
    network.eval().coded(torch.zeros(2, 3, 64, 64))
    assert seen == [trained_in, torch.float32]
