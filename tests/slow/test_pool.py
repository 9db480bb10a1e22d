"""Workers and their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import os, sys, time
from pathlib import Path
from simdrive.eval.pool import Pool

def work(number):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    with Pool(2) as pool:
        list(pool.map(work, range(4)))
"""


def alive(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script, told = tmp_path / "parent.py", tmp_path / "told"
    script.write_text(PARENT)
    told.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(told)])
    for _ in range(600):
        if len(list(told.iterdir())) == 2:
            break
        time.sleep(0.5)
    workers = [int(path.name) for path in told.iterdir()]
    assert len(workers) == 2
    assert all(map(alive, workers))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    for _ in range(40):
        if not any(map(alive, workers)):
            break
        time.sleep(0.25)
    assert not any(map(alive, workers))
