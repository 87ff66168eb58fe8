"""Transport: closed forms, the solvers of POT as independent judges, invariants, and what a batch does to a map."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hollow import autoencoders, cli_transport, interpolations, priors, quality, transport
from hollow.transport import discrete, fitting, judges, recording, rivals, scaling, study, toy
from hollow.transport.potential import Potential
from hollow.two_sample import combined, law_test


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, dim, seed=0):
    return torch.randn(n, dim, generator=stream(seed))


def relative(mapped, true):
    """Root mean square error over the standard deviation of the true images."""
    return float(((mapped - true).square().sum(1).mean() / (true - true.mean(0)).square().sum(1).mean()).sqrt())


@pytest.fixture(scope="module")
def eight():
    g = stream(0)
    y = toy.eight_gaussians(20_000, g)
    return transport.fit(torch.randn(20_000, 2, generator=g), y, steps=1500, heads=1, generator=g)


# Plans


def test_in_one_dimension_the_exact_plan_sorts():
    x, y = normal(200, 1), normal(200, 1, seed=1) * 3 + 1
    plan = discrete.exact(x, y)
    order = x[:, 0].argsort()
    assert torch.allclose(plan.image[order, 0], y[:, 0].sort().values)
    assert plan.cost == pytest.approx(float((x[order] - y.sort(0).values).square().mean()) / 2, rel=1e-6)


def test_potentials_certify_the_exact_plan():
    x, y = normal(150, 3), normal(120, 3, seed=1) + 1
    plan, cost = discrete.exact(x, y), discrete.costs(x, y)
    slack = cost - plan.u[:, None] - plan.v[None]
    assert slack.min() > -1e-9
    assert slack[plan.weights > 0].abs().max() < 1e-9
    assert float(plan.u.mean() + plan.v.mean()) == pytest.approx(plan.cost, rel=1e-9)
    assert torch.allclose(plan.weights.sum(0), torch.full((120,), 1 / 120, dtype=torch.float64))


def test_the_entropic_plan_tends_to_the_exact_one():
    x, y = normal(100, 2), normal(100, 2, seed=1) + 1
    best = discrete.exact(x, y).cost
    gaps = [discrete.entropic(x, y, reg).cost - best for reg in (1.0, 0.3, 0.1)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gaps[2] < 0.1


def test_maps_of_pot_send_their_own_points_as_the_plan_does():
    x, y = normal(60, 2), normal(60, 2, seed=1) + 1
    assert torch.allclose(discrete.out_of_sample(x, y).transform(Xs=x.double()), discrete.exact(x, y).image.double())
    soft = discrete.out_of_sample(x, y, reg=0.5).transform(Xs=normal(7, 2, seed=2).double())
    assert soft.shape == (7, 2)
    assert bool((soft >= y.min(0).values).all() and (soft <= y.max(0).values).all())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(-5, 5))
def test_a_shift_costs_half_its_square_and_is_found_exactly(seed, dim, by):
    x = normal(30, dim, seed)
    plan = discrete.exact(x, x + by)
    assert torch.allclose(plan.image, x + by, atol=1e-5)
    assert plan.cost == pytest.approx(dim * by**2 / 2, abs=1e-5)


# Closed forms


@pytest.mark.parametrize("dim", [1, 2, 16])
def test_the_bures_map_carries_the_moments_and_costs_the_bures_distance(dim):
    a, b = normal(2 * dim, dim), normal(2 * dim, dim, seed=1)
    cov0, cov1, mean0, mean1 = a.T @ a, b.T @ b, normal(1, dim)[0], normal(1, dim, seed=3)[0]
    mapping = transport.bures(mean0, cov0, mean1, cov1)
    assert torch.allclose(mapping.matrix @ cov0.double() @ mapping.matrix, cov1.double(), rtol=1e-4, atol=1e-4)
    assert torch.allclose(mapping(mean0.double()), mean1.double(), atol=1e-5)
    assert bool((torch.linalg.eigvalsh(mapping.matrix) > 0).all())
    rest = mapping.matrix - torch.eye(dim, dtype=torch.float64)
    shift = (mean0 - mean1).double().square().sum() / 2
    cost = float(torch.trace(rest @ cov0.double() @ rest) / 2 + shift)
    assert transport.bures_cost(mean0, cov0, mean1, cov1) == pytest.approx(cost, rel=1e-4)


def test_the_coordinate_wise_map_is_the_optimal_one_of_product_laws():
    law = toy.TwoHumps(2)
    x = normal(1500, 2)
    y = law.transport(x)
    assert combined(law_test(y, law.sample(1500, stream(1)), stream(2))) > 1e-4
    assert discrete.exact(x, y).cost == pytest.approx(float((x - y).square().sum(1).mean()) / 2, rel=1e-6)
    swapped = y.flip(1)  # the same law, coordinates exchanged: a control
    assert discrete.exact(x, swapped).cost < 0.9 * float((x - swapped).square().sum(1).mean()) / 2


def test_transport_matched_midpoints_move_optimally_to_the_prior():
    prior = priors.get("uniform", 2)
    ends = prior.sample((2, 1000), stream(0)).double()
    middle = ends.mean(0)
    matched = interpolations.get("transport-matched", prior)(*ends, 0.5)[0]
    assert discrete.exact(middle, matched).cost == pytest.approx(
        float((middle - matched).square().sum(1).mean()) / 2, rel=1e-6
    )


# The discriminator


def test_its_map_is_the_gradient_of_its_convex_function():
    potential = Potential(normal(200, 3), normal(200, 3, seed=1), heads=2, pieces=5, generator=stream()).double()
    potential.temperature = 0.3
    x = normal(20, 3, seed=4).double().requires_grad_()
    value, image = potential.both(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert torch.allclose(slope, image, atol=1e-10)
    (phi,) = torch.autograd.grad(potential.phi(x).sum(), x)
    assert torch.allclose(x - phi, potential(x), atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3))
def test_untrained_or_not_its_map_is_optimal_for_the_law_that_it_makes(seed, dim, heads):
    x = normal(60, dim, seed).double()
    potential = Potential(x, normal(60, dim, seed + 1).double(), heads=heads, pieces=4, generator=stream(seed)).double()
    with torch.no_grad():
        y = potential(x)
    assert discrete.exact(x, y).cost == pytest.approx(float((x - y).square().sum(1).mean()) / 2, rel=1e-6, abs=1e-9)


def test_climbing_finds_preimages():
    potential = Potential(normal(500, 4), 2 * normal(500, 4, seed=1), heads=1, pieces=3, generator=stream())
    potential.temperature = 1.0
    y = potential(normal(50, 4, seed=2)).detach()
    x, _ = transport.climb(potential, y, torch.zeros(50, 4), torch.full((50,), 0.3), 300)
    assert float((potential(x).detach() - y).norm(dim=1).max()) < 1e-2


def test_eight_gaussians(eight):
    z = normal(8000, 2, seed=9)
    mapped = eight(z)
    found = toy.modes(mapped)
    assert found.near >= 0.95
    assert float(found.shares.min()) >= 0.06
    assert float(found.shares.max()) <= 0.19
    best = np.mean([discrete.exact(normal(2000, 2, s), toy.eight_gaussians(2000, stream(s + 50))).cost for s in (1, 2)])
    assert float((mapped - z).square().sum(1).mean()) / 2 == pytest.approx(best, rel=0.1)


@pytest.mark.parametrize("dim", [2, 16])
def test_normal_to_normal(dim):
    turn, _ = torch.linalg.qr(normal(dim, dim, seed=5))
    cov = turn @ torch.diag(torch.logspace(-0.6, 0.6, dim)) @ turn.T
    true = transport.bures(torch.zeros(dim), torch.eye(dim), torch.ones(dim), cov)
    g = stream(0)
    mapping = transport.fit(
        torch.randn(20_000, dim, generator=g), true(torch.randn(20_000, dim, generator=g)), heads=1, pieces=4,
        steps=1000, generator=g,
    )  # fmt: skip
    z = normal(4000, dim, seed=7)
    assert relative(mapping(z), true(z)) < 0.05


def test_a_batch_shrinks_and_the_dual_does_not():
    law, g = toy.TwoHumps(8), stream(0)
    x, y = torch.randn(20_000, 8, generator=g), law.sample(20_000, g)
    z = normal(3000, 8, seed=8)
    plan = discrete.exact(z[:1000], y[:1000])
    assert relative(plan.image, law.transport(z[:1000])) > 0.3
    mapping = transport.fit(x, y, steps=500, heads=16, pieces=2, generator=g)
    assert relative(mapping(z), law.transport(z)) < 0.2


def test_equal_seeds_give_equal_maps():
    x, y = normal(300, 3), normal(300, 3, seed=1) + 1
    one, other, third = (transport.fit(x, y, steps=5, generator=stream(s))(x) for s in (0, 0, 1))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_the_regression_follows_the_plan_of_its_batch():
    x, y = normal(400, 2), toy.eight_gaussians(400, stream(3))
    potential = Potential(x, y, heads=1, generator=stream())
    fitting.regress(potential, x, y, 600, generator=stream())
    plan = discrete.exact(x, y)
    with torch.no_grad():
        image, phi = potential(x), potential.phi(x).double()
    assert relative(image, plan.image) < 0.15
    assert np.corrcoef(phi, plan.u)[0, 1] > 0.95


# Rivals, judges, scaling


def test_every_rival_makes_codes(monkeypatch):
    monkeypatch.setattr(rivals, "PLAN", 100)
    codes = toy.eight_gaussians(1200, stream(1))
    found = transport.ways(codes, steps=20, generator=stream())
    z = normal(50, 2, seed=3)
    assert {rival.map(z).shape for rival in found.values()} == {(50, 2)}
    assert torch.equal(found["simple law"].map(z), z)


def test_the_gan_learns_a_normal_law():
    codes = 0.5 * normal(4000, 2) + 1

    def miss(steps):
        made = transport.gan(codes, steps=steps, generator=stream())(normal(4000, 2, seed=5))
        return float((made.mean(0) - codes.mean(0)).square().sum() + (made.std(0) - codes.std(0)).square().sum())

    assert miss(600) < 0.25 * miss(1)  # a game ends near its goal, not at it: seeds give 0.01 to 0.31, untrained 2.1


def test_a_judge_of_digits_counts_missing_classes():
    from hollow import digits

    data = digits.load()
    network = judges.reader(data.images, data.labels, steps=200, generator=stream())
    judge = judges.digits(network, data.images[:800])
    whole, part = judge(data.images[800:1600]), judge(data.only((0, 1, 2)).images)
    assert whole["modes"] == 10
    assert part["modes"] <= 5
    assert whole["frechet"] < part["frechet"]


def test_the_weight_of_a_vae_multiplies_the_divergence():
    images, noise = torch.rand(20, 64, generator=stream()), normal(20, 3)
    one, two, five = (
        autoencoders.Dense(64, 3, variational=True, weight=weight, generator=stream(1)).loss(images, noise)
        for weight in (1.0, 2.0, 5.0)
    )
    assert two - one > 0.01
    assert float(five - one) == pytest.approx(4 * float(two - one), rel=1e-3)


@pytest.fixture(scope="module")
def read():
    """Digits, and a classifier of them."""
    from hollow import digits

    data = digits.load()
    return data, judges.reader(data.images, data.labels, steps=300, generator=stream())


def test_a_weight_is_chosen_by_what_its_vae_draws(read):
    data, network = read
    images, judge = data.images[:1200], judges.digits(network, data.images[1200:])
    z, far = normal(597, 6, seed=4), 1e4
    weight, vae = study.choose(images, network, (far, 1.0), dim=6, fitting=400)
    assert weight == 1
    only, collapsed = study.choose(images, network, (far,), dim=6, fitting=400)  # the control has no choice
    assert only == far
    assert judge(vae.decode(z))["frechet"] < 0.5 * quality.frechet_distance(
        network.body(data.images[1200:]), network.body(collapsed.decode(z) + 1e-3 * torch.rand(597, 64))
    )


def test_no_held_out_digit_takes_part_in_the_choice(read, monkeypatch):
    data, _ = read
    seen = []
    fit, judge = autoencoders.fit, study.digits_judge
    monkeypatch.setattr(rivals, "PLAN", 60)
    monkeypatch.setattr(autoencoders, "fit", lambda net, on, **more: seen.append(on) or fit(net, on, **more))
    monkeypatch.setattr(study, "digits_judge", lambda net, real: seen.append(real) or judge(net, real))
    found = study.of_digits(data, dim=4, fitting=20, steps=5, weights=(1.0, 2.0))
    assert {"VAE", "chosen VAE"} < set(found.rows)
    assert found.rows["chosen VAE"]["weight"] in (1, 2)
    held = next(part for part in seen if len(part) == found.held)  # what the rows are judged against
    everything = {tuple(row) for row in held.tolist()}
    assert len(seen) == 2 + 1 + 1 + 2 + 1  # plain and variational, the judge; apart, two weights, the best of them
    others = [part for part in seen if part is not held]
    assert not any(tuple(row) in everything for part in others for row in part.tolist())
    assert {len(part) for part in others} == {1348, 337, 1011}


@pytest.mark.parametrize(
    ("name", "n", "held", "known"),
    [("photographs", 100, range(90, 100), range(90)), ("photographs", 80, range(60, 80), range(60)),
     ("portraits", 100, range(75, 100), range(75))],
)  # fmt: skip
def test_photographs_that_trained_the_autoencoder_are_not_held_out(name, n, held, known, monkeypatch):
    class Model:
        manifest = {"n_images": 90}  # noqa: RUF012

    class Network:
        features = staticmethod(lambda images: images.flatten(1))

    caught = []
    monkeypatch.setattr(autoencoders, "load", lambda name: Model)
    monkeypatch.setattr(quality, "load", lambda name: Network)
    monkeypatch.setattr(study, "faces", lambda *_: None)
    monkeypatch.setattr(study, "_compare", lambda *all: caught.extend(all) or ({}, {}, None, FITTED))
    found = study.of_faces(name, torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1), steps=1)
    codes, apart = (images.flatten().int().tolist() for images in caught[2:4])
    assert apart == list(held)
    assert len(codes) == len(set(codes)) == min(3 * len(held), len(known))
    assert set(codes) <= set(known)
    assert found.held == len(held)


def test_a_copy_has_no_novelty():
    codes = normal(100, 4)
    assert judges.nearest(codes[:10], codes) == pytest.approx(0, abs=1e-3)


def test_scaling_counts_every_solver():
    found = scaling.seconds((50, 100), dim=2, steps=2)
    assert set(found) == {"training", "exact", "map", "entropic"}
    assert all(value > 0 for times in found.values() for value in times.values())


# Bad input


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (normal(50, 2), normal(50, 3), "points of 2 and of 3 coordinates have no distance; give samples of one dim"),
        (normal(5, 2), normal(50, 2), "the first sample has 5 points; give at least 10"),
        (normal(50, 2), normal(0, 2), "the second sample has 0 points; give at least 10"),
        (normal(50, 2), normal(50, 2).index_fill(0, torch.tensor([3, 4]), torch.nan), "2 of 50 points of the second"),
        (normal(50, 2)[:, 0], normal(50, 2), r"the first sample is torch.float32 of shape \(50,\); expected floats"),
        (normal(50, 2).long(), normal(50, 2), "the first sample is torch.int64"),
    ],
)
def test_bad_samples_are_named_in_one_line(x, y, words):
    for call in (discrete.exact, lambda a, b: discrete.entropic(a, b, 0.1), transport.fit, discrete.out_of_sample):
        with pytest.raises(ValueError, match=words) as error:
            call(x, y)
        assert "\n" not in str(error.value)


def test_other_bad_input():
    with pytest.raises(ValueError, match="5 samples cannot show 8 modes; give at least 8"):
        toy.modes(normal(5, 2))
    with pytest.raises(ValueError, match="NaN or infinity"):
        toy.modes(torch.full((9, 2), torch.nan))
    with pytest.raises(ValueError, match=r"points have shape \(9, 3\)"):
        toy.modes(normal(9, 3))
    with pytest.raises(ValueError, match="reg is -1; expected a positive number"):
        discrete.entropic(normal(50, 2), normal(50, 2), -1)
    with pytest.raises(ValueError, match="steps is 0; expected a whole number"):
        transport.fit(normal(50, 2), normal(50, 2), steps=0)
    with pytest.raises(ValueError, match="has 12 points; give at least 17"):
        transport.fit(normal(12, 16), normal(50, 16))


X = normal(50, 2)
FITTED = Potential(X, X + 1, heads=1, pieces=2)
ONE_LINE = {
    "points of another dimension": (lambda: FITTED(normal(5, 3)), r"shape \(5, 3\); expected floats \(n, 2\)"),
    "one point without rows": (lambda: FITTED(normal(5, 2)[0]), r"torch.float32 of shape \(2,\); expected floats"),
    "whole numbers": (lambda: FITTED.phi(X.long()), "points are torch.int64"),
    "an array of points": (lambda: FITTED(X.numpy()), "points are a ndarray; expected a torch tensor"),
    "constant codes": (lambda: transport.fit(X, torch.ones(50, 2)), "points of the second sample are all alike"),
    "constant latents": (lambda: transport.fit(torch.ones(50, 2), X), "points of the first sample are all alike"),
    "no heads": (lambda: transport.fit(X, X, heads=0), "heads is 0; expected a whole number, at least 1"),
    "no pieces": (lambda: Potential(X, X, pieces=0), "pieces is 0; expected a whole number, at least 1"),
    "arrays": (lambda: transport.fit(X.numpy(), X), "the first sample is a ndarray; expected a torch tensor"),
    "lists": (lambda: transport.fit(X, X.tolist()), "the second sample is a list; expected a torch tensor"),
    "two dimensions": (lambda: transport.refine(FITTED, X, normal(50, 3), 1), "points of 2 and of 3 coordinates"),
    "two dimensions of a plan": (lambda: transport.regress(FITTED, normal(50, 3), X, 1), "of 3 and of 2 coordinates"),
    "another potential's": (lambda: transport.refine(FITTED, *normal(100, 3).split(50), 1), "3 coordinates, the pot"),
    "no steps": (lambda: transport.regress(FITTED, X, X, 0), "steps is 0; expected a whole number"),
    "no codes": (lambda: transport.gan(X[:0]), "the sample of codes has 0 points; give at least 10"),
    "few codes": (lambda: transport.gan(X[:3]), "the sample of codes has 3 points; give at least 10"),
    "codes of a GAN in a row": (lambda: transport.ways(X[:, 0]), r"sample of codes is torch.float32 of shape \(50,"),
    "no width": (lambda: transport.gan(X, width=0), "width is 0; expected a whole number"),
    "moments of two dimensions": (
        lambda: transport.bures(torch.zeros(2), torch.eye(2), torch.zeros(3), torch.eye(3)),
        r"shapes \[\(2,\), \(2, 2\), \(3,\), \(3, 3\)\]; expected \(D,\) and \(D, D\), of one D",
    ),
    "a covariance in a row": (
        lambda: transport.bures_cost(torch.zeros(2), torch.ones(2), torch.zeros(2), torch.eye(2)),
        "means and covariances have shapes",
    ),
}


@pytest.mark.parametrize("case", ONE_LINE)
def test_whatever_cannot_be_mapped_or_fitted_is_named_in_one_line(case):
    call, words = ONE_LINE[case]
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_points_in_double_precision_are_mapped_as_in_single():
    assert torch.equal(FITTED(X.double()), FITTED(X))


def test_a_sample_with_few_of_the_modes_is_seen():
    one = toy.centres()[:1] + 0.1 * normal(500, 2)
    found = toy.modes(one)
    assert found.near > 0.9
    assert int((found.shares > 0.06).sum()) == 1


# The record


@pytest.fixture
def mnist(tmp_path):
    """scikit-learn's digits, in a file like MNIST's."""
    from sklearn.datasets import load_digits

    bundled = load_digits()
    np.savez(tmp_path / "mnist.npz", x_train=(bundled.images * 15).astype(np.uint8), y_train=bundled.target)
    return tmp_path / "mnist.npz"


def test_a_record_goes_on_where_it_stopped_and_can_be_checked(mnist, tmp_path, monkeypatch):
    from hollow.files import read_record

    monkeypatch.setattr(rivals, "PLAN", 60)
    monkeypatch.setattr(recording, "DIM", 4)
    monkeypatch.setattr(recording, "FITTING", 60)
    monkeypatch.setattr(recording, "STEPS", 10)
    out, said = tmp_path / "transport.json", []
    for seeds in (1, 2, 2):
        recording.record(out, tmp_path, digits=mnist, images=None, seeds=seeds, progress=said.append)
    assert len(said) == 2  # one line for each run, none the third time
    record = read_record(out)
    assert len(record["mnist"]["runs"]) == 2
    assert record["mnist"]["command"] == "hollow transport --digits mnist.npz"
    assert {"commit", "created", "hardware", "versions"} < set(record["mnist"])
    kept = recording.Kept("mnist", tmp_path)
    z = normal(kept.known.n, 4)
    again = quality.frechet_distance(kept.known, kept.reader.body(kept.network.decode(kept.transport(z))))
    assert again == pytest.approx(record["mnist"]["runs"][0]["transport"]["frechet"], rel=0.5)
    with np.load(mnist) as file:
        np.savez(mnist, x_train=file["x_train"][:500], y_train=file["y_train"][:500])
    with pytest.raises(ValueError, match="is about other mnist; name another file with --out"):
        recording.record(out, tmp_path, digits=mnist, images=None, seeds=3)


def test_one_run_of_both_writes_its_own_command_and_seen_photographs_are_refused(mnist, tmp_path, monkeypatch):
    from hollow.files import read_record

    rows = {"VAE": {"weight": 2.0}}
    made = study.Study(rows, {}, torch.neg, FITTED, lambda _: {}, 7)
    monkeypatch.setattr(recording, "of_digits", lambda *_, **more: made)
    monkeypatch.setattr(recording, "of_faces", lambda *_, **more: made)

    class Loaded:
        pixels = np.zeros((18_001, 3, 1, 1), np.uint8)

    monkeypatch.setattr(recording, "load", lambda *_, **more: Loaded)
    photographs, out = tmp_path / "some photographs.zip", tmp_path / "transport.json"
    photographs.write_bytes(b"")
    recording.record(out, tmp_path, digits=mnist, images=str(photographs), seeds=1)
    record = read_record(out)
    for part in (record["mnist"], record["photographs"]):
        assert part["command"] == "hollow transport --digits mnist.npz --images 'some photographs.zip'"
        assert part["runs"] == [rows]
        assert {"commit", "created", "hardware", "versions"} < set(part)
    Loaded.pixels = Loaded.pixels[1:]
    with pytest.raises(ValueError, match=r"the first 18000 photographs may have trained the autoencoder; .*no others"):
        recording.record(tmp_path / "other.json", tmp_path, digits=None, images=str(photographs), seeds=1)


def test_the_command_wants_data():
    with pytest.raises(ValueError, match=r"nothing to compare; give --digits mnist.npz, --images"):
        cli_transport.transport()


def test_missing_pieces_are_named(tmp_path):
    with pytest.raises(ValueError, match="make it again: hollow transport"):
        recording.Kept("mnist", tmp_path)
