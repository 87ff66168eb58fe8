"""Metrics, geodesics, means and noise: exact laws, independent solvers, invariants, failing controls, bad input."""

import copy
import itertools
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from sklearn.cluster import KMeans
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from hollow import autoencoders, digits, geometry, oddity

SMALL = settings(deadline=None, max_examples=10)
SOLVERS = ("energy", "boundary")


def draws(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def sphere(z):
    """The unit sphere from its plane, by stereographic projection."""
    square = z.square().sum(-1, keepdim=True)
    return torch.cat((2 * z, 1 - square), -1) / (1 + square)


def round_metric(z):
    """Its metric, written down."""
    return 4 * torch.eye(2, dtype=z.dtype) / (1 + z.square().sum(1))[:, None, None] ** 2


def great_circle(a, b, lam):
    angle = torch.arccos((a * b).sum(-1))[None, :, None]
    lam = lam[:, None, None]
    return (torch.sin((1 - lam) * angle) * a + torch.sin(lam * angle) * b) / torch.sin(angle)


def layers(activation, *, dim=2, outputs=12, seed=0):
    """A small decoder with fixed weights."""
    stack = nn.Sequential(nn.Linear(dim, 24), activation, nn.Linear(24, outputs)).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for layer in (stack[0], stack[2]):
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / layer.in_features**0.5 * 1.5)
        layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) * 0.3)
    return stack


@pytest.fixture(scope="module")
def ring():
    """A smooth decoder with an RBF precision, fitted to codes on a ring: its middle is a void."""
    angle = torch.linspace(0, 2 * math.pi, 241, dtype=torch.float64)[:-1]
    codes = 2 * torch.stack((angle.cos(), angle.sin()), 1) + draws(240, 2, seed=1, scale=0.1)
    mean = layers(nn.Tanh(), outputs=6)
    precision = geometry.RBFPrecision.fit(
        codes, draws(240, 6, seed=2, scale=0.3).square(), centres=24, a=1.0, floor=0.05,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return geometry.PullBack(geometry.GaussianDecoder(mean, precision)), codes


# Metrics


def test_metric_of_a_sphere_is_the_closed_form_and_so_is_its_volume():
    z = draws(50, 2)
    metric = geometry.PullBack(sphere)
    torch.testing.assert_close(metric(z), round_metric(z))
    torch.testing.assert_close(metric.volume(z), 4 / (1 + z.square().sum(1)) ** 2)
    v = draws(50, 2, seed=1)
    torch.testing.assert_close(metric.norm(z, v), 2 * v.norm(dim=1) / (1 + z.square().sum(1)))
    written = geometry.FromFunction(round_metric)
    torch.testing.assert_close(metric.acceleration(z, v), written.acceleration(z, v))  # two unlike formulas


def test_expected_metric_is_the_mean_over_random_images(ring):
    metric, codes = ring
    z, eps = codes[:1], draws(4000, 6, seed=3)
    mean, sigma = (torch.func.jacrev(lambda at, k=k: metric.decoder(at[None])[k][0])(z[0]) for k in (0, 1))
    slopes = mean + eps[:, :, None] * sigma  # Jacobian of mu + sigma eps, one a draw
    found = torch.einsum("nki,nkj->nij", slopes, slopes)
    error = found.std(0) / len(eps) ** 0.5
    expected = metric(z)[0]
    assert ((found.mean(0) - expected).abs() < 4.5 * error).all()
    assert ((found.mean(0) - mean.T @ mean).abs() > 4.5 * error).any()  # without sigma it is another metric


@SMALL
@given(st.integers(0, 2**31))
def test_metric_ignores_rotations_of_images_and_follows_changes_of_latents(seed):
    decoder, z = layers(nn.Tanh(), seed=seed % 7), draws(5, 2, seed=seed)
    rotation = torch.linalg.qr(draws(12, 12, seed=seed + 1))[0]
    change = draws(2, 2, seed=seed + 2)
    plain = geometry.PullBack(decoder)
    torch.testing.assert_close(geometry.PullBack(lambda at: decoder(at) @ rotation)(z), plain(z))
    changed = geometry.PullBack(lambda at: decoder(at @ change))
    torch.testing.assert_close(changed(z), change @ plain(z @ change) @ change.T)
    assert (torch.linalg.eigvalsh(plain(z)) >= -1e-12).all()
    torch.testing.assert_close(plain(z[None, :, None])[0, :, 0], plain(z))


# The precision


def test_precision_ends_at_its_floor_and_knows_its_bandwidth():
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64)
    around = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    codes = torch.cat((corners[0] + around, corners[1] + 2 * around))
    fitted = geometry.RBFPrecision.fit(codes, 0.25, centres=2, a=1.5, floor=0.01)
    order = fitted.centres[:, 0].argsort()
    torch.testing.assert_close(fitted.centres[order], corners, atol=1e-9, rtol=0)
    torch.testing.assert_close(fitted.rates[order], torch.tensor([1.5**-2 / 2, 3.0**-2 / 2], dtype=torch.float64))
    assert (fitted.weights > 0).all()
    assert fitted(codes[:1] + 1e3).item() == pytest.approx(0.01)
    assert fitted.sigma(codes[:1] + 1e3).item() == pytest.approx(10.0)
    assert fitted.sigma(codes).mean().item() == pytest.approx(0.5, rel=0.1)


def test_weights_of_the_precision_are_those_of_scipy():
    codes, squares = draws(200, 2), draws(200, 1, seed=1).square()
    few, many = (
        geometry.RBFPrecision.fit(
            codes, squares, centres=4, floor=0.1, steps=steps, generator=torch.Generator().manual_seed(0)
        )
        for steps in (3, 3000)
    )
    bumps = torch.exp(-many.rates * torch.cdist(codes, many.centres).square()).numpy()
    target = squares.numpy()[:, 0] + 1e-4

    def cost(weights):
        beta = bumps @ weights + 0.1
        return float((beta * target - np.log(beta)).sum()), bumps.T @ (target - 1 / beta)

    found = optimize.minimize(cost, np.ones(4), jac=True, bounds=[(0, None)] * 4, method="L-BFGS-B")
    assert cost(many.weights[0].numpy())[0] == pytest.approx(found.fun, abs=1e-3)
    assert cost(few.weights[0].numpy())[0] > cost(many.weights[0].numpy())[0]


@SMALL
@given(st.integers(0, 2**31))
def test_steps_of_the_precision_never_lower_the_likelihood(seed):
    codes, squares = draws(60, 2, seed=seed), draws(60, 3, seed=seed + 1).square()
    values = []
    for steps in range(1, 8):
        fitted = geometry.RBFPrecision.fit(
            codes, squares, centres=5, steps=steps, generator=torch.Generator().manual_seed(seed)
        )
        beta = fitted(codes)
        values.append(float((beta.log() - beta * (squares + 1e-4)).sum()))
    assert all(b >= a - 1e-9 * abs(a) for a, b in itertools.pairwise(values))


def test_the_fit_of_the_precision_meets_no_denormal_number():
    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made.append(func(*args, **(kwargs or {})))
            return made[-1]

    def denormal(x):
        return bool(((x != 0) & (x.abs() < torch.finfo(x.dtype).tiny)).any())

    codes, made = draws(400, 2).float(), []
    with Watch():
        fitted = geometry.RBFPrecision.fit(
            codes, 0.1, centres=64, a=1.0, steps=3, generator=torch.Generator().manual_seed(0)
        )
    floats = [x for x in made if isinstance(x, torch.Tensor) and x.is_floating_point()]
    assert floats
    assert not any(map(denormal, floats))
    assert denormal(torch.exp(-fitted.rates * torch.cdist(codes, fitted.centres).square()))  # its bumps as they are


def test_one_precision_for_all_outputs_has_the_metric_of_equal_ones():
    codes = draws(60, 2)
    one = geometry.RBFPrecision.fit(codes, 0.1, centres=5, generator=torch.Generator().manual_seed(0))
    equal = copy.deepcopy(one)
    equal.weights = one.weights.expand(12, -1).clone()
    decoder = layers(nn.Tanh())
    a, b = (geometry.PullBack(geometry.GaussianDecoder(decoder, precision)) for precision in (one, equal))
    torch.testing.assert_close(a(codes), b(codes))


# Geodesics


@pytest.mark.parametrize("metric", [geometry.PullBack(sphere), geometry.FromFunction(round_metric)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_geodesics_of_a_sphere_are_great_circles(metric, solver):
    z0, z1 = draws(12, 2, scale=0.6), draws(12, 2, seed=1, scale=0.6)
    path = geometry.geodesic(metric, z0, z1, solver=solver)
    lam = torch.linspace(0, 1, 9, dtype=torch.float64)
    circle = great_circle(sphere(z0), sphere(z1), lam)
    exact = torch.arccos((sphere(z0) * sphere(z1)).sum(1))
    precise = {"energy": 2e-3, "boundary": 1e-5}[solver]
    assert path.converged.all()
    torch.testing.assert_close(path.length, exact, rtol=precise, atol=0)
    torch.testing.assert_close(sphere(path(lam)), circle, rtol=0, atol=2 * precise)
    line = z0 + lam[:, None, None] * (z1 - z0)
    assert (sphere(line) - circle).abs().max() > 0.05  # a straight line would have failed


@pytest.mark.parametrize("solver", SOLVERS)
def test_geodesics_of_a_flat_metric_are_straight(solver):
    change, z0, z1 = draws(5, 3), draws(3, 4, 3, seed=1), draws(3, 4, 3, seed=2)
    path = geometry.geodesic(geometry.PullBack(lambda z: z @ change.T), z0, z1, solver=solver)
    lam = torch.linspace(0, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(path(lam), z0 + lam[:, None, None, None] * (z1 - z0), rtol=0, atol=1e-6)
    torch.testing.assert_close(path.length, ((z1 - z0) @ change.T).norm(dim=-1), rtol=1e-6, atol=0)
    torch.testing.assert_close(path.velocity.reshape(z0.shape), z1 - z0, rtol=0, atol=1e-5)


def independent(metric):
    """The geodesic equation with Christoffel symbols, from differences of the metric in NumPy; z and v are (2, m)."""

    def matrix(z):
        return metric(torch.as_tensor(z.T.copy())).numpy()

    def system(z, v, h=1e-5):
        sides = (h * np.eye(2))[:, :, None]
        change = np.stack([(matrix(z + side) - matrix(z - side)) / (2 * h) for side in sides], -1)
        force = np.einsum("mijk,im,jm->mk", change, v, v) / 2 - np.einsum("mijk,km,jm->mi", change, v, v)
        return np.linalg.solve(matrix(z), force[..., None])[..., 0].T

    return lambda _, y: np.concatenate((y[2:], system(y[:2].reshape(2, -1), y[2:].reshape(2, -1)).reshape(y[2:].shape)))


def test_boundary_solver_agrees_with_scipy_and_with_splines(ring):
    metric, codes = ring
    system = independent(metric)
    z0, z1 = codes[:1], codes[25:26]
    splines = geometry.by_energy(metric, z0, z1, knots=12, segments=96, tolerance=1e-9)
    solved = geometry.by_boundary(metric, z0, z1, start=splines.points)
    assert solved.converged.all()
    torch.testing.assert_close(solved.length, splines.length, rtol=2e-3, atol=0)
    torch.testing.assert_close(solved(0.5), splines(0.5), rtol=0, atol=0.02)
    time = np.linspace(0, 1, 20)
    guess = solved(torch.as_tensor(time))[:, 0].numpy()
    peer = integrate.solve_bvp(
        system,
        lambda a, b: np.concatenate((a[:2] - z0[0].numpy(), b[:2] - z1[0].numpy())),
        time, np.concatenate((guess.T, np.gradient(guess, time, axis=0).T)), tol=1e-3,
    )  # fmt: skip
    assert peer.success
    found = solved(torch.as_tensor(time))[:, 0].numpy()
    np.testing.assert_allclose(peer.sol(time)[:2].T, found, atol=2e-3)
    line = np.outer(1 - time, z0[0]) + np.outer(time, z1[0])
    assert np.abs(line - found).max() > 0.05


def test_curves_are_solved_alone_as_in_a_batch(ring):
    metric, codes = ring
    z0, z1 = codes[:4], codes[30:34]
    batch = geometry.geodesic(metric, z0, z1)
    for i in range(4):
        alone = geometry.geodesic(metric, z0[i], z1[i])
        assert alone.shape == ()
        torch.testing.assert_close(alone(0.3)[0], batch(0.3)[0, i], rtol=0, atol=1e-4)
        torch.testing.assert_close(alone.length, batch.length[i], rtol=1e-6, atol=0)


def test_paths_are_called_like_the_others_and_have_constant_speed(ring):
    metric, codes = ring
    z0, z1 = codes[:6].reshape(2, 3, 2), codes[40:46].reshape(2, 3, 2)
    path = geometry.geodesic(metric, z0, z1)
    lam = torch.linspace(0, 1, 41, dtype=torch.float64)
    points = path(lam)
    assert points.shape == (41, 2, 3, 2)
    assert torch.equal(points[0], z0)
    assert torch.equal(points[-1], z1)
    steps = torch.stack([metric.length(points[i : i + 2]) for i in range(40)])
    assert (steps / steps.mean(0) - 1).abs().max() < 0.05
    assert path(0.5).shape == (1, 2, 3, 2)
    torch.testing.assert_close(metric.length(points), path.length, rtol=5e-3, atol=0)
    assert (metric.energy(path.points) >= path.length.flatten() ** 2 * (1 - 1e-9)).all()


def test_geodesics_go_round_the_void(ring):
    metric, codes = ring
    z0, z1 = codes[:1], codes[100:101]
    graph = geometry.Graph(metric, codes)
    path = geometry.geodesic(metric, z0, z1, graph=graph, knots=12, segments=64)
    line = torch.linspace(0, 1, 129, dtype=torch.float64)[:, None, None] * (z1 - z0) + z0
    assert path.length.item() < 0.9 * metric.length(line).item()
    assert path(torch.linspace(0, 1, 65)).norm(dim=-1).min() > 1.2  # the ring has radius 2
    assert line.norm(dim=-1).min() < 0.7
    assert path.length.item() < metric.length(graph.paths(z0, z1)).item()
    bare = geometry.PullBack(metric.decoder.mean)  # without a precision there is no void to see
    short = geometry.geodesic(bare, z0, z1)
    assert short(torch.linspace(0, 1, 65)).norm(dim=-1).min() < 1.2


def test_relu_decoders_have_geodesics_by_energy():
    metric = geometry.PullBack(layers(nn.ReLU()))
    z0, z1 = draws(8, 2, scale=2), draws(8, 2, seed=1, scale=2)
    path = geometry.geodesic(metric, z0, z1, segments=128)
    line = torch.linspace(0, 1, 257, dtype=torch.float64)[:, None, None] * (z1 - z0) + z0
    assert (path.length <= metric.length(line) * (1 + 1e-4)).all()
    axis = torch.linspace(-5, 5, 60, dtype=torch.float64)
    graph = geometry.Graph(metric, torch.cartesian_prod(axis, axis), neighbours=24)
    shortest = metric.length(graph.paths(z0, z1))
    assert (path.length <= shortest * 1.01).all()
    assert (path.length >= shortest * 0.93).all()


def test_a_generator_of_many_latents_and_images_has_geodesics():
    last = nn.ConvTranspose2d(32, 3, 4, 2, 1)
    decoder = nn.Sequential(nn.Linear(100, 512), nn.ReLU(), nn.Unflatten(1, (32, 4, 4)), last)
    torch.nn.init.normal_(decoder[0].weight, 0, 0.1, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(last.weight, 0, 0.1, generator=torch.Generator().manual_seed(1))
    metric = geometry.PullBack(decoder.eval().requires_grad_(False))
    z0, z1 = draws(5, 100).float(), draws(5, 100, seed=1).float()
    path = geometry.geodesic(metric, z0, z1, tolerance=1e-4)
    line = torch.linspace(0, 1, 257)[:, None, None] * (z1 - z0) + z0
    assert path.converged.all()
    assert (path.length < 0.97 * metric.length(line)).all()
    assert path(0.5).dtype == torch.float32
    narrow = nn.Sequential(nn.Linear(100, 64), nn.Tanh(), nn.Linear(64, 192))  # 64 units hold no 100 dimensions
    raises("metric is singular", geometry.geodesic, geometry.PullBack(narrow), z0, z1)


@SMALL
@given(st.integers(0, 2**31))
def test_distances_are_symmetric(seed):
    metric = geometry.PullBack(sphere)
    z0, z1 = draws(3, 2, seed=seed, scale=0.5), draws(3, 2, seed=seed + 1, scale=0.5)
    there, back = geometry.by_energy(metric, z0, z1), geometry.by_energy(metric, z1, z0)
    torch.testing.assert_close(there.length, back.length, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(there(0.25), back(0.75), rtol=0, atol=5e-3)


def test_equal_ends_have_no_length():
    z = draws(3, 2)
    for solver in SOLVERS:
        path = geometry.geodesic(geometry.PullBack(sphere), z, z, solver=solver)
        assert path.converged.all()
        torch.testing.assert_close(path(torch.linspace(0, 1, 3)), z.expand(3, 3, 2), rtol=0, atol=1e-9)


# Exponential and logarithm


def test_exponential_is_that_of_scipy_and_undoes_the_logarithm(ring):
    metric, codes = ring
    z0, z1 = codes[:3], codes[8:11]
    v = geometry.logarithm(metric, z0, z1)
    torch.testing.assert_close(geometry.exponential(metric, z0, v), z1, rtol=0, atol=1e-3)
    system = independent(metric)
    peer = integrate.solve_ivp(
        system, (0, 1),
        np.concatenate((z0[0].numpy(), v[0].numpy())), rtol=1e-5, atol=1e-7,
    )  # fmt: skip
    np.testing.assert_allclose(geometry.exponential(metric, z0[:1], v[:1])[0], peer.y[:2, -1], atol=1e-3)


def test_exponential_on_a_sphere_is_a_great_circle():
    # From the origin of the chart a velocity v goes by the angle 2 |v|, to radius tan |v|.
    v = draws(20, 2, scale=0.4)
    found = geometry.exponential(geometry.PullBack(sphere), torch.zeros_like(v), v)
    radius = v.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found, radius.tan() * v / radius, rtol=1e-5, atol=1e-8)


def test_logarithm_has_the_length_of_the_geodesic(ring):
    metric, codes = ring
    z0, z1 = codes[:5], codes[10:15]
    for solver, close in (("boundary", 1e-6), ("energy", 2e-2)):
        v = geometry.logarithm(metric, z0, z1, solver=solver)
        length = geometry.geodesic(metric, z0, z1, solver=solver).length
        torch.testing.assert_close(metric.norm(z0, v), length, rtol=close, atol=0)


# Graphs, clusters, noise


def test_graph_is_exact_where_the_shortest_path_goes_through_its_nodes():
    flat = geometry.PullBack(lambda z: 3 * z)
    nodes = torch.stack((torch.arange(10.0), torch.zeros(10)), 1).double()
    graph = geometry.Graph(flat, nodes, neighbours=2)
    torch.testing.assert_close(graph.distances(nodes[:1])[0], 3 * nodes[:, 0])
    far = torch.cat((nodes, nodes + torch.tensor([100.0, 0.0], dtype=torch.float64)))  # two pieces, joined
    distances = geometry.Graph(flat, far, neighbours=2).distances(far[:1])[0]
    torch.testing.assert_close(distances, 3 * far[:, 0])
    path = graph.paths(nodes[:1] + 0.5, nodes[-1:])
    assert torch.equal(path[0], nodes[:1] + 0.5)
    assert torch.equal(path[-1], nodes[-1:])


def test_k_means_of_a_flat_metric_is_the_ordinary_one():
    corners = torch.tensor([[0, 0], [3, 0], [0, 3]])
    codes = torch.cat([draws(40, 2, seed=i, scale=0.4) + at for i, at in enumerate(corners)])
    found = geometry.kmeans(geometry.PullBack(lambda z: z * 2), codes, 3, generator=torch.Generator().manual_seed(0))
    peer = KMeans(3, n_init=5, random_state=0).fit(codes.numpy())
    assert geometry.f_measure(torch.as_tensor(peer.labels_).long(), found.labels) == 1.0
    order = torch.cdist(found.centres, torch.as_tensor(peer.cluster_centers_)).argmin(1)
    torch.testing.assert_close(found.centres, torch.as_tensor(peer.cluster_centers_)[order], rtol=0, atol=0.02)
    assert found.spread == pytest.approx(4 * peer.inertia_ / len(codes), rel=0.02)
    assert found.moves == 0


def test_k_means_sees_a_wall_that_ordinary_k_means_does_not():
    # Two long strips side by side, and a wall between them: a metric that is large there.
    strip = torch.stack((torch.linspace(-3, 3, 60, dtype=torch.float64), torch.zeros(60, dtype=torch.float64)), 1)
    codes = torch.cat((strip + torch.tensor([0, 0.5]), strip - torch.tensor([0, 0.5]))) + draws(120, 2, scale=0.03)
    labels = torch.arange(2).repeat_interleave(60)
    wall = geometry.FromFunction(
        lambda z: (1 + 400 * torch.exp(-8 * z[:, 1] ** 2))[:, None, None] * torch.eye(2, dtype=z.dtype)
    )
    found = geometry.kmeans(wall, codes, 2, refine=1, generator=torch.Generator().manual_seed(0))
    peer = torch.as_tensor(KMeans(2, n_init=5, random_state=0).fit_predict(codes.numpy())).long()
    assert geometry.f_measure(labels, found.labels) == 1.0
    assert geometry.f_measure(labels, peer) < 0.7


@SMALL
@given(st.permutations(range(4)), st.integers(0, 2**31))
def test_f_measure_does_not_know_the_names_of_clusters(names, seed):
    labels = torch.arange(4).repeat(10)
    assert geometry.f_measure(labels, torch.tensor(names)[labels]) == 1.0
    noise = torch.randint(4, (40,), generator=torch.Generator().manual_seed(seed))
    value = geometry.f_measure(labels, noise)
    assert geometry.f_measure(labels, torch.tensor(names)[noise]) == pytest.approx(value, abs=0.2)
    assert value < 0.8


def globe(z):
    """The unit sphere by colatitude and longitude."""
    sin = z[..., 0].sin()
    return torch.stack((sin * z[..., 1].cos(), sin * z[..., 1].sin(), z[..., 0].cos()), -1)


def forgetting(drift, n=8000, time=0.1):
    """P-value of Brownian motion on a sphere: its mean shrinks by exp(-time), for half the Laplacian of a coordinate of
    space is minus the coordinate."""
    start = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    walk = geometry.brownian(
        geometry.PullBack(globe), start.expand(n, 2), steps=20, time=time, drift=drift,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    found = globe(walk[-1])
    error = (found.mean(0) - globe(start[0]) * math.exp(-time)) / (found.std(0) / n**0.5)
    return min(1.0, 3 * float(2 * stats.norm.sf(error.abs().max())))


def test_brownian_motion_on_a_sphere_forgets_at_the_known_rate():
    assert forgetting(True) > 1e-4


def test_without_its_drift_the_motion_is_another_one():
    assert forgetting(False) < 1e-4


def test_brownian_motion_stays_on_the_data(ring):
    metric, codes = ring
    generator = torch.Generator().manual_seed(0)
    walk = geometry.brownian(metric, codes[:60], steps=300, time=0.6, generator=generator)
    away = (walk[-1].norm(dim=1) - 2).abs()
    step = (walk[1] - walk[0]).square().sum(1).mean() ** 0.5
    plain = codes[:60] + draws(60, 2, seed=5) * float(step) * 300**0.5 / 2**0.5
    assert away.quantile(0.9) < 0.8
    assert (plain.norm(dim=1) - 2).abs().quantile(0.9) > 1.0


def test_a_motion_that_leaves_the_surface_is_reported():
    flat = geometry.FromFunction(lambda z: (z[:, 0] < 1).to(z)[:, None, None] * torch.eye(2, dtype=z.dtype))
    start = torch.tensor([[0.9, 0.0], [-50.0, 0.0]], dtype=torch.float64)
    options = {"steps": 50, "time": 1.0, "drift": False}
    with pytest.warns(UserWarning, match="1 of 2 Brownian motions .*motions 0.*NaN from there"):
        walk = geometry.brownian(flat, start, generator=torch.Generator().manual_seed(0), **options)
    assert walk[0].isfinite().all()
    assert walk[-1, 0].isnan().all()
    assert walk[:, 1].isfinite().all()
    raises("singular at point 0", geometry.brownian, flat, start + 1, **options)


# Bad input


def raises(match, call, *args, **kwargs):
    with pytest.raises(ValueError, match=match) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)


def test_decoders_without_gradients_are_named():
    z = draws(3, 2)
    weight = draws(5, 2)

    @torch.no_grad()
    def silent(at):
        return at @ weight.T

    raises("no gradients.*no_grad", geometry.PullBack(silent), z)
    raises("no gradients.*detach", geometry.PullBack(lambda at: at.detach() @ weight.T), z)
    raises("derivatives are 0", geometry.PullBack(lambda at: at.round() @ weight.T), z)
    raises("no gradients", geometry.PullBack(lambda at: torch.as_tensor(at.numpy() @ weight.numpy().T)), z)
    raises("do not depend on the latents", geometry.PullBack(lambda at: 0 * at @ weight.T), z)
    raises("expected a function or a module", geometry.PullBack, "decoder")
    raises("first axis is 2", geometry.PullBack(lambda at: at[:1]), z)
    raises("does not take latents of shape", geometry.PullBack(layers(nn.Tanh())), draws(3, 4))
    mixing = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8)).double()
    raises("layer '1' .BatchNorm1d. is in training mode", geometry.PullBack(mixing), z)
    assert geometry.PullBack(mixing.eval())(z).shape == (3, 2, 2)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.2), nn.Hardtanh(), nn.PReLU().double()])
def test_kinks_are_named_where_second_derivatives_are_needed(activation):
    metric = geometry.PullBack(layers(activation))
    z, what = draws(3, 2), f"layer '1' .{type(activation).__name__}. has a kink"
    raises(what, metric.acceleration, z, z)
    raises(what, geometry.geodesic, metric, z, z + 1, solver="boundary")
    raises(what, geometry.exponential, metric, z, z)
    raises(what, geometry.brownian, metric, z, steps=2, time=1.0)
    assert geometry.brownian(metric, z, steps=2, time=1e-3, drift=False).shape == (3, 3, 2)
    assert geometry.geodesic(metric, z, z + 1).points.isfinite().all()


def test_kinks_are_found_behind_functions_and_methods():
    net = autoencoders.Dense(16, 2, hidden=(8,), activation="relu", generator=torch.Generator().manual_seed(0))
    z = draws(1, 2).float()
    assert geometry.kinks(net.decode, z) == ["layer 'decoder.1' (ReLU)"]
    smooth = autoencoders.Dense(16, 2, hidden=(8,), activation="softplus", generator=torch.Generator().manual_seed(0))
    assert geometry.kinks(smooth.decode, z) == []
    assert "relu()" in geometry.kinks(lambda at: torch.relu(at), z)[0]
    precision = geometry.RBFPrecision.fit(draws(20, 2).float(), 0.1, centres=3)
    assert geometry.kinks(geometry.GaussianDecoder(net.decode, precision), z) == ["layer 'decoder.1' (ReLU)"]
    assert geometry.kinks(geometry.GaussianDecoder(smooth.decode, precision), z) == []


def test_singular_metrics_are_named():
    z = draws(3, 2)
    raises("1 outputs for 2 latent", geometry.PullBack(lambda at: at[:, :1]), z)
    flat = geometry.PullBack(lambda at: torch.stack((at[:, 0], 2 * at[:, 0], at[:, 0] ** 2), 1))
    raises("singular at point 0: eigenvalues from", flat.volume, z)
    raises("singular", flat.acceleration, z, z)
    raises("singular", geometry.geodesic, flat, z, z + 1, solver="boundary")
    raises("singular", geometry.brownian, flat, z, steps=2, time=1.0)
    fading = geometry.FromFunction(lambda at: torch.zeros(len(at), 2, 2, dtype=at.dtype))
    raises("singular", fading.log_volume, z)
    # One direction of two is seen, or none: a straight line is no geodesic of either.
    summed = geometry.PullBack(lambda at: torch.stack([at.sum(1)] * 3, 1))
    codes = draws(30, 2)
    for dtype, metric in itertools.product((torch.float64, torch.float32), (summed, fading)):
        raises("metric is singular at point 0", geometry.geodesic, metric, z.to(dtype), z.to(dtype) + 1)
        raises("metric is singular at point 0", geometry.Graph, metric, codes.to(dtype))
        raises("metric is singular at point 0", geometry.kmeans, metric, codes.to(dtype), 2)
    # A graph forgives single nodes, for grids have corners; ends of a geodesic it does not.
    half = geometry.FromFunction(lambda at: (at[:, 0] < 0).to(at)[:, None, None] * torch.eye(2, dtype=at.dtype))
    assert geometry.Graph(half, codes).distances(codes[:1]).isfinite().all()
    raises("singular", geometry.geodesic, half, codes.amin(0), codes.amax(0))


def test_few_ends_are_looked_at_where_jacobians_cost_much():
    seen = []

    class Counted(geometry.PullBack):
        def matrix(self, z):
            seen.append(len(z))
            return super().matrix(z)

    weight = draws(12_288, 100).float()
    metric = Counted(lambda z: z @ weight.T)
    z = draws(6, 100).float()
    metric.check(z)
    assert metric.sample(z).shape == (2, 100, 100)
    small = Counted(sphere)
    small.check(draws(3, 2))
    small.sample(draws(40, 2))
    assert seen == [2, 40]


@pytest.mark.parametrize(
    "decoder",
    [
        lambda z: torch.where(z > 0, z, 2 * z),
        lambda z: z.sort(1).values + z,
        lambda z: z - z.amax(1, keepdim=True) + z.square(),
        lambda z: z + z.amin(1, keepdim=True),
        lambda z: z + z.max(1, keepdim=True).values,
        lambda z: z + z.min(),
    ],
)
def test_operations_with_kinks_are_known_by_name(decoder):
    assert geometry.kinks(decoder, draws(1, 2))
    raises("in the decoder has a kink", geometry.PullBack(decoder).acceleration, draws(1, 2), draws(1, 2))


def test_latents_of_another_dtype_than_the_decoder_are_named():
    metric = geometry.PullBack(layers(nn.Tanh()).float())
    z = draws(3, 2)
    for call in (metric, metric.volume, lambda at: geometry.geodesic(metric, at, at + 1)):
        raises("latents of dtype torch.float64.*z.to.dtype., or decoder.to", call, z)
    assert metric(z.float()).dtype == torch.float32
    raises("latents of dtype torch.float64", metric, z)  # also once a dtype that fits was seen
    image = nn.Sequential(nn.Unflatten(1, (2, 1, 1)), nn.ConvTranspose2d(2, 3, 4))
    raises("latents of dtype torch.float64", geometry.PullBack(image), z)


def test_a_boundary_value_problem_that_fails_is_reported_per_curve():
    metric = geometry.PullBack(sphere)
    z0 = torch.tensor([[0.1, 0.0], [0.9, 0.1]], dtype=torch.float64)
    z1 = torch.tensor([[0.15, 0.02], [-40.0, 3.0]], dtype=torch.float64)  # the second goes all but round the sphere
    start = z0 + torch.linspace(0, 1, 9, dtype=torch.float64)[:, None, None] * (z1 - z0)
    with pytest.warns(UserWarning, match="1 of 2 geodesics did not converge .curves 1; residual .*they are NaN"):
        path = geometry.geodesic(metric, z0, z1, solver="boundary", start=start, nodes=(6,), steps=2)
    assert path.converged.tolist() == [True, False]
    points = path(torch.linspace(0, 1, 5))
    assert points[:, 0].isfinite().all()
    assert points[1:-1, 1].isnan().all()  # no line in its place
    assert math.isnan(path.length[1])
    assert path.residual[1] > 1e-4 > path.residual[0]
    with pytest.warns(UserWarning, match="they are the best curves found"):
        short = geometry.geodesic(metric, z0, z1, steps=1)
    assert not short.converged[1]


def test_an_exponential_that_does_not_settle_is_reported():
    metric = geometry.PullBack(sphere)
    z = torch.tensor([[0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    v = torch.tensor([[0.1, 0.0], [math.pi / 2, 0.0]], dtype=torch.float64)  # to the pole, where the chart ends
    with pytest.warns(UserWarning, match="1 of 2 exponentials did not settle .*points 1"):
        found = geometry.exponential(metric, z, v, most=64)
    assert found[0].isfinite().all()
    assert found[1].isnan().all()


def test_wrong_shapes_and_values_are_named():
    metric, z = geometry.PullBack(sphere), draws(3, 2)
    raises("floating-point tensor", metric, torch.ones(3, 2, dtype=torch.int64))
    raises("NaN or infinity", metric, z / 0)
    raises("endpoints are of shapes .3, 2. and .3, 3.", geometry.geodesic, metric, z, draws(3, 3))
    raises("endpoints are of shapes", geometry.geodesic, metric, z, draws(4, 2))
    raises("expected one velocity a latent", metric.acceleration, z, z[:2])
    raises("velocities are of shape", geometry.exponential, metric, z, z[:2])
    raises("unknown solver 'magic'; expected one of energy, boundary", geometry.geodesic, metric, z, z, solver="magic")
    raises("knots is 0", geometry.geodesic, metric, z, z, knots=0)
    raises("more segments than knots", geometry.geodesic, metric, z, z, knots=8, segments=8)
    raises("start is of shape", geometry.geodesic, metric, z, z, start=draws(5, 2, 2))
    raises("nodes is", geometry.geodesic, metric, z, z, solver="boundary", nodes=(2,))
    raises("a curve is of shape", metric.length, z[:1, 0])
    raises("expected .3, 2, 2.", geometry.FromFunction(lambda at: at), z)
    raises("positions .T,. in .0, 1.", geometry.geodesic(metric, z, z + 0.1), 1.5)
    raises("n > 10 neighbours", geometry.Graph, metric, z)
    raises("as the graph's nodes", geometry.Graph(metric, draws(20, 2)).distances, draws(3, 3))
    raises("for 4 clusters; expected .n, D. with n >= 4", geometry.kmeans, metric, z, 4)
    raises("k is 0", geometry.kmeans, metric, z, 0)
    raises("starts is 0; expected a positive", geometry.kmeans, metric, z, 2, starts=0)
    raises("refine is -1", geometry.kmeans, metric, z, 2, refine=-1)
    raises("labels and clusters are of shapes", geometry.f_measure, torch.ones(3).long(), torch.ones(4).long())
    raises("steps is 0", geometry.brownian, metric, z, steps=0, time=1.0)
    raises("time is -1", geometry.brownian, metric, z, steps=1, time=-1)
    raises("for 64 centres", geometry.RBFPrecision.fit, z, 0.1)
    raises("a is 0", geometry.RBFPrecision.fit, z, 0.1, centres=2, a=0)
    raises("squares is -1", geometry.RBFPrecision.fit, z, -1, centres=2)
    raises("squares are of shape", geometry.RBFPrecision.fit, z, draws(2, 5), centres=2)
    raises("codes are all alike", geometry.RBFPrecision.fit, torch.ones(5, 2), 0.1, centres=1)
    raises("floor is 0", geometry.RBFPrecision, draws(3, 2), draws(3), draws(5, 3), 0)
    raises("expected .K, D., .K,. and .N, K.", geometry.RBFPrecision, draws(3, 2), draws(2), draws(5, 3), 1.0)
    wrong = geometry.RBFPrecision.fit(draws(20, 2), draws(20, 5).square(), centres=2)
    raises("mean has 3 outputs, the precision 5", geometry.PullBack(geometry.GaussianDecoder(sphere, wrong)), z)


# The experiments of chapter 15


@pytest.fixture(scope="module")
def trained():
    sizes = oddity.Sizes(train=200, held_out=40, codes=150, steps=300, hidden=(32, 16), centres=16, grid=12)
    return oddity.train(digits.load(), (0, 1, 2), sizes, seed=0)


def test_log_likelihood_is_that_of_quadrature(trained):
    precision = trained.precision(2.0)
    found = oddity.log_likelihood(trained, precision, trained.held_out, draws=2000)
    axis = torch.linspace(-7, 7, 281)
    grid = torch.cartesian_prod(axis, axis)
    mean, beta = trained.network.decode(grid).double(), precision(grid).double()
    x = trained.held_out.images.double()
    terms = -0.5 * (x.square() @ beta.T - 2 * x @ (beta * mean).T + (beta * mean.square()).sum(1))
    terms += 0.5 * (beta.log() - math.log(2 * math.pi)).sum(1)
    terms += -grid.double().square().sum(1) / 2 - math.log(2 * math.pi)
    exact = float((torch.logsumexp(terms, 1) + 2 * math.log(0.05)).mean())
    assert found == pytest.approx(exact, abs=0.5)


def test_digits_that_choose_are_not_those_that_are_reported(trained):
    assert len(trained.validation.images) == len(trained.held_out.images) == 20
    shown = torch.cat((trained.digits.images, trained.validation.images, trained.held_out.images))
    assert len(shown.unique(dim=0)) == len(shown)


def test_variance_is_larger_outside_the_data_with_the_rbf_network(trained, monkeypatch):
    monkeypatch.setattr(oddity, "STEPS", (50, 100))
    found = oddity.likelihoods(trained, (0.05, 2.0))
    assert found["rbf"]["2"]["outside"] > 5 * found["rbf"]["2"]["inside"]
    assert found["chosen"]["rbf"] == "2"  # a twentieth of the mean distance covers hardly any digit that is new
    for kind in ("rbf", "ordinary"):
        best = found["chosen"][kind]
        assert found[kind][best]["validation"] == max(row["validation"] for row in found[kind].values())
        assert all(math.isfinite(row["log likelihood"]) for row in found[kind].values())
    # The control: where other digits choose, the digits that are reported do not say which.
    swapped = replace(trained, validation=trained.held_out, held_out=trained.validation)
    other = oddity.likelihoods(swapped, (0.05, 2.0))
    assert other["rbf"]["2"]["validation"] == found["rbf"]["2"]["log likelihood"]
    assert other["rbf"]["2"]["log likelihood"] == found["rbf"]["2"]["validation"]


def test_comparison_has_all_kinds_of_k_means(trained):
    found = oddity.compare(trained, (0.5, 2.0))
    values = [found["euclidean"], found["flat"], found["no precision"], *found["riemannian"].values()]
    assert len(values) == 5
    assert all(1 / 3 < value <= 1 for value in values)
    assert found["validation"].keys() == found["riemannian"].keys()
    assert found["chosen"] == max(found["validation"], key=found["validation"].get)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = oddity.compare(trained, (0.5, 2.0))
    assert again == found


def test_a_flat_metric_in_the_same_algorithm_finds_what_ordinary_k_means_finds(trained):
    """So the rest of a gain is the metric's; the control is a metric that is not flat."""
    ordinary = oddity.euclidean(trained)
    flat, curved = (
        oddity.cluster(trained, metric).labels
        for metric in (geometry.PullBack(lambda z: z), trained.metric(trained.precision(0.5)))
    )
    assert geometry.f_measure(ordinary, flat) > 0.95
    assert geometry.f_measure(ordinary, curved) < geometry.f_measure(ordinary, flat)


def test_refinement_by_geodesics_is_measured(trained):
    small = replace(trained, sizes=replace(trained.sizes, codes=30, grid=5))
    found = oddity.refined(small, 2.0)
    assert 1 / 3 < found["graph"] <= 1
    assert 1 / 3 < found["refined"] <= 1
    assert found["moves"] <= 30
    assert 0 < found["seconds on the graph"] < found["seconds refined"]
