"""Tasks in one process or several: the same results, and no process left behind."""

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch

from suffice.engine import Workers, processes
from suffice.errors import InputError, InputWarning


def into(names):
    """Notes the tasks that are finished."""
    return lambda task, seconds, worker: names.append(task)


def write(folder, task):
    """Leaves a result, and who made it on how many threads."""
    torch.manual_seed(task)
    (Path(folder) / f"{task}.result").write_text(repr(torch.randn(50).sum().item()))
    (Path(folder) / f"{task}.process").write_text(f"{os.getpid()} {torch.get_num_threads()}")
    time.sleep(0.2)  # so that one process does not take all


class WarningOfThisFile(FutureWarning):
    """As a library has them, or the code of a checkpoint."""


def warn(task):
    warnings.warn("mask_token takes no part in the loss", InputWarning, stacklevel=1)
    warnings.warn("soon to be removed", WarningOfThisFile, stacklevel=1)


def fail_at_zero(folder, task):
    if task == 0:
        while len(list(Path(folder).iterdir())) < 1:
            time.sleep(0.01)
        raise InputError("task 0 is bad")
    (Path(folder) / f"{os.getpid()}.began").touch()
    time.sleep(600)


def kill_itself(folder, times, task):
    if task == 1:
        tries = len(list(Path(folder).glob("1.try-*")))
        Path(folder, f"1.try-{tries}").touch()
        if tries < times:
            os.kill(os.getpid(), signal.SIGKILL)
    Path(folder, f"{task}.finished").write_text(str(task))


def results(folder):
    return {file.name: file.read_text() for file in folder.glob("*.result")}


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_results_do_not_depend_on_the_number_of_processes(tmp_path):
    found = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        done = []
        with Workers(count, threads=1) as workers:
            workers.run(functools.partial(write, str(folder)), range(4), took=into(done))
            workers.run(functools.partial(write, str(folder)), range(4, 8), took=into(done))
        assert sorted(done) == list(range(8))
        found.append(results(folder))
        processes = {file.read_text() for file in folder.glob("*.process")}
        assert len(processes) == count
        assert {process.split()[1] for process in processes} == {"1"}
        assert (f"{os.getpid()} 1" in processes) == (count == 1)
        assert not any(psutil.pid_exists(int(process.split()[0])) for process in processes - {f"{os.getpid()} 1"})
    assert len(found[0]) == 8
    assert found[0] == found[1]


def test_an_error_of_a_task_comes_through_and_the_other_processes_end(tmp_path):
    bystander = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    bystander.start()
    try:
        with pytest.raises(InputError, match="task 0 is bad"), Workers(2, threads=1) as workers:
            workers.run(functools.partial(fail_at_zero, str(tmp_path)), range(4))
        began = [int(file.stem) for file in tmp_path.glob("*.began")]
        assert began
        wait_for(
            lambda: (
                not any(psutil.pid_exists(process) for process in began)
                or multiprocessing.active_children() == [bystander]
            )
        )
        assert bystander.is_alive()
    finally:
        bystander.kill()
        bystander.join()


@pytest.mark.deep
def test_a_task_that_loses_its_worker_each_time_is_said_in_one_line(tmp_path):
    lost = pytest.warns(InputWarning, match="begun again, 3 times at most")
    with lost, pytest.raises(InputError, match="where memory is short") as refusal, Workers(2, threads=1) as workers:
        workers.run(functools.partial(kill_itself, str(tmp_path), 99), range(3))
    assert "fewer --workers" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(list(tmp_path.glob("1.try-*"))) == processes.TRIES
    wait_for(lambda: multiprocessing.active_children() == [])


@pytest.mark.deep
def test_a_task_that_loses_its_worker_once_is_done_on_another(tmp_path):
    done = []
    with pytest.warns(InputWarning, match="begun again"), Workers(2, threads=1) as workers:
        workers.run(functools.partial(kill_itself, str(tmp_path), 1), range(4), took=into(done))
    assert sorted(done) == [0, 1, 2, 3]
    assert len(list(tmp_path.glob("1.try-*"))) == 2
    assert {file.read_text() for file in tmp_path.glob("*.finished")} == {"0", "1", "2", "3"}


class Counting(ThreadPoolExecutor):
    """Somebody's executor, which keeps how many of its tasks were not finished at a time."""

    most = unfinished = 0

    def submit(self, call, /, *arguments, **named):
        self.unfinished += 1
        self.most = max(self.most, self.unfinished)
        future = super().submit(call, *arguments, **named)
        future.add_done_callback(lambda _: setattr(self, "unfinished", self.unfinished - 1))
        return future


def test_tasks_run_in_any_executor_and_no_more_are_handed_out_than_it_has_workers():
    executor, seen, done = Counting(3), [], []
    with Workers(3, torch.get_num_threads(), lambda: executor) as workers:
        workers.run(seen.append, range(50), took=into(done))
    assert sorted(seen) == sorted(done) == list(range(50))
    assert 1 < executor.most <= 3
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(print)


class Breaks(Executor):
    """An executor that is broken when it begins."""

    def submit(self, call, /, *arguments, **named):
        raise BrokenExecutor("no machine is left")


def test_an_executor_that_cannot_begin_is_given_up():
    begun = []
    with pytest.warns(InputWarning), pytest.raises(InputError, match="3 times"), Workers(2, 1, Breaks) as workers:
        workers.run(begun.append, range(5))
    assert begun == []


class Breaking(Executor):
    """An executor that breaks for all its tasks when one of them kills its worker; others take a while."""

    def __init__(self, kills):
        self.kills, self.futures, self.is_broken = kills, [], False

    def submit(self, call, /, *arguments, **named):
        if self.is_broken:
            raise BrokenExecutor("a worker was killed")
        future = Future()
        self.futures.append(future)
        if self.kills.get(arguments[-1], 0):
            self.kills[arguments[-1]] -= 1
            self.is_broken = True
            for lost in self.futures:
                if not lost.done():
                    lost.set_exception(BrokenExecutor("a worker was killed"))
        else:
            threading.Timer(0.2, self.finish, [future, call, arguments]).start()
        return future

    @staticmethod
    def finish(future, call, arguments):
        if not future.done():
            future.set_result(call(*arguments))


def test_no_task_is_given_up_for_what_others_did_to_their_workers():
    kills, done = {"first": 1, "second": 1, "last": 1}, []
    begin = functools.partial(Breaking, kills)
    with warnings.catch_warnings(record=True) as caught, Workers(3, torch.get_num_threads(), begin) as workers:
        warnings.simplefilter("always")
        workers.run(len, ["slow", "first", "second", "last"], took=into(done))
    assert sorted(done) == ["first", "last", "second", "slow"]
    assert set(kills.values()) == {0}
    # once for each time
    assert len([one for one in caught if "was lost" in str(one.message)]) == 3


def test_a_lost_task_is_not_told_of_as_slow_or_under_way(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(processes.time, "monotonic", lambda: now[0])
    told, done = [], []
    clock = processes._Clock(lambda index: 10, lambda *slow: told.append(slow), done.append)
    for index in range(processes.ENOUGH):
        clock.start(index)
        now[0] += 1.0
        clock.stop(index)
    clock.start(3)
    clock.lose(3)
    now[0] += 1000.0
    clock.look()
    assert (told, sum(done)) == ([], 10 * processes.ENOUGH)
    clock.start(3)
    now[0] += 1000.0
    clock.look()
    assert [index for index, *_ in told] == [3]
    clock.stop(3)
    assert sum(done) == 10 * (processes.ENOUGH + 1)


def test_a_slow_task_is_told_once(monkeypatch):
    monkeypatch.setattr(processes, "LONG", 0.2)
    monkeypatch.setattr(processes, "LOOK", 0.02)
    told = []
    costs = {0: 1.0, 1: 1.0, 2: 1.0, 3: 40.0, 4: 1.0}
    seconds = {0: 0.05, 1: 0.05, 2: 0.05, 3: 1.0, 4: 1.0}
    with Workers(2, torch.get_num_threads(), functools.partial(ThreadPoolExecutor, 2)) as workers:
        workers.run(
            lambda task: time.sleep(seconds[task]),
            range(5),
            slow=lambda task, until_now, expected: told.append((task, until_now, expected)),
            cost=costs.get,
        )
    # the fourth takes as long as the last, but was expected to
    assert [task for task, *_ in told] == [4]
    assert told[0][1] > max(0.2, 4 * told[0][2])
    assert told[0][2] >= 0.05


def test_a_task_under_way_counts_in_part_and_all_of_the_cost_is_told_once(monkeypatch):
    monkeypatch.setattr(processes, "LOOK", 0.02)
    told = []
    costs = {0: 10, 1: 1000}
    with Workers(2, torch.get_num_threads(), functools.partial(ThreadPoolExecutor, 2)) as workers:
        workers.run(lambda task: time.sleep(costs[task] / 1000), range(2), cost=costs.get, progress=told.append)
    assert sum(told) == sum(costs.values())
    assert min(told) > 0
    assert len(told) > 5  # not only when the two end


def test_a_task_that_takes_longer_than_others_did_is_not_counted_as_done(monkeypatch):
    monkeypatch.setattr(processes, "LOOK", 0.02)
    told = []
    seconds = {0: 0.01, 1: 0.5}
    with Workers(2, torch.get_num_threads(), functools.partial(ThreadPoolExecutor, 2)) as workers:
        workers.run(lambda task: time.sleep(seconds[task]), range(2), cost=lambda task: 100, progress=told.append)
    assert sum(told) == 200
    assert sum(told[:-1]) <= 100 + 0.95 * 100


@pytest.mark.deep
def test_workers_end_when_their_parent_is_killed(tmp_path):
    program = f"""
        import functools, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_processes
        from suffice.engine import Workers

        if __name__ == "__main__":
            with Workers(2, threads=1) as workers:
                call = functools.partial(test_processes.stay, {str(tmp_path)!r})
                workers.run(call, range(4))
    """
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(program))
    parent = subprocess.Popen([sys.executable, str(file)])
    wait_for(lambda: len(list(tmp_path.glob("*.began"))) == 2 or parent.poll() is not None)
    children = [psutil.Process(int(began.stem)) for began in tmp_path.glob("*.began")]
    assert len(children) == 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def stay(folder, task):
    (Path(folder) / f"{os.getpid()}.began").touch()
    time.sleep(600)


@pytest.mark.parametrize("fails", [False, True])
def test_threads_are_put_back(fails):
    before = torch.get_num_threads()
    other = before + 1
    seen = []

    def call(task):
        seen.append(torch.get_num_threads())
        if fails:
            raise InputError("bad")

    try:
        with Workers(1, threads=other) as workers:
            workers.run(call, [0, 1])
    except InputError:
        assert fails
    assert torch.get_num_threads() == before
    assert seen == [other] * (1 if fails else 2)


def test_no_tasks_begin_no_process():
    with Workers(2, threads=1) as workers:
        workers.run(print, [])
        assert multiprocessing.active_children() == []


def test_what_is_done_is_told_after_each_task_here():
    events = []
    with Workers(1, threads=1) as workers:
        workers.run(
            lambda task: events.append(f"call {task}"), [0, 1], took=lambda task, *_: events.append(f"done {task}")
        )
    assert events == ["call 0", "done 0", "call 1", "done 1"]


@pytest.mark.deep
def test_what_tasks_warn_of_is_warned_of_here_once():
    with warnings.catch_warnings(record=True) as caught, Workers(2, threads=1) as workers:
        warnings.simplefilter("always")
        workers.run(warn, range(4))
    told = {(str(one.message), one.category) for one in caught if one.filename == __file__}
    assert told == {("mask_token takes no part in the loss", InputWarning), ("soon to be removed", FutureWarning)}
    assert sum(one.filename == __file__ for one in caught) == 2


def lose_gpu(folder, times, task):
    """As a process whose GPU falls off the bus: whatever it is asked for fails from then on."""
    tries = len(list(Path(folder).glob("1.try-*")))
    Path(folder, f"{task}.try-{tries}-{os.getpid()}").touch()
    if task == 1 and tries < times:
        os.environ["SUFFICE_TEST_LOST"] = "1"
    if "SUFFICE_TEST_LOST" in os.environ:
        try:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")
        except RuntimeError as error:
            raise InputError("the model cannot run") from error
    Path(folder, f"{task}.finished").write_text(str(task))


@pytest.mark.deep
def test_a_task_that_loses_its_gpu_is_done_by_another_process(tmp_path):
    done = []
    lost = pytest.warns(InputWarning, match=r"lost its GPU \(.*:\d+: AcceleratorError: CUDA error: unspecified launch")
    with lost as told, Workers(2, threads=1) as workers:
        workers.run(functools.partial(lose_gpu, str(tmp_path), 1), range(4), took=into(done))
    assert sorted(done) == [0, 1, 2, 3]
    assert {file.read_text() for file in tmp_path.glob("*.finished")} == {"0", "1", "2", "3"}
    assert told[0].message.event == "lost GPU"
    first, second = (file.name.rpartition("-")[2] for file in sorted(tmp_path.glob("1.try-*"))[:2])
    assert first != second
    wait_for(lambda: multiprocessing.active_children() == [])


@pytest.mark.deep
def test_a_gpu_that_is_lost_each_time_is_said_in_one_line(tmp_path):
    with (
        pytest.warns(InputWarning, match="on another, 3 times at most"),
        pytest.raises(InputError, match="lost its GPU 3 times .*CUDA error.* the same command goes on") as refusal,
        Workers(2, threads=1) as workers,
    ):
        workers.run(functools.partial(lose_gpu, str(tmp_path), 99), range(2))
    assert "\n" not in str(refusal.value)
