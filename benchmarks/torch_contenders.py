"""torch-rechub's multi-task models, with the settings of its own run_census.py.

Run by ``compare.py`` with the interpreter of an environment that has torch-rechub:

    python torch_contenders.py MMOE data.npz answer.npz

Embeddings of 4 for the categorical columns, numeric columns as they are, Adam with a
learning rate of 1e-3 and weight decay of 1e-4, batches of 1024, at most 100 epochs,
early stopping by the first task's AUC on the validation rows with a patience of 30.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import AITM, MMOE, PLE
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator, PredictDataset

TOWERS = [{"dims": [8]}, {"dims": [8]}]
KINDS = ["classification", "classification"]


def make(name: str, features: list) -> torch.nn.Module:
    """Build a model as run_census.py does."""
    if name == "MMOE":
        return MMOE(
            features, KINDS, 8, expert_params={"dims": [16]}, tower_params_list=TOWERS
        )
    if name == "PLE":
        return PLE(
            features,
            KINDS,
            n_level=1,
            n_expert_specific=2,
            n_expert_shared=1,
            expert_params={"dims": [16]},
            tower_params_list=TOWERS,
        )
    return AITM(features, 2, bottom_params={"dims": [32, 16]}, tower_params_list=TOWERS)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(name: str, data_path: str, answer_path: str) -> None:
    """Train, predict the test rows, and write what it cost."""
    torch.manual_seed(0)
    with np.load(data_path) as data:
        dense, sparse, y = data["dense"], data["sparse"], data["y"]
        parts = {part: data[part] for part in ("train", "valid", "test")}
    before = peak_mib()
    start = time.perf_counter()
    features = [
        SparseFeature(f"s{j}", int(sparse[:, j].max()) + 1, embed_dim=4)
        for j in range(sparse.shape[1])
    ] + [DenseFeature(f"d{j}") for j in range(dense.shape[1])]

    def columns(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {
            **{f"s{j}": sparse[rows, j] for j in range(sparse.shape[1])},
            **{f"d{j}": dense[rows, j] for j in range(dense.shape[1])},
        }

    train, valid, _ = DataGenerator(
        columns(parts["train"]), y[parts["train"]]
    ).generate_dataloader(
        x_val=columns(parts["valid"]),
        y_val=y[parts["valid"]],
        x_test=columns(parts["test"]),
        y_test=y[parts["test"]],
        batch_size=1024,
    )
    model = make(name, features)
    with tempfile.TemporaryDirectory() as folder:
        trainer = MTLTrainer(
            model,
            task_types=KINDS,
            optimizer_params={"lr": 1e-3, "weight_decay": 1e-4},
            n_epoch=100,
            earlystop_patience=30,
            device="cpu",
            model_path=folder,
        )
        trainer.fit(train, valid)
    fitted = time.perf_counter()
    test = DataLoader(PredictDataset(columns(parts["test"])), batch_size=4096)
    probabilities = np.array(trainer.predict(trainer.model, test))
    np.savez(
        answer_path,
        probabilities=probabilities.reshape(len(parts["test"]), -1),
        fit_seconds=fitted - start,
        predict_seconds=time.perf_counter() - fitted,
        peak_mib=peak_mib() - before,
        parameters=sum(weight.numel() for weight in model.parameters()),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
