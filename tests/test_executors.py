"""The table side by side: every executor ends with the weights of an undisturbed run, whatever is killed."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from hollow import cli_train, executors, experiments, locks, sweep, training, zoo
from hollow.cli import app
from hollow.distributed import LAUNCHED
from hollow.files import sha256

ROWS = ("normal-narrow", "normal-fc")  # the smallest
STEPS = 14  # with checkpoints after 6 and 12
PLAN = sweep.Plan("smoke", steps=STEPS, threads=1)


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(experiments, "TABLE", {name: experiments.TABLE[name] for name in ROWS})


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the hashes of each row's weights and checkpoint, trained one after the other in this process."""
    before, out = torch.get_num_threads(), tmp_path_factory.mktemp("undisturbed")
    for name in ROWS:
        assert sweep.train_row(name, PLAN, out, progress=False) == "trained"
    torch.set_num_threads(before)
    return hashes(out)


def hashes(out, rows=ROWS):
    return {name: (sha256(out / f"{name}.safetensors"), noted(out / name, "sha256")) for name in rows}


def noted(folder, key):
    """Return what the header of a checkpoint says: its order, and so the hash of the whole file, is left to chance."""
    with safe_open(folder / training.CHECKPOINT, "pt") as file:
        return file.metadata()[key]


def states(out, executor, limit=None):
    return dict(sweep.train_all(out, PLAN, executor, limit))


def kill_a_trainer(out, row, killed):
    """Kill the process that trains a row once it has written a checkpoint; note its id and how far it had come."""
    checkpoint, limit = out / row / training.CHECKPOINT, time.time() + 200
    while not checkpoint.exists():
        if time.time() > limit:
            return
        time.sleep(0.01)
    killed["pid"] = holder(out, row)
    os.kill(killed["pid"], signal.SIGKILL)
    killed["step"] = int(noted(out / row, "done"))


def holder(out, row):
    """Return the process that trains a row, or did so last."""
    return int(re.search(r"process (\d+)", (out / row / locks.LOCK).read_text())[1])


def train_with_a_kill(out, executor, limit=None):
    """Train both rows while one of the two workers is killed, and return what was said of them."""
    killed = {}
    killer = threading.Thread(target=kill_a_trainer, args=(out, ROWS[0], killed))
    killer.start()
    said = states(out, executor, limit)
    killer.join()
    assert 6 <= killed["step"] < STEPS  # in mid-run
    assert holder(out, ROWS[0]) != killed["pid"]  # it went on elsewhere
    first = json.loads((out / ROWS[0] / training.LOG).read_text().splitlines()[0])
    assert first["step"] == 4  # what the first process had logged up to its checkpoint is still there
    assert zoo.load(ROWS[0], out).manifest["seconds"] is None  # a run that was resumed
    return said


def check(said, out, undisturbed):
    assert sorted(said) == sorted(ROWS)
    assert all(state.startswith("trained; ") for state in said.values()), said
    assert hashes(out) == undisturbed
    assert not list(out.glob(".stop-*"))


# ---- executors


def test_a_worker_killed_on_a_dask_cluster_loses_nothing(table, tmp_path, undisturbed):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        executors.dask(cluster.scheduler_address) as executor,
    ):
        said = train_with_a_kill(tmp_path, executor)
    check(said, tmp_path, undisturbed)
    assert re.fullmatch(r"trained; 1 of 2, about \d+ (s|min|h) to go", next(iter(said.values())))


def test_a_worker_process_that_is_killed_loses_nothing(table, tmp_path, undisturbed):
    with executors.processes(2) as executor:
        said = train_with_a_kill(tmp_path, executor, 2)
        assert executor.restarts == 1
    check(said, tmp_path, undisturbed)


def test_a_job_of_submitit_trains_a_row(table, tmp_path, undisturbed, monkeypatch):
    """As on Slurm, but for the cluster: pickles, scripts and results go through submitit."""
    pytest.importorskip("submitit")
    monkeypatch.delitem(experiments.TABLE, ROWS[1])
    with executors.slurm(tmp_path / "jobs", threads=1, cluster="local") as executor:
        assert states(tmp_path, executor) == {ROWS[0]: "trained; 1 of 1"}
    assert hashes(tmp_path, ROWS[:1])[ROWS[0]] == undisturbed[ROWS[0]]
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 1


def test_a_job_whose_time_is_up_is_queued_again():
    submitit = pytest.importorskip("submitit")
    again = executors.Again(max).checkpoint(3, 5)
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function(*again.args) == 5


class Plain:
    """No more than the protocol: one method here, one on what it returns."""

    def submit(self, function, /, *arguments):
        self.outcome = function(*arguments)
        return self

    def result(self):
        return self.outcome


def test_an_executor_needs_two_methods_only(table, tmp_path, monkeypatch, one_thread):
    monkeypatch.setattr(training, "train", lambda row, recipe, out, **_: out.mkdir(parents=True))
    assert states(tmp_path, Plain(), 1)[ROWS[1]] == "trained; 2 of 2"
    with ThreadPoolExecutor(2) as threads:
        assert len(states(tmp_path / "other", threads)) == 2


def test_a_row_that_fails_does_not_keep_the_others(table, tmp_path, monkeypatch, one_thread):
    def fail(row, recipe, out, **_):
        if row.name == ROWS[0]:
            raise training.TrainingDiverged("a loss is not finite")

    monkeypatch.setattr(training, "train", fail)
    rows = sweep.train_all(tmp_path, PLAN, Plain(), 1)
    assert next(rows)[1].startswith("failed: a loss is not finite; 1 of 2, about")
    assert next(rows) == (ROWS[1], "trained; 2 of 2")
    with pytest.raises(ValueError, match="1 of 2 not trained: normal-narrow; the same command tries again"):
        next(rows)


def test_what_is_finished_is_kept_and_not_submitted(table, tmp_path, monkeypatch, one_thread):
    monkeypatch.setattr(sweep, "finished", lambda *_: True)
    assert states(tmp_path, None) == states(tmp_path, Plain()) == dict.fromkeys(ROWS, "kept")


def test_a_pool_that_always_breaks_is_given_up():
    with executors.processes(1) as executor:
        job = executor.submit(os._exit, 1)
        with pytest.raises(executors.WorkersLost, match=r"killed 6 times.*fewer --workers; the same command continues"):
            job.result()


def test_workers_take_turns_with_the_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    gpus, started = executors.gpus(), multiprocessing.Value("i", 0)
    before, seen = signal.getsignal(signal.SIGINT), []
    for _ in range(3):
        executors._begin(started, gpus)
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    signal.signal(signal.SIGINT, before)
    assert seen == ["4", "6", "4"]


# ---- ctrl-C


def command(out, *words):
    words = ("train", "--all", "--preset", "smoke", "--device", "cpu", "--out", out, *words)
    return [sys.executable, "-m", "hollow", *map(str, words)]


def test_ctrl_c_stops_workers_with_a_checkpoint_each(tmp_path):
    """A terminal sends ctrl-C to the command and to its workers."""
    said = command(tmp_path, "--executor", "processes", "--workers", 2, "--steps", 1000)
    run = subprocess.Popen(said, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    logs, limit = [tmp_path / name / training.LOG for name in ("normal", "uniform")], time.time() + 120
    while not all(log.exists() and log.stat().st_size for log in logs):
        assert time.time() < limit
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 130
    assert re.fullmatch(r"stopped with 0 of \d+ rows ended; the same command continues\n", said), said
    for log in logs:
        assert int(noted(log.parent, "done")) >= json.loads(log.read_text().splitlines()[-1])["step"]
        with locks.held(log.parent):  # nobody trains there any more
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["normal", "uniform"]  # no other row was begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_that_no_signal_reaches_are_stopped_too(table, tmp_path, monkeypatch, number):
    begun = []

    def train(row, recipe, out, *, stop, **_):
        begun.append(row.name)
        limit = time.monotonic() + 60
        while not stop():
            assert time.monotonic() < limit
            time.sleep(0.01)
        raise KeyboardInterrupt("stopped after step 5 of 14")

    monkeypatch.setattr(training, "train", train)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    with ThreadPoolExecutor(1) as threads, cli_train._sigterm_as_ctrl_c():
        timer.start()
        with pytest.raises(KeyboardInterrupt, match="stopped with 0 of 2 rows ended; the same command continues"):
            states(tmp_path, threads)
    assert begun == [ROWS[0]]  # the other was in the queue
    assert list(tmp_path.iterdir()) == []


def test_sigterm_ends_training_by_it_with_a_checkpoint(tmp_path):
    said = [sys.executable, "-m", "hollow", "train", "normal-narrow", "--preset", "smoke", "--steps", "1000"]
    run = subprocess.Popen([*said, "--device", "cpu", "--out", tmp_path], stderr=subprocess.DEVNULL)
    log, limit = tmp_path / training.LOG, time.time() + 120
    while not log.exists() or not log.stat().st_size:
        assert time.time() < limit
        assert run.poll() is None
        time.sleep(0.02)
    run.terminate()
    assert run.wait(60) == -signal.SIGTERM
    assert int(noted(tmp_path, "done")) >= json.loads(log.read_text().splitlines()[-1])["step"]


# ---- one folder, one process


def test_a_folder_has_one_holder(tmp_path):
    with (
        locks.held(tmp_path / "new"),
        pytest.raises(BlockingIOError, match=rf"new is in use by process {os.getpid()} on .*; wait until"),
        locks.held(tmp_path / "new"),
    ):
        pass
    with locks.held(tmp_path / "new"), locks.held(tmp_path / "other"):
        pass


def test_the_lock_of_a_killed_process_does_not_block(tmp_path):
    code = f"""
import time
from hollow import locks
with locks.held({str(tmp_path)!r}):
    print("held", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match=f"process {other.pid} on"), locks.held(tmp_path, 0.3):
            pass
        other.kill()
        other.wait()
        with locks.held(tmp_path):
            assert holder(tmp_path.parent, tmp_path.name) == os.getpid()


def test_training_waits_its_turn_in_a_folder(tmp_path):
    row, recipe = experiments.get("normal"), PLAN.recipe(experiments.get("normal"))
    pixels = torch.zeros(64, 3, 64, 64, dtype=torch.uint8)
    with locks.held(tmp_path), pytest.raises(BlockingIOError, match="is in use by process"):
        training.train(row, recipe, tmp_path, images=pixels, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == [locks.LOCK]  # the other's files are as they were


def test_a_folder_that_cannot_be_made_is_one_line():
    said = r"^cannot write /proc/x/.lock: .*; choose another folder$"
    with pytest.raises(OSError, match=said), locks.held("/proc/x"):
        pass


# ---- the command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--executor", "abacus"), "unknown executor 'abacus'; expected one of processes, dask, slurm"),
        (("--workers", 2), "--workers and --scheduler are for an --executor"),
        (("--executor", "processes", "--scheduler", "tcp://x:1"), "--scheduler is for --executor dask"),
        (("--executor", "dask", "--scheduler", "tcp://x:1", "--workers", 2), "those of a --scheduler are its own"),
        (("--executor", "dask", "--without", "distributed"), "which is not installed: pip install distributed"),
        (("--executor", "slurm", "--without", "submitit"), "which is not installed: pip install submitit"),
        (("--executor", "slurm"), "needs Slurm's sbatch"),
        (("--executor", "processes", "--preset", "huge"), "unknown preset 'huge'"),
    ],
)
def test_what_goes_wrong_is_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.setenv("PATH", str(tmp_path))  # no sbatch
    if "--without" in words:
        monkeypatch.setitem(sys.modules, words[-1], None)
        words = words[:-2]
    assert said in error(*command(tmp_path)[3:], *words)


def error(*words):
    """Run the command, which must fail with one line, and return the line."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 2, result.output
    (line,) = result.output.splitlines()
    assert line.startswith("error: ")
    return line


def test_one_model_has_no_executor():
    assert "torchrun --nproc-per-node 4 -m hollow train normal" in error("train", "normal", "--executor", "dask")


def test_torchrun_is_for_one_model(tmp_path, monkeypatch):
    for name in LAUNCHED:
        monkeypatch.setenv(name, "1")
    assert "train all with: hollow train --all --executor processes" in error(*command(tmp_path)[3:])


def test_neither_dask_nor_submitit_is_loaded_before_it_is_used():
    code = "import sys, hollow.sweep, hollow.cli; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"distributed", "dask", "submitit"} & set(run.stdout.split())
    assert "hollow.executors" in run.stdout.split()


