"""The operations again, in NumPy, written out position by position: nothing here is shared with the package."""

from __future__ import annotations

import math

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def parameters(module):
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def convolution(p, x, mask, target, kernel, dilation):
    rows, length, width = x.shape
    out = np.zeros_like(x)
    for b in range(rows):
        for t in range(length):
            for d in range(width):
                total = p["bias"][d]
                for j in range(kernel):
                    seen = t + (j - (kernel - 1) // 2) * dilation
                    if 0 <= seen < length and mask[b, seen]:
                        for c in range(width):
                            total += p["weight"][d, j * width + c] * x[b, seen, c]
                out[b, t, d] = total
    return out


def pool(p, x, mask, target, reduce):
    rows, length, width = x.shape
    out = np.zeros_like(x)
    for b in range(rows):
        for t in range(length):
            for d in range(width):
                seen = [x[b, s, d] for s in (t - 1, t, t + 1) if 0 <= s < length and mask[b, s]]
                out[b, t, d] = reduce(seen) if seen else 0.0
    return out


def gru(p, prefix, sequence):
    """One GRU over a list of vectors, gates written out (torch.nn.GRU's parameter layout: reset, update, new)."""
    w_ih, w_hh = p[prefix + ".weight_ih_l0"], p[prefix + ".weight_hh_l0"]
    b_ih, b_hh = p[prefix + ".bias_ih_l0"], p[prefix + ".bias_hh_l0"]
    hidden = w_hh.shape[1]
    state = np.zeros(hidden)
    states = []
    for x in sequence:
        new_state = np.zeros(hidden)
        for k in range(hidden):
            r, z, n = k, hidden + k, 2 * hidden + k
            reset = sigmoid(w_ih[r] @ x + b_ih[r] + w_hh[r] @ state + b_hh[r])
            update = sigmoid(w_ih[z] @ x + b_ih[z] + w_hh[z] @ state + b_hh[z])
            new = math.tanh(w_ih[n] @ x + b_ih[n] + reset * (w_hh[n] @ state + b_hh[n]))
            new_state[k] = (1 - update) * new + update * state[k]
        state = new_state
        states.append(state)
    return states


def bigru(p, x, mask, target):
    out = np.zeros_like(x)
    for b in range(x.shape[0]):
        valid = [x[b, t] for t in range(x.shape[1]) if mask[b, t]]
        ahead = gru(p, "forward_gru", valid)
        back = gru(p, "backward_gru", valid[::-1])[::-1]
        for t in range(len(valid)):
            out[b, t] = np.concatenate([ahead[t], back[t]])
    return out


def self_attention(p, x, mask, target, heads):
    rows, length, width = x.shape
    size = width // heads
    w, bias = p["query_key_value.weight"], p["query_key_value.bias"]
    out = np.zeros_like(x)
    for b in range(rows):
        q = x[b] @ w[:width].T + bias[:width]
        k = x[b] @ w[width:2 * width].T + bias[width:2 * width]
        v = x[b] @ w[2 * width:].T + bias[2 * width:]
        for t in range(length):
            mixed = np.zeros(width)
            for head in range(heads):
                own = slice(head * size, (head + 1) * size)
                exps = {s: math.exp(q[t, own] @ k[s, own] / math.sqrt(size)) for s in range(length) if mask[b, s]}
                for s, e in exps.items():
                    mixed[own] += e / sum(exps.values()) * v[s, own]
            out[b, t] = p["output.weight"] @ mixed + p["output.bias"]
    return out


def local_activation(p, h, mask, target, prefix=""):
    rows, length, _ = h.shape
    weights = np.zeros((rows, length))
    for b in range(rows):
        for t in range(length):
            if not mask[b, t]:
                continue
            pair = np.concatenate([h[b, t], target[b], h[b, t] - target[b], h[b, t] * target[b]])
            z = p[prefix + "hidden.weight"] @ pair + p[prefix + "hidden.bias"]
            z = np.where(z > 0, z, p[prefix + "activation.weight"][0] * z)
            weights[b, t] = p[prefix + "output.weight"][0] @ z + p[prefix + "output.bias"][0]
    return weights


def target_attention(p, x, mask, target):
    weights = local_activation(p, x, mask, target, "attention.")
    out = np.zeros_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[b, t] = weights[b, t] * x[b, t]
    return out


OPERATIONS = {
    "conv1": lambda *a: convolution(*a, kernel=1, dilation=1),
    "conv3": lambda *a: convolution(*a, kernel=3, dilation=1),
    "dconv3": lambda *a: convolution(*a, kernel=3, dilation=2),
    "dconv5": lambda *a: convolution(*a, kernel=5, dilation=2),
    "dconv7": lambda *a: convolution(*a, kernel=7, dilation=2),
    "avg_pool3": lambda *a: pool(*a, reduce=lambda seen: sum(seen) / len(seen)),
    "max_pool3": lambda *a: pool(*a, reduce=max),
    "bigru": bigru,
    "self_attention2": lambda *a: self_attention(*a, heads=2),
    "self_attention4": lambda *a: self_attention(*a, heads=4),
    "target_attention": target_attention,
    "zero": lambda p, x, mask, target: np.zeros_like(x),
}
"""The paper's operations, in its order."""


def activation(name, x):
    erf = np.vectorize(math.erf)
    return {"relu": lambda: np.maximum(x, 0), "gelu": lambda: x * 0.5 * (1 + erf(x / math.sqrt(2))),
            "swish": lambda: x * sigmoid(x), "identity": lambda: x}[name]()


def layer_norm(p, prefix, x):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * p[prefix + ".weight"] + p[prefix + ".bias"]


def dice(x, alpha, mean, variance, epsilon=1e-8):
    p = sigmoid((x - mean) / np.sqrt(variance + epsilon))
    return p * x + (1 - p) * alpha * x
