"""Programs that are begun several times, as torchrun begins them, and what each of them printed."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def launched(count, program, *arguments, threads=None, seconds=180):
    """Exit status, output and errors of each rank; none is left."""
    port = free_port()
    processes = []
    for rank in range(count):
        own = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": str((threads or [1] * count)[rank]),
        }
        command = [sys.executable, str(program), *map(str, arguments)]
        processes.append(
            subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    try:
        ends = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [(process.returncode, *end) for process, end in zip(processes, ends, strict=True)]
