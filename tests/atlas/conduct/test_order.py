"""On one machine numbers are bit-identical whatever the worker count, the order, the batches or the interruptions; times apart."""

import pytest

from neuropil.atlas.conduct.loading import find
from neuropil.atlas.conduct.local import Local
from neuropil.atlas.conduct.run import run
from neuropil.atlas.conduct.store import Store

BATCHED = (
    ("@study.trial\ndef trial(arm, budget, seed):", "def one(arm, budget, seed):"),
    (
        '"column")}\n',
        '"column")}\n\n\n@study.trials(batch=2)\ndef trials(arm, budget, seeds):\n    return [one(arm, budget, seed) for seed in seeds]\n',
    ),
)


def by_seed(result: dict) -> dict:
    """Numbers and curves by arm and seed, whatever the order they were asked in."""
    return {
        (arm, seed): [record[kind][name][i] for kind in ("metrics", "curves") for name in sorted(record[kind])]
        for arm, record in result["arms"].items()
        for i, seed in enumerate(result["seeds"])
    }


@pytest.mark.parametrize("batched", [False, True], ids=["single", "batches"])
def test_the_order_and_the_number_of_workers_move_no_bit(bench, batched):
    expected = by_seed(bench.run(seeds=range(6)))
    if batched:
        bench.write(*BATCHED)
    orders = [([0, 1, 2, 3, 4, 5], ["boosted", "plain", "lesioned"]), ([5, 2, 4, 1, 0, 3], ["lesioned", "boosted", "plain"])]
    for jobs in (1, 2, 3):
        for turn, (seeds, arms) in enumerate(orders):
            bench.store = Store(bench.folder / f"cells {jobs} {turn}")
            assert by_seed(bench.run(seeds=seeds, arms=arms, on=Local(jobs))) == expected


@pytest.mark.slow
def test_a_real_study_gives_the_same_bits_from_one_worker_and_from_three(tmp_path):
    source = find("learned-delays-dcls")
    study = source.load()
    digests = dict.fromkeys(study.data.get("smoke", ()), "")

    def outcomes(name, seeds, arms, jobs):
        store = Store(tmp_path / name)
        result = run(source, study, "smoke", digests=digests, store=store, seeds=seeds, arms=arms, on=Local(jobs))
        for record in result["arms"].values():
            for metric in study.timed:
                record["metrics"].pop(metric, None)
        return by_seed(result)

    arms = list(study.arms)[:4]
    assert outcomes("one", [0, 1], arms, 1) == outcomes("three", [1, 0], arms[::-1], 3)
