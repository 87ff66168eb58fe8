"""The matrix of chapter 6: theory against the recorded table and against cells that are measured anew."""

from dataclasses import replace

import pytest
import torch
from scipy import stats

from conftest import ROOT
from hollow import interpolations, matrix, priors
from hollow.matrix import Cell, contradictions, critical, expected, measure, read, resolved, write
from hollow.properties import LEVEL

RECORDED = read(ROOT / "book" / "assets" / "matrix.csv")
CELLS = {(cell.prior, cell.path): cell for cell in RECORDED}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_the_recorded_table_has_every_cell_with_what_theory_says_today():
    assert list(CELLS) == [(prior, path) for prior in matrix.PRIORS for path in interpolations.names()]
    assert {prior.split("(")[0] for prior in matrix.PRIORS} == set(priors.names())
    assert [(cell.expected, cell.why) for cell in RECORDED] == [expected(*at) for at in CELLS]


def test_nothing_in_the_recorded_table_contradicts_theory():
    assert contradictions(RECORDED) == []
    assert sum(cell.found == "yyyy" for cell in RECORDED) == 9
    for cell in RECORDED:
        assert bool(cell.found) == (cell.p is not None) == (cell.n == 10_000)
        assert cell.why
        if cell.found:
            assert cell.detour >= 1 - 1e-6
            assert -1 <= cell.winner <= 1 + 1e-6
        else:
            assert "path" in cell.note


def test_the_table_says_what_made_it():
    head = (ROOT / "book" / "assets" / "matrix.csv").read_text().splitlines()[:3]
    assert [line[0] for line in head] == ["#"] * 3
    assert "python -m hollow.matrix book/assets/matrix.csv --n 10000" in head[1]
    assert "commit: " in head[2]
    assert "torch" in head[2]


def test_the_expectations_are_those_of_the_definitions():
    for at, letters in {
        ("half(cauchy, K=50)", "linear"): "yyyy",
        ("cauchy-isotropic", "transport-matched"): "yyyy",
        ("half(normal, K=50)", "normalized"): "ynny",
        ("sphere", "spherical"): "ynyy",
        ("discrete", "spherical"): "ynyn",
        ("kilcher", "spherical-cauchy-linear"): "ynyy",
        ("stable(alpha=1.5)", "stable"): "ynny",
        ("sphere", "gaussian-copula"): "ynnn",
        ("sparse(normal, K=50)", "cauchy-linear"): "",
        ("uniform", "spherical-cauchy-linear"): "",
    }.items():
        assert expected(*at)[0] == letters, at


@pytest.mark.parametrize(
    ("prior", "path"),
    [
        ("normal", "linear"),
        ("normal", "cauchy-linear"),
        ("cauchy", "linear"),
        ("uniform", "transport-matched"),
        ("half(normal, K=50)", "spherical-cauchy-linear"),
        ("sphere", "spherical"),
    ],
)
def test_a_cell_measured_anew_agrees_with_theory_and_with_the_record(prior, path):
    cell = measure(prior, path, n=1000, pairs=16, permutations=200, generator=seeded(1))
    assert cell.found == expected(prior, path)[0]
    assert contradictions([cell], RECORDED) == []
    old = CELLS[prior, path]
    assert cell.ks == pytest.approx(old.ks, abs=2 * critical(1000))
    assert cell.detour == pytest.approx(old.detour, rel=0.2)
    assert cell.winner == pytest.approx(old.winner, abs=0.05)


def test_the_law_alone_is_measured_where_curves_are_not_asked_for():
    cell = measure("sparse(normal, K=50)", "linear", n=500, curves=False, generator=seeded(2))
    assert cell.found == "...n"
    assert cell.detour is None
    assert contradictions([cell], RECORDED) == []
    kept = measure("cauchy", "cauchy-linear", n=500, curves=False, generator=seeded(3))
    assert kept.found == "...y"


def test_a_path_that_does_not_exist_says_why():
    cell = measure("discrete", "cauchy-linear")
    assert (cell.found, cell.p, cell.n) == ("", None, None)
    assert "has atoms" in cell.note


# ---- negative controls: the comparison has to fail where it should


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (("normal", "spherical"), "ynny"),  # a law that is broken, said to be kept
        (("uniform", "cauchy-linear"), "ynyn"),  # and the other way round
        (("normal", "normalized"), "ynyy"),
        (("cauchy", "linear"), "ynyy"),
        (("normal", "linear"), ""),
        (("discrete", "stable"), "ynny"),
    ],
)
def test_a_wrong_expectation_is_reported(at, said):
    lines = contradictions([replace(CELLS[at], expected=said)])
    assert len(lines) == 1
    assert lines[0].startswith(f"{at[1]} on {at[0]}: expected {said or 'no path'}")


def test_a_broken_law_may_pass_only_where_the_samples_are_too_small():
    slerp = CELLS["normal", "spherical"]
    small, large = (replace(slerp, found="ynny", n=n, p=0.5) for n in (500, 10_000))
    assert contradictions([small], RECORDED) == []
    assert len(contradictions([large], RECORDED)) == 1
    assert len(contradictions([small])) == 1  # without a record there is no excuse
    assert not resolved(slerp, 500)
    assert resolved(slerp, 10_000)
    faint = CELLS["student-t(nu=3)", "cauchy-linear"]
    assert faint.found != faint.expected
    assert contradictions([faint], RECORDED) == []
    assert len(contradictions([replace(faint, found="ynny")])) == 1


def test_the_critical_distance_is_where_the_test_rejects():
    for n in (200, 10_000):
        at = critical(n)
        p = [matrix.TESTS * stats.kstwo.sf(factor * at, round(n / 2)) for factor in (0.99, 1.01)]
        assert p[0] > LEVEL > p[1]


def test_a_table_is_read_as_it_was_written(tmp_path):
    cells = [CELLS["normal", "cauchy-linear"], CELLS["discrete", "stable"], Cell("a", "b", "ynny", "why, \"so\"")]
    write(cells, tmp_path / "t.csv", ("one", "two"))
    assert (tmp_path / "t.csv").read_text().startswith("# one\n# two\nprior,path,")
    assert read(tmp_path / "t.csv") == cells
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"other.csv is no table of priors and paths; make one with"):
        read(tmp_path / "other.csv")


def test_the_command_makes_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(matrix, "PRIORS", ("sparse(normal, K=50)",))
    file = tmp_path / "matrix.csv"
    matrix.main([str(file), "--n", "300", "--pairs", "4", "--permutations", "50", "--seed", "3"])
    made = read(file)
    assert [cell.path for cell in made] == list(interpolations.names())
    assert f"# made by: python -m hollow.matrix {file} --n 300 --pairs 4 --permutations 50 --seed 3" in file.read_text()
    said = capsys.readouterr().out
    assert "linear on sparse(normal, K=50): yyyn" in said
    assert "cauchy-linear on sparse(normal, K=50): no path" in said
