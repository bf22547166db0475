"""Which variables cause which, from observations alone: the PC algorithm (Spirtes & Glymour 1991) with Fisher's z.

The order-independent form of Colombo & Maathuis 2014, and Meek's rules (1995). Hidden common causes are not looked for.
"""

from itertools import combinations

import numpy as np
from scipy.stats import norm


def causes(values, alpha, conditions):
    """Directed edges `[R, R]` bool among R variables, `[i, j]`: i causes j; from `values [n, R]`.

    Two variables are independent, given up to `conditions` others, where Fisher's z test at level `alpha` does not
    reject it. An edge whose direction the data leave open is none.
    """
    n, size = values.shape
    varied = values.std(axis=0) > 0
    correlation = np.eye(size)
    if varied.sum() > 1 and n > conditions + 4:
        correlation[np.ix_(varied, varied)] = np.corrcoef(values[:, varied].T)
    return _directed(*_skeleton(correlation, n, norm.isf(alpha / 2), conditions))


def _independent(correlation, n, i, j, given, limit):
    """Whether the partial correlation of i and j given others is below the z test's limit."""
    part = correlation[np.ix_([i, j, *given], [i, j, *given])]
    precision = np.linalg.pinv(part)
    scale = np.sqrt(precision[0, 0] * precision[1, 1])
    r = np.clip(-precision[0, 1] / scale if scale > 0 else 0.0, -1 + 1e-12, 1 - 1e-12)
    return abs(np.arctanh(r)) * np.sqrt(max(n - len(given) - 3, 0)) <= limit


def _skeleton(correlation, n, limit, conditions):
    """`(adjacent [R, R] bool, {(i, j): variables that part them})`."""
    size = len(correlation)
    adjacent, parted = ~np.eye(size, dtype=bool), {}
    for count in range(conditions + 1):
        before = adjacent.copy()  # edges found absent at this count do not change the other tests of it
        for i, j in combinations(range(size), 2):
            if not adjacent[i, j]:
                continue
            near = [set(np.flatnonzero(before[a])) - {i, j} for a in (i, j)]
            sets = dict.fromkeys(given for among in near for given in combinations(sorted(among), count))
            given = next((g for g in sets if _independent(correlation, n, i, j, g, limit)), None)
            if given is not None:
                adjacent[i, j] = adjacent[j, i] = False
                parted[i, j] = parted[j, i] = set(given)
    return adjacent, parted


def _directed(adjacent, parted):
    """Edges `[R, R]` bool whose direction follows: colliders first, then Meek's rules until nothing changes."""
    size, arrow = len(adjacent), np.zeros_like(adjacent)

    def point(i, j):
        if not arrow[j, i] and not arrow[i, j]:
            arrow[i, j] = True
            return True
        return False

    for k in range(size):
        for i, j in combinations(np.flatnonzero(adjacent[k]), 2):
            if not adjacent[i, j] and k not in parted[i, j]:
                point(i, k), point(j, k)
    changed = True
    while changed:
        changed = False
        for i, j in np.argwhere(adjacent & ~arrow & ~arrow.T):
            into_i, into_j = arrow[:, i], arrow[:, j]
            open_i = adjacent[i] & ~arrow[i] & ~into_i
            away = (into_i & ~adjacent[j]).any()  # or j would be a collider
            around = (arrow[i] & into_j).any()  # or there would be a cycle
            both = [k for k in np.flatnonzero(open_i & into_j)]
            twice = any(not adjacent[k, m] for k, m in combinations(both, 2))
            if away or around or twice:
                changed |= point(i, j)
    return arrow
