# SPDX-License-Identifier: MIT
"""What the measurements share: where the build is, the best of several runs, a row of the table."""
import os
import pathlib
import time

BUILD = pathlib.Path(os.environ.get("BENCH_BUILD",
                                    pathlib.Path(__file__).resolve().parent.parent / "build"))
EXTENSION = os.environ.get("RUSTYBT_SO", str(BUILD / "rustybt.so"))


def best_time(work, repeat=1, best_of=5):
    """Seconds of processor time that `repeat` calls of work take, in the best of several turns."""
    times = []
    for _ in range(best_of):
        start = time.process_time()
        for _ in range(repeat):
            work()
        times.append(time.process_time() - start)
    return min(times)


def header(text):
    print(text)
    print(f"{'':<34} {'ours':>10} {'baseline':>10} {'ratio':>7}", flush=True)


def row(name, baseline, ours, theirs):
    """ours and theirs in the unit that the header names."""
    print(f"{name:<34} {ours:>10.2f} {theirs:>10.2f} {ours / theirs:>7.3f}   {baseline}", flush=True)


def note(name, text):
    print(f"{name:<34} {text}", flush=True)
