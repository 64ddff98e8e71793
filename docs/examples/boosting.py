"""Trains LightGBM on made-up rows, and prints how many it trains on in a second, and how well it tells others apart."""

import argparse
import json
import time

import lightgbm
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--max-bin", type=int, default=255)
parser.add_argument("--sampling", default="bagging")
parser.add_argument("--seed", type=int, default=0)
asked = parser.parse_args()

rng = np.random.default_rng(asked.seed)
rows = rng.standard_normal((60_000, 40), np.float32)
labels = (rows[:, 0] * rows[:, 1] + rows[:, 2:].sum(axis=1) / 6 + rng.standard_normal(60_000) > 0).astype(int)
train, held_out = np.arange(50_000), np.arange(50_000, 60_000)
options = {
    "objective": "binary",
    "max_bin": asked.max_bin,
    "data_sample_strategy": asked.sampling,
    "num_threads": 1,
    "seed": asked.seed,
    "verbose": -1,
}
begin = time.perf_counter()
trees = 60
model = lightgbm.train(options, lightgbm.Dataset(rows[train], labels[train]), trees)
seconds = time.perf_counter() - begin
scores = model.predict(rows[held_out])
order = np.argsort(np.argsort(scores)) + 1
positive = labels[held_out] == 1
auc = (order[positive].mean() - (positive.sum() + 1) / 2) / (~positive).sum()
print(json.dumps({"rows_per_s": trees * len(train) / seconds, "auc": float(auc)}))
