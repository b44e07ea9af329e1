"""DSIN: its logit as the paper writes it, the division of histories into sessions, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ameir_pl.baselines import build_baseline
from ameir_pl.baselines.ctr.dsin import divide
from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import MLP, K, Reference, assert_equals, sigmoid, softmax
from tests.models.examples import ctr_schema, make_batch

OPTIONS = {"sessions": 2, "session_len": 2, "heads": 2}
"""Fewer than the histories have, so that behaviors and sessions are left out."""


def sessions_of(starts: list[bool], sessions: int, session_len: int) -> list[list[int]]:
    """Positions of the last behaviors of each of the last sessions of a row of ``len(starts)`` behaviors."""
    found: list[list[int]] = []
    for t, begins in enumerate(starts):
        if begins or t == 0:
            found.append([])
        found[-1].append(t)
    return [session[-session_len:] for session in found[-sessions:]]


def interest(r: Reference, k: int, session: list[np.ndarray], heads: int) -> np.ndarray:
    w = {name.removeprefix("interest."): value for name, value in r.weights.items()}
    d = len(session[0])
    q = [x + w["session"][k] + w["position"][t] + w["unit"] for t, x in enumerate(session)]
    parts = [r.linear("interest.query_key_value", x) for x in q]
    out = []
    for x, part in zip(q, parts, strict=True):
        mixed = []
        for head in range(heads):
            here = slice(head * d // heads, (head + 1) * d // heads)
            scores = [part[:d][here] @ other[d:2 * d][here] / np.sqrt(d) for other in parts]
            weights = softmax(np.array(scores))
            mixed.append(sum(a * other[2 * d:][here] for a, other in zip(weights, parts, strict=True)))
        y = norm(x + r.linear("interest.output", np.concatenate(mixed)), w, 0)
        out.append(norm(y + r.linear("interest.outer", np.maximum(r.linear("interest.inner", y), 0)), w, 1))
    return np.mean(out, axis=0)


def norm(x: np.ndarray, w: dict[str, np.ndarray], i: int) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w[f"norms.{i}.weight"] + w[f"norms.{i}.bias"]


def lstm(r: Reference, name: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """States, gates in torch.nn.LSTM's order i, f, g, o."""
    w_x, w_h, b_x, b_h = (r.weights[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = c = np.zeros(w_h.shape[1])
    states = []
    for x in inputs:
        i, f, g, o = np.split(w_x @ x + b_x + w_h @ h + b_h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return states


def activated(r: Reference, name: str, vectors: list[np.ndarray], target: np.ndarray) -> np.ndarray:
    weights = softmax(np.array([x @ r.weights[f"{name}.weight.weight"] @ target for x in vectors]))
    return sum(a * x for a, x in zip(weights, vectors, strict=True))


def dsin(r: Reference, b: int, sessions: int, session_len: int, heads: int) -> float:
    history = r.history(b)
    starts = r.batch.starts[b].tolist()[:len(history)] if history else [True]
    history = history or [r.weights["history.empty"]]
    division = sessions_of(starts, sessions, session_len)
    interests = [interest(r, k, [history[t] for t in session], heads) for k, session in enumerate(division)]
    states = [a + c for a, c in zip(lstm(r, "ahead", interests), lstm(r, "back", interests[::-1])[::-1], strict=True)]
    both = [activated(r, "of_interests", interests, r.target(b)), activated(r, "of_states", states, r.target(b))]
    return r.relu_mlp(np.concatenate([*both, *r.fields(b), r.dense(b)]))


@pytest.mark.parametrize(("schema", "options"), [
    (ctr_schema(), OPTIONS), (ctr_schema(), {"sessions": 5, "session_len": 10, "heads": 4}),
    (paper_schema("alimama"), OPTIONS)], ids=["fewer", "all", "alimama"])
def test_equals_its_formula(schema: Schema, options: dict[str, int]) -> None:
    assert_equals("dsin", schema, lambda r, b: dsin(r, b, **options), **options)


@pytest.mark.parametrize(("sessions", "session_len"), [(1, 1), (3, 2), (2, 4), (5, 10), (40, 40)])
def test_division_equals_a_loop(sessions: int, session_len: int) -> None:
    rng = np.random.default_rng(sessions)
    lengths = [1, 2, 12, *rng.integers(1, 13, 40)]
    for often in (0.0, 0.15, 0.5, 1.0):
        mask = torch.arange(12) < torch.tensor(lengths)[:, None]
        starts = torch.from_numpy(rng.random((len(lengths), 12)) < often)  # at padding and at first positions too
        places, there = divide(starts, mask, sessions, session_len)
        assert places.shape == there.shape == (len(lengths), min(sessions, 12), min(session_len, 12))
        for b, length in enumerate(lengths):
            expected = sessions_of(starts[b].tolist()[:length], sessions, session_len)
            assert [p[t].tolist() for p, t in zip(places[b], there[b], strict=True) if t.any()] == expected
            assert there[b].any(1).tolist() == [k < len(expected) for k in range(there.shape[1])]
            assert all(t.tolist() == sorted(t.tolist(), reverse=True) for t in there[b]), "behaviors come first"


def test_starts_divide_and_nothing_else_does() -> None:
    """Rows of one session and rows of many differ; what a start says of the first behavior does not matter."""
    schema = ctr_schema()
    torch.manual_seed(0)
    model = build_baseline("dsin", schema, embedding_size=K, mlp=MLP, dropout=0.0).eval()
    batch = make_batch(schema, (6,) * 4)
    out = model(batch)
    batch.starts[:, 0] = False
    assert torch.equal(model(batch), out)
    batch.starts[:, 1:] = False
    assert not torch.isclose(model(batch), out, rtol=1e-4).all()


@pytest.mark.parametrize(("options", "message"), [
    ({"sessions": 0}, "sessions=0; it must be at least 1"), ({"session_len": 0}, "session_len=0; it must be"),
    ({"heads": -1}, "heads=-1; it must be"),
    ({"heads": 5}, "heads=5 do not divide a behavior's width 12 .*model.options.heads=1, 2, 3, 4, 6, 12")])
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(AmeirError, match=f"model=dsin: {message}"):
        build_baseline("dsin", ctr_schema(), embedding_size=K, mlp=MLP, dropout=0.0, options=options)


def test_behaviors_without_times_are_refused() -> None:
    with pytest.raises(AmeirError, match="model=dsin divides histories into sessions, and example is a dataset of "
                                         "clicks with 5 fields, with behaviors without known times. Models .*: .*din"):
        build_baseline("dsin", replace(ctr_schema(), sessions=False), embedding_size=K, mlp=MLP, dropout=0.0)
