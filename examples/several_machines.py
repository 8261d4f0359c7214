r"""One model on several machines: each computes a share of every batch.

Starts two processes on this machine, or is one of the processes of your cluster.

    python examples/several_machines.py    # two processes here

On machines of your own start it on each, with TF_CONFIG set:

    TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:9000", "10.0.0.2:9000"]},
                "task": {"type": "worker", "index": 0}}' \
    python examples/several_machines.py    # index 1 on the second machine

If a process ends, the others end too. Start all of them again, and the fit goes on
after its last whole epoch, if CHECKPOINTS names a folder that all of them see.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks


def train() -> None:
    """Fit, as every process does: the same rows, the same parameters, a seed."""
    X, y = make_related_tasks(n_samples=5000, n_features=20, random_state=0)
    reg = MultiTaskMMoERegressor(
        max_iter=5,
        batch_size=512,
        random_state=0,
        distribute="multi_worker_mirrored",
        checkpoint_dir=os.environ.get("CHECKPOINTS"),
        verbose=1,
    )
    reg.fit(X, y)
    # Each process has the whole model; one of them writes it.
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    print(f"process {index}: loss {reg.loss_:.4f}", flush=True)


def start_two() -> None:
    """Start this script twice on this machine, at two free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for free in sockets:
        free.close()
    processes = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": workers}, "task": task})
        environment = {**os.environ, "TF_CONFIG": config}
        processes.append(subprocess.Popen([sys.executable, __file__], env=environment))
    sys.exit(max(abs(process.wait()) for process in processes))


if __name__ == "__main__":
    if "TF_CONFIG" in os.environ:
        train()
    else:
        start_two()
