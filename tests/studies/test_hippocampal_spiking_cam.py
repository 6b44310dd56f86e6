import numpy as np
import pytest
import torch

from neuropil.atlas import Seed, Settings, Table
from neuropil.memory import SpikingCAM
from neuropil.studies.memory import hippocampal_spiking_cam as cam
from neuropil.studies.memory.hippocampal_spiking_cam import BY_CUE, BY_FRAGMENT, WRITE, study

SMALL = Settings("small", {**study.budgets["smoke"], "cues": 4, "cells": 12, "operations": 40, "probes": 8})


def arm(name, **changed):
    return Settings(name, {**study.arms[name], **changed})


def as_sets(what):
    """What is right after every operation, followed in plain Python."""
    held, right = {}, []
    for kind, cue, cells in zip(what.kind.tolist(), what.cue.tolist(), what.cells, strict=True):
        on = set(np.flatnonzero(cells).tolist())
        if kind == WRITE:
            held[cue] = on
            right.append(set())
        elif kind == BY_CUE:
            right.append(held[cue])
        else:
            assert on
            assert on <= held[cue]
            right.append({k for k, content in held.items() if content & on})
    return right


def test_right_answers_are_the_content_or_every_cue_that_meets_the_fragment():
    what = cam.mixed(arm("spiking"), SMALL, Seed(1000))
    right = as_sets(what)
    for kind, answer, expected in zip(what.kind, what.answer, right, strict=True):
        found = answer[4:] if kind == BY_CUE else answer[:4]
        assert set(np.flatnonzero(found).tolist()) == expected
        assert answer.sum() == len(expected)
    kinds = what.kind[:40].tolist()
    assert kinds[:4] == [WRITE] * 4
    assert [kinds[4:].count(kind) for kind in (WRITE, BY_CUE, BY_FRAGMENT)] == [12, 12, 12]
    assert sorted(what.kind[40:].tolist()) == [BY_CUE] * 8 + [BY_FRAGMENT] * 8
    assert sorted(what.cue[40:].tolist()) == sorted([0, 1, 2, 3] * 4)


def test_f1_precision_and_recall_in_plain_python_and_no_answer_scores_nothing():
    what = cam.mixed(arm("spiking"), SMALL, Seed(1001))
    answers = np.random.default_rng(0).random(what.answer.shape) < 0.3
    answers[7] = False
    for o, (kind, right) in enumerate(zip(what.kind, as_sets(what), strict=True)):
        given = set(np.flatnonzero(answers[o][4:] if kind == BY_CUE else answers[o][:4]).tolist()) if kind != WRITE else set()
        hits = len(given & right)
        f1, precision, recall = (score[o] for score in cam.scores(what, answers))
        assert f1 == pytest.approx(2 * hits / max(len(given) + len(right), 1))
        assert precision == pytest.approx(hits / max(len(given), 1))
        assert recall == pytest.approx(hits / max(len(right), 1))
    assert (cam.scores(what, what.answer)[0][what.kind != WRITE] == 1).all()


def test_noise_moves_each_spike_by_a_millisecond_at_most_and_larger_losses_lose_the_same_ones_first():
    what = cam.mixed(arm("spiking"), SMALL, Seed(1002))
    noise = [(0.0, False), (0.05, False), (0.3, False), (0.0, True), (0.3, True)]
    x = cam.trains(what, noise, np.random.default_rng(1))
    clean, light, heavy, jittered = (x[:, :, c] for c in range(4))
    times = {WRITE: [1, 2, 3], BY_CUE: [1], BY_FRAGMENT: [1]}
    for o, kind in enumerate(what.kind.tolist()):
        active = np.concatenate((np.eye(4)[what.cue[o]] * (kind != BY_FRAGMENT), what.cells[o])) > 0
        expected = np.zeros((cam.SLOT, 16))
        expected[np.ix_(times[kind], active)] = 1
        assert (clean[o] == expected).all()
        reach = np.array([clean[o][max(t - 1, 0) : t + 2].max(axis=0) for t in range(cam.SLOT)])
        assert (jittered[o] <= reach).all()
    assert (heavy <= light).all()
    assert (light <= clean).all()
    assert 0.03 < 1 - light.sum() / clean.sum() < 0.07
    assert 0.25 < 1 - heavy.sum() / clean.sum() < 0.35
    assert (jittered != clean).any()


def test_the_matrix_in_plain_python_on_the_same_spikes():
    what = cam.mixed(arm("willshaw"), SMALL, Seed(1003))
    noise = cam.conditions(arm("cut"), SMALL)
    x = cam.trains(what, noise, Seed(1003).numpy("noise"))
    record = cam.drive(arm("willshaw"), [what], [x], SMALL.operations)
    for c in range(3):
        held = {}
        for o, kind in enumerate(what.kind.tolist()):
            seen = x[o, :, c].max(axis=0)
            cues, cells = set(np.flatnonzero(seen[:4]).tolist()), set(np.flatnonzero(seen[4:]).tolist())
            if kind == WRITE:
                held |= dict.fromkeys(cues, cells)
            elif kind == BY_CUE:
                expected = set().union(*(held.get(cue, set()) for cue in cues))
                assert set(np.flatnonzero(record.answers[o, 0, c, 4:]).tolist()) == expected
            else:
                expected = {cue for cue, content in held.items() if content & cells}
                assert set(np.flatnonzero(record.answers[o, 0, c, :4]).tolist()) == expected
        links = np.array([[float(j in held.get(k, set())) for j in range(12)] for k in range(4)])
        assert (record.links[-1, 0, c] == links).all()


def test_all_that_the_matrix_misses_is_what_did_not_arrive():
    """Its answers are the right ones to the part of the question that came: nothing that holds what was written can answer better."""
    what = cam.mixed(arm("willshaw"), SMALL, Seed(1010))
    x = cam.trains(what, [(0.1, True), (0.1, False), (0.0, False)], Seed(1010).numpy("noise"))
    record = cam.drive(arm("willshaw"), [what], [x], SMALL.operations)
    arrived = x.max(axis=1)[:, :, :4], x.max(axis=1)[:, :, 4:]
    missed = 0
    for o, kind in enumerate(what.kind.tolist()):
        for c in range(3):
            if kind == BY_CUE:
                best = what.held[o][what.cue[o]] & bool(arrived[0][o, c, what.cue[o]])
                assert (record.answers[o, 0, c, 4:] == best).all()
                missed += (best != what.answer[o, 4:]).any()
            elif kind == BY_FRAGMENT:
                best = (what.held[o] & (arrived[1][o, c] > 0)).any(axis=1)
                assert (record.answers[o, 0, c, :4] == best).all()
                missed += (best != what.answer[o, :4]).any()
    assert missed > 0


def test_answering_blindly_scores_what_the_sizes_of_the_right_answers_give():
    (found,) = study.compute(arm("blind"), SMALL, [Seed(1011)])
    what = cam.mixed(arm("blind"), SMALL, Seed(1011))
    right = as_sets(what)[SMALL.operations :]
    kinds = what.kind[SMALL.operations :]
    by_cue = np.mean([2 * len(r) / (12 + len(r)) for r, kind in zip(right, kinds, strict=True) if kind == BY_CUE])
    by_fragment = np.mean([2 * len(r) / (4 + len(r)) for r, kind in zip(right, kinds, strict=True) if kind == BY_FRAGMENT])
    assert found["f1_cue"] == pytest.approx(by_cue)
    assert found["f1_fragment"] == found["f1_all_cues"] == pytest.approx(by_fragment)
    assert found["f1"] == found["f1_quiet"] == pytest.approx((by_cue + by_fragment) / 2)


def test_the_spiking_memory_is_driven_as_one_sequence_and_read_in_its_window():
    what = cam.mixed(arm("spiking"), SMALL, Seed(1004))
    x = cam.trains(what, cam.conditions(arm("cut"), SMALL), Seed(1004).numpy("noise"))
    for window in (1, 3):
        record = cam.drive(arm("spiking", readout=window), [what], [x], SMALL.operations)
        y, s = SpikingCAM(4, 12)(torch.from_numpy(x).flatten(0, 1))
        y = y.unflatten(0, (-1, cam.SLOT))[:, 4 : 4 + window].amax(dim=1) > 0
        assert (record.answers[:, 0] == y.numpy()).all()
    assert (record.links[-1, 0, :, 0] == (s.content_w.mT >= 3.2925).numpy()).all()
    assert (record.links[-1, 0, :, 1] == (s.cue_w >= 3.3583).numpy()).all()


def test_freezing_and_cutting_do_what_they_say():
    what = cam.mixed(arm("spiking"), SMALL, Seed(1005))
    x = cam.trains(what, cam.conditions(arm("cut"), SMALL), Seed(1005).numpy("noise"))
    intact, cut, frozen = (cam.drive(arm(name), [what], [x], SMALL.operations) for name in ("spiking", "cut", "frozen_recall"))
    t = SMALL.operations
    assert (cut.answers[:t] == intact.answers[:t]).all()
    assert (cut.links[:t] == intact.links[:t]).all()
    asked = what.kind[t:] == BY_FRAGMENT
    assert not cut.answers[t:, :, :, :4][asked].any()
    assert intact.answers[t:, :, :, :4][asked].any()
    assert (cut.answers[t:, :, :, 4:][~asked] == intact.answers[t:, :, :, 4:][~asked]).all()
    recalls = np.flatnonzero(what.kind[1:] != WRITE) + 1
    assert (frozen.links[recalls] == frozen.links[recalls - 1]).all()
    assert (intact.links[recalls] != intact.links[recalls - 1]).any()


def test_links_are_counted_as_by_hand():
    kinds, contents = [WRITE, WRITE, BY_CUE], np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    what = cam.session(kinds, [0, 0, 0], contents, [0, 0, 0], np.random.default_rng(0))
    links = np.zeros((3, 2, 1, 4), dtype=bool)
    links[0, :, 0] = [1, 1, 0, 0]
    links[1, 0, 0], links[1, 1, 0] = [0, 1, 1, 0], [1, 1, 0, 0]
    links[2, 0, 0], links[2, 1, 0] = [0, 1, 1, 1], [0, 1, 1, 0]
    found = cam.of_links(what, links, 3)
    assert found == {"stored": (1 + 3 / 4) / 2, "overwritten": 1.0, "false_links": 1 / 4, "lost_links": 0.0, "damage": 1.0 - 2.0}


def test_arms_see_the_same_spikes_and_the_seed_decides_everything():
    seeds = [Seed(1006), Seed(1007)]
    smoke = Settings("smoke", study.budgets["smoke"])
    one = study.compute(arm("spiking"), smoke, seeds)
    again = study.compute(arm("spiking"), smoke, seeds[1:])
    other = study.compute(arm("willshaw"), smoke, seeds)
    assert one[1] == again[0]
    for a, b in zip(one, other, strict=True):
        assert all(a[name] == b[name] for name in ("samples", "steps", "parameters", "f1_all_cues"))
    assert one[0]["samples"] != one[1]["samples"]


def test_without_noise_and_overlap_both_are_perfect_and_off_recalls_nothing():
    smoke = Settings("smoke", study.budgets["smoke"])
    for name, expected in (("spiking", 1.0), ("willshaw", 1.0), ("off", 0.0), ("unwritten", 0.0)):
        (found,) = study.compute(arm(name), smoke, [Seed(1008)])
        assert found["f1_disjoint"] == expected
        assert found["stored_quiet"] == expected
    off, unwritten = (study.compute(arm(name), smoke, [Seed(1008)])[0] for name in ("off", "unwritten"))
    assert {n: v for n, v in off.items() if isinstance(v, float)} == {n: v for n, v in unwritten.items() if isinstance(v, float)}


def test_figures_draw_from_stored_results():
    smoke = Settings("smoke", study.budgets["smoke"])
    table = Table([1009], {name: study.compute(arm(name), smoke, [Seed(1009)]) for name in ("spiking", "willshaw", "willshaw_digits")})
    for _, draw in study.figures.values():
        draw(table)
    held = np.asarray(table.matrix("willshaw_digits", "held").values)
    assert held.shape == (3, 64)
