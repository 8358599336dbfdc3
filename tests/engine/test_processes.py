"""Tasks in one process or several: the same results, and no process left behind."""

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import psutil
import pytest
import torch

from suffice.engine import Workers
from suffice.errors import InputError, InputWarning


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


def kill_itself(folder, task):
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)


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
            workers.run(functools.partial(write, str(folder)), range(4), done.append)
            workers.run(functools.partial(write, str(folder)), range(4, 8), done.append)
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


def test_a_killed_worker_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError, match="where memory is short") as refusal, Workers(2, threads=1) as workers:
        workers.run(functools.partial(kill_itself, str(tmp_path)), range(4))
    assert "fewer --workers" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    wait_for(lambda: multiprocessing.active_children() == [])


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
        workers.run(lambda task: events.append(f"call {task}"), [0, 1], lambda task: events.append(f"done {task}"))
    assert events == ["call 0", "done 0", "call 1", "done 1"]


def test_what_tasks_warn_of_is_warned_of_here_once():
    with warnings.catch_warnings(record=True) as caught, Workers(2, threads=1) as workers:
        warnings.simplefilter("always")
        workers.run(warn, range(4))
    told = {(str(one.message), one.category) for one in caught if one.filename == __file__}
    assert told == {("mask_token takes no part in the loss", InputWarning), ("soon to be removed", FutureWarning)}
    assert sum(one.filename == __file__ for one in caught) == 2
