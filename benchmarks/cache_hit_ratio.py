"""Simulates the cache's eviction beside LRU, FIFO and S3-FIFO, and compares hit ratios on Zipf and scanning traces.

    python benchmarks/cache_hit_ratio.py -n 400000 --keys 20000 --seed 1

`ours` is store order with a second chance, evicting in batches down to a lower mark, as `edgeqa.cache.store` does.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import random
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARES = (0.01, 0.10, 0.50)
SKEWS = (0.7, 0.9, 1.1)


def zipf(keys: int, skew: float, length: int, chance: random.Random) -> list[int]:
    """Returns a trace in which the k-th most popular key comes with a weight of k ** -skew."""
    totals = list(itertools.accumulate((rank + 1) ** -skew for rank in range(keys)))
    names = list(range(keys))
    chance.shuffle(names)
    return [names[bisect.bisect_left(totals, chance.random() * totals[-1])] for _ in range(length)]


def polluted(trace: Sequence[int], keys: int) -> list[int]:
    """Returns the trace with scans in it: after each 5 % of it, a run over new keys, a tenth of the keys long."""
    step, mixed, fresh = len(trace) // 20, list[int](), itertools.count(keys)
    for at in range(0, len(trace), step):
        mixed += trace[at : at + step]
        mixed += itertools.islice(fresh, keys // 10)
    return mixed


def hits_of_ours(trace: Sequence[int], capacity: int) -> int:
    """Returns the hits of store order with a second chance, in batches."""
    order: OrderedDict[int, None] = OrderedDict()
    hot: set[int] = set()
    hits, low, evicting = 0, capacity - max(1, capacity // 64), False
    for name in trace:
        if name in order:
            hits += 1
            hot.add(name)
            continue
        order[name] = None
        while len(order) > (low if evicting else capacity):
            evicting = True
            oldest, _ = order.popitem(last=False)
            if oldest in hot:
                hot.discard(oldest)
                order[oldest] = None
        evicting = False
    return hits


def hits_of_lru(trace: Sequence[int], capacity: int) -> int:
    """Returns the hits of least recently used."""
    order: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for name in trace:
        if name in order:
            hits += 1
            order.move_to_end(name)
            continue
        if len(order) >= capacity:
            order.popitem(last=False)
        order[name] = None
    return hits


def hits_of_fifo(trace: Sequence[int], capacity: int) -> int:
    """Returns the hits of first in, first out."""
    order: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for name in trace:
        if name in order:
            hits += 1
            continue
        if len(order) >= capacity:
            order.popitem(last=False)
        order[name] = None
    return hits


def hits_of_s3_fifo(trace: Sequence[int], capacity: int) -> int:
    """Returns the hits of S3-FIFO: a small queue of a tenth, a main queue, and a ghost queue as long."""
    small_size = max(1, capacity // 10)
    small, main = deque[int](), deque[int]()
    ghost: OrderedDict[int, None] = OrderedDict()
    uses: dict[int, int] = {}
    hits = 0
    for name in trace:
        if name in uses:
            hits += 1
            uses[name] = min(3, uses[name] + 1)
            continue
        while len(uses) >= capacity:
            if len(small) >= small_size or not main:
                oldest = small.popleft()
                if uses[oldest] > 0:
                    uses[oldest] = 0
                    main.append(oldest)
                else:
                    del uses[oldest]
                    ghost[oldest] = None
                    if len(ghost) > capacity - small_size:
                        ghost.popitem(last=False)
            else:
                oldest = main.popleft()
                if uses[oldest] > 0:
                    uses[oldest] -= 1
                    main.append(oldest)
                else:
                    del uses[oldest]
        uses[name] = 0
        if name in ghost:
            del ghost[name]
            main.append(name)
        else:
            small.append(name)
    return hits


POLICIES: dict[str, Callable[[Sequence[int], int], int]] = {
    "ours": hits_of_ours,
    "LRU": hits_of_lru,
    "FIFO": hits_of_fifo,
    "S3-FIFO": hits_of_s3_fifo,
}


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=400_000, help="requests in a trace")
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    print(f"{'trace':<20}{'cache':>7}" + "".join(f"{name:>9}" for name in POLICIES) + f"{'ours - LRU':>12}")
    worst = 100.0
    for skew in SKEWS:
        plain = zipf(options.keys, skew, options.n, chance)
        for label, trace in ((f"Zipf {skew}", plain), (f"Zipf {skew} + scans", polluted(plain, options.keys))):
            for share in SHARES:
                capacity = int(options.keys * share)
                ratios = {name: 100 * count(trace, capacity) / len(trace) for name, count in POLICIES.items()}
                gain = ratios["ours"] - ratios["LRU"]
                worst = min(worst, gain)
                figures = "".join(f"{ratio:>8.1f}%" for ratio in ratios.values())
                print(f"{label:<20}{share:>7.0%}{figures}{gain:>+11.1f}")
    print(f"worst against LRU: {worst:+.2f} points")


if __name__ == "__main__":
    main()
