"""Whether a classifier tells two sets of samples apart: the classifier two-sample test.

Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests".
"""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor

from humanmotion.errors import MissingExtraError, UsageError


def c2st_auc(a: Tensor, b: Tensor, *, groups: tuple[Tensor, Tensor], folds: int = 5) -> Tensor:
    """Area under the ROC curve `(folds)` of boosted trees that tell `a` `(N, D)` from `b` `(M, D)`.

    0.5: it cannot; 1: it always can. Each fold is judged by a classifier that saw the others only.
    `groups` `(N)` and `(M)` are whole numbers; samples of one number, in either set, share a fold, so
    that neighbours in time do not give each other away. Raises UsageError when a fold would hold none
    of a set, MissingExtraError without the `bench` extra.
    """
    check_classifier()
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    fold = torch.cat(grouped_folds(*groups, folds=folds)).numpy()
    x = torch.cat((a, b)).numpy()
    y = torch.cat((torch.zeros(len(a)), torch.ones(len(b)))).numpy()
    found = []
    for held in range(folds):
        train, test = fold != held, fold == held
        model = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
        model.fit(x[train], y[train])
        found.append(float(roc_auc_score(y[test], model.predict_proba(x[test])[:, 1])))
    return torch.tensor(found)


def check_classifier() -> None:
    """Raise MissingExtraError without the `bench` extra: before a long run rather than in it."""
    try:
        import_module("sklearn.ensemble")
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "bench") from error


def grouped_folds(a: Tensor, b: Tensor, *, folds: int) -> tuple[Tensor, Tensor]:
    """Folds `(N)` and `(M)` of samples in groups `a` `(N)` and `b` `(M)`, none in two folds.

    Largest groups first, each into the fold with the least of the sets that it belongs to. Raises
    UsageError when a fold holds none of a set.
    """
    numbers, where = torch.unique(torch.cat((a, b)), return_inverse=True)
    sizes = torch.stack(
        [torch.bincount(w, minlength=len(numbers)) for w in where.split((len(a), len(b)))], 1
    ).double() / torch.tensor((len(a), len(b))).clamp(min=1)  # fmt: skip
    load = torch.zeros(folds, 2, dtype=torch.float64)
    of_group = torch.zeros(len(numbers), dtype=torch.long)
    for group in sizes.sum(1).argsort(descending=True, stable=True).tolist():
        fold = int((load @ sizes[group]).argmin())
        of_group[group] = fold
        load[fold] += sizes[group]
    if folds < 2 or bool((load == 0).any()):
        raise UsageError(
            f"{len(a)} and {len(b)} samples in {len(numbers)} groups given for {folds} folds; give at "
            "least 2 folds and as many groups of each set"
        )
    first, second = of_group[where].split((len(a), len(b)))
    return first, second
