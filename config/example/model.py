"""Softmax regression in plain Python, and the split of the rows."""

import math
import random


def split(rows: list, fraction: float, seed: int) -> tuple[list, list]:
    """The rows to train with and those to test with, of each label alike."""
    chosen = random.Random(seed)
    train, test = [], []
    for label in sorted({row[-1] for row in rows}):
        mine = [row for row in rows if row[-1] == label]
        chosen.shuffle(mine)
        count = max(1, round(len(mine) * fraction))
        test += mine[:count]
        train += mine[count:]
    chosen.shuffle(train)
    return train, test


def scaled(model: dict, row: list) -> list[float]:
    """The features of a row, each with mean 0 and deviation 1, and the constant."""
    pairs = zip(row, model["means"], model["deviations"])
    return [(value - mean) / deviation for value, mean, deviation in pairs] + [1.0]


def chances(model: dict, inputs: list[float]) -> list[float]:
    """How likely each label is."""
    scores = [sum(w * x for w, x in zip(weights, inputs)) for weights in model["weights"]]
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def fit(rows: list, epochs: int, rate: float) -> dict:
    """Goes downhill over all rows, `epochs` times."""
    width = len(rows[0]) - 1
    labels = sorted({row[-1] for row in rows})
    means = [sum(row[i] for row in rows) / len(rows) for i in range(width)]
    spread = [math.sqrt(sum((row[i] - means[i]) ** 2 for row in rows) / len(rows)) or 1.0 for i in range(width)]
    model = {
        "labels": labels,
        "means": means,
        "deviations": spread,
        "weights": [[0.0] * (width + 1) for _ in labels],
    }
    inputs = [(scaled(model, row[:-1]), labels.index(row[-1])) for row in rows]
    for _ in range(epochs):
        slopes = [[0.0] * (width + 1) for _ in labels]
        for values, truth in inputs:
            for label, chance in enumerate(chances(model, values)):
                error = chance - (label == truth)
                for i, value in enumerate(values):
                    slopes[label][i] += error * value
        for weights, slope in zip(model["weights"], slopes):
            for i, value in enumerate(slope):
                weights[i] -= rate * value / len(rows)
    return model


def predict(model: dict, row: list) -> str:
    """The most likely label of a row of features."""
    likely = chances(model, scaled(model, row))
    return model["labels"][likely.index(max(likely))]
