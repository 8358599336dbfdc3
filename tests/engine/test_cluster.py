"""A cluster of Ray: what is wrong with it is one line; on a real one of two machines nothing is lost or twice."""

import csv
import errno
import functools
import json
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from suffice.configuration import StudyConfig, read_configuration
from suffice.engine import RayCluster, Workers, cluster
from suffice.errors import InputError, InputWarning
from suffice.runs.study import study


def closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def in_one_line(refusal):
    return "\n" not in str(refusal.value)


def test_without_ray_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"Ray is not installed: pip install 'suffice\[ray\]'"):
        RayCluster().capacity(1)


@pytest.fixture
def fake(monkeypatch):
    """A Ray that is connected to machines of some resources, or refuses to be."""
    ray = SimpleNamespace(machines=[{"CPU": 4.0, "GPU": 1.0}, {"CPU": 2.0}], is_initialized=lambda: True)
    ray.nodes = lambda: [
        *({"Alive": True, "Resources": resources} for resources in ray.machines),
        {"Alive": False, "Resources": {"CPU": 100.0, "GPU": 8.0}},
    ]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return ray


@pytest.mark.parametrize("address", ["10.0.0.7", "10.0.0.7:", ":6379", "head:http", "head:99999", ""])
def test_an_address_is_a_host_and_a_port(fake, address):
    fake.is_initialized = lambda: False
    with pytest.raises(InputError, match="give HOST:PORT, as `ray start --head` prints it"):
        RayCluster(address).capacity(1)


@pytest.mark.parametrize("named", ["argument", "environment"])
def test_a_cluster_that_does_not_answer_is_said_at_once(fake, monkeypatch, named):
    fake.is_initialized = lambda: False
    address = f"127.0.0.1:{closed_port()}"
    if named == "environment":
        monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(InputError, match=rf"--address {address}: nobody answers there .*ray start --head") as refusal:
        RayCluster(address if named == "argument" else None).capacity(1)
    assert time.monotonic() - began < 2 * cluster.PATIENCE
    assert in_one_line(refusal)


def test_a_cluster_of_other_versions_is_said(fake):
    def refuse(address, **_):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1")

    fake.is_initialized, fake.init = lambda: False, refuse
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(InputError, match=r"Ray: 2\.9\.0.*same versions of Ray and Python") as refusal:
            RayCluster(address).capacity(1)
    assert in_one_line(refusal)


def test_a_request_to_terminate_stays_what_it_was(fake):
    before = signal.getsignal(signal.SIGTERM)
    fake.is_initialized, fake.init = lambda: False, lambda *_, **__: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    RayCluster().capacity(1)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_worker_without_suffice_is_said():
    error = RuntimeError("failed to import on the worker\nModuleNotFoundError: No module named 'suffice'")
    assert "a Ray worker has no module 'suffice'" in str(cluster._cause(error))


def test_room_is_that_of_the_machines_that_live(fake):
    assert RayCluster().capacity(1) == 6
    assert RayCluster().capacity(2) == 3
    assert RayCluster().capacity(3) == 1
    assert RayCluster(gpus_per_task=0.25).capacity(1) == 4
    assert RayCluster(gpus_per_task=0.1).capacity(1) == 4  # of ten, its machine has four cores
    assert RayCluster(gpus_per_task=0.3).capacity(1) == 3
    assert RayCluster(gpus_per_task=0.25).capacity(2) == 2
    assert RayCluster(gpus_per_task=1).capacity(1) == 1


@pytest.mark.parametrize(("share", "threads"), [(0, 5), (2, 1), (0.5, 5)])
def test_a_task_that_no_machine_has_room_for_is_refused_and_does_not_wait(fake, share, threads):
    with pytest.raises(InputError, match=r"6 cores and 1 GPUs in all.*fewer --threads or a smaller --gpus-per-task"):
        RayCluster(gpus_per_task=share).capacity(threads)


@pytest.mark.parametrize("share", [-1, 1.5, float("inf"), float("nan")])
def test_shares_that_ray_does_not_take_are_refused(share):
    with pytest.raises(InputError, match=r"give a share such as 0\.25, or a whole number"):
        RayCluster(gpus_per_task=share)


def test_a_worker_of_other_versions_or_without_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # and puts the present one back
    versions = cluster.software()
    assert cluster.run_there(str(tmp_path), versions, divmod, (7, 2), {}) == (3, 1)
    with pytest.raises(InputError, match=r"has torch .*, here 1\.2\.3: install the same versions there"):
        cluster.run_there(str(tmp_path), versions | {"torch": "1.2.3"}, divmod, (7, 2), {})
    with pytest.raises(InputError, match="does not see .*absent .*a folder that all machines share"):
        cluster.run_there(str(tmp_path / "absent"), versions, divmod, (7, 2), {})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--address", "head:6379"], "--address head:6379: is for a cluster; add --engine ray"),
        (["--gpus-per-task", "0.5"], "--gpus-per-task 0.5: is for a cluster; add --engine ray"),
        (["--engine", "rya"], 'give local or ray; did you mean "ray"?'),
        (["--engine", "ray", "--gpus-per-task", "-1"], "give a share such as 0.25"),
        (["--engine", "ray", "--address", "nowhere"], "--address 'nowhere': give HOST:PORT"),
    ],
)
def test_bad_flags_are_one_line(suffice, fake, tmp_path, flags, message):
    fake.is_initialized = lambda: False
    done = suffice("study", "builtin:tiny-vit", "builtin:digits", "--out", tmp_path / "run", *flags)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def two_machines():
    """A real cluster: a head with one core, to which tests add a second machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    small = {"object_store_memory": 80_000_000, "include_dashboard": False}
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
    yield machines
    import ray  # noqa: PLC0415

    ray.shutdown()
    machines.shutdown()


GRID = {
    "model": "builtin:tiny-vit",
    "data": "builtin:digits",
    "samples": 150,
    "methods": ["head", "lora(2)"],
    "sizes": [30, 60, 100],
    "landscape_sizes": [60],
    "seeds": 4,
    "steps": 4,
    "probes": 2,
    "tolerances": [0.05],
    "batch_size": 64,
}
"""24 cells."""


def without_seconds(result):
    """All of a result but how long it took."""
    content = json.loads(result.model_dump_json())
    for cell in content["study"]["cells"]:
        del cell["seconds"]
    for check in content["study"]["check"]:
        del check["seconds_saved"]
    return content


@pytest.mark.deep
def test_a_grid_of_24_cells_survives_the_loss_of_a_machine(two_machines, tmp_path):
    import ray  # noqa: PLC0415

    config = read_configuration(StudyConfig, GRID)
    expected = study(config, tmp_path / "local", workers=1)
    second = two_machines.add_node(num_cpus=1, object_store_memory=80_000_000)
    cells = tmp_path / "ray" / "cells"
    killed = threading.Event()

    def kill():
        while len(list(cells.glob("*-*.json"))) < 4:
            time.sleep(0.01)
        assert len(list(cells.glob("*-*.json"))) < 24
        two_machines.remove_node(second, allow_graceful=False)
        killed.set()

    killing = threading.Thread(target=kill, daemon=True)
    killing.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # a task is lost, unless it ends before it is noticed
        found = study(config, tmp_path / "ray", workers=2, cluster=RayCluster(two_machines.address))
    assert killed.is_set()
    assert not ray.is_initialized()
    assert without_seconds(found) == without_seconds(expected)
    with (tmp_path / "ray" / "cells.csv").open() as table:
        stored = Counter((row["method"], row["size"], row["seed"]) for row in csv.DictReader(table))
    assert len(stored) == 24
    assert set(stored.values()) == {1}
    assert {file.name for file in cells.iterdir()} == {file.name for file in (tmp_path / "local" / "cells").iterdir()}


@pytest.mark.deep
def test_tasks_share_a_gpu_that_ray_is_told_of(two_machines, tmp_path):
    node = two_machines.add_node(num_cpus=4, num_gpus=1, object_store_memory=80_000_000)
    given = RayCluster(two_machines.address, gpus_per_task=0.25)

    def take(task):
        import ray  # noqa: PLC0415

        began = time.monotonic()
        while len(list(tmp_path.glob("*.begun"))) < 4 and time.monotonic() < began + 60:
            Path(tmp_path, f"{task}.begun").touch()
            time.sleep(0.02)
        Path(tmp_path, f"{task}.gpus").write_text(",".join(map(str, ray.get_gpu_ids())))

    try:
        assert given.capacity(1) == 4
        with Workers(4, 1, functools.partial(given.executor, 1)) as workers:
            workers.run(take, range(5))
    finally:
        two_machines.remove_node(node)
    assert {file.stem: file.read_text() for file in tmp_path.glob("*.gpus")} == {str(task): "0" for task in range(5)}
    assert len(list(tmp_path.glob("*.begun"))) >= 4  # all four at a time


@pytest.mark.deep
def test_what_tasks_do_there_is_told_as_here(two_machines, tmp_path, capfd):
    def call(task):
        if task == "full":
            raise OSError(errno.ENOSPC, "No space left on device", "cells/1.json")
        if task == "bad":
            raise InputError("bad sample")
        tries = len(list(tmp_path.glob("try-*")))
        Path(tmp_path, f"try-{tries}").touch()
        if task == "dies" or tries == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    begin = functools.partial(RayCluster(two_machines.address).executor, 1)
    done = []
    with warnings.catch_warnings(record=True) as caught, Workers(1, 1, begin) as workers:
        warnings.simplefilter("always", InputWarning)
        workers.run(call, ["dies once"], took=lambda task, *_: done.append(task))
        with pytest.raises(OSError, match="No space left") as full:
            workers.run(call, ["full"])
        with pytest.raises(InputError, match=r"^bad sample$"):
            workers.run(call, ["bad"])
        with pytest.raises(InputError, match="lost its worker process 3 times"):
            workers.run(call, ["dies"])
    assert done == ["dies once"]
    assert sum("begun again" in str(one.message) for one in caught) == 3
    assert full.value.errno == errno.ENOSPC
    assert capfd.readouterr().out == ""  # where the answer goes, as JSON perhaps
