"""Makes training.json: steps of the optimisers by PyTorch 1.13 in float64, and learning rates by the published formulas.

Run in this folder, with torch installed: python3 make-training-golden.py
"""

import inspect
import json
import math

import numpy as np
import torch
from torch.optim import nadam as torch_nadam

rng = np.random.default_rng(3)
START = rng.standard_normal(5)
# The second has an entry of zero, the last two are small enough for epsilon to matter.
GRADIENTS = rng.standard_normal((8, 5))
GRADIENTS[1, 2] = 0
GRADIENTS[6:] *= 1e-7
RATES = [0.02, 0.05, 0.05, 0.01, 0.03, 0.002, 0.05, 0.01]


def by_torch(make, before_step=None):
    weight = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make([weight])
    for t, (gradient, rate) in enumerate(zip(GRADIENTS, RATES), start=1):
        optimizer.param_groups[0]["lr"] = rate
        if before_step is not None:
            before_step(optimizer.param_groups[0], t)
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    return weight.detach().numpy().tolist()


def keras_epsilon(group, t):
    """Keras adds epsilon to the root before its correction, PyTorch after."""
    group["eps"] = 1e-7 / math.sqrt(1 - group["betas"][1] ** t)


def keras_nadam(schedule_decay, weight_decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """keras.optimizers.Nadam.get_updates of Keras 2.2, line by line; weight decay is not part of it."""
    p, m, v, m_schedule = START.copy(), np.zeros(5), np.zeros(5), 1.0
    for t, (gradient, rate) in enumerate(zip(GRADIENTS, RATES), start=1):
        g = gradient + weight_decay * p
        momentum_cache_t = beta_1 * (1.0 - 0.5 * (0.96 ** (t * schedule_decay)))
        momentum_cache_t_1 = beta_1 * (1.0 - 0.5 * (0.96 ** ((t + 1) * schedule_decay)))
        m_schedule_new = m_schedule * momentum_cache_t
        m_schedule_next = m_schedule * momentum_cache_t * momentum_cache_t_1
        m_schedule = m_schedule_new
        g_prime = g / (1.0 - m_schedule_new)
        m = beta_1 * m + (1.0 - beta_1) * g
        m_t_prime = m / (1.0 - m_schedule_next)
        v = beta_2 * v + (1.0 - beta_2) * np.square(g)
        v_t_prime = v / (1.0 - beta_2**t)
        m_t_bar = (1.0 - momentum_cache_t) * g_prime + momentum_cache_t_1 * m_t_prime
        p = p - rate * m_t_bar / (np.sqrt(v_t_prime) + epsilon)
    return p.tolist()


# PyTorch 1.13 counts the momentum of the step twice in the product up to the next step; without that it is Keras's.
source = inspect.getsource(torch_nadam._single_tensor_nadam)
fixed = source.replace("mu_product * mu * mu_next", "mu_product * mu_next")
assert fixed != source
exec(fixed, vars(torch_nadam))
FixedNadam = torch.optim.NAdam


def optimizer(recipe, end):
    return {"recipe": recipe, "end": end}


optimizers = []
for decay in [0, 0.3]:
    adam = by_torch(lambda w: torch.optim.Adam(w, weight_decay=decay), keras_epsilon)
    optimizers.append(optimizer({"type": "adam", "weightDecay": decay}, adam))
    nadam = keras_nadam(4e-3, decay)
    by_pytorch = by_torch(lambda w: FixedNadam(w, weight_decay=decay, momentum_decay=4e-3, eps=1e-7))
    # PyTorch holds the product of the momenta in float32.
    assert np.allclose(nadam, by_pytorch, rtol=1e-5, atol=0), "Keras's and PyTorch's Nadam differ"
    optimizers.append(optimizer({"type": "nadam", "weightDecay": decay}, nadam))
    for momentum, nesterov in [(0, False), (0.9, False), (0.9, True)]:
        sgd = by_torch(lambda w: torch.optim.SGD(w, lr=1, momentum=momentum, nesterov=nesterov, weight_decay=decay))
        recipe = {"type": "sgd", "momentum": momentum, "nesterov": nesterov, "weightDecay": decay}
        optimizers.append(optimizer(recipe, sgd))
optimizers.append(optimizer({"type": "nadam", "scheduleDecay": 0.5}, keras_nadam(0.5, 0)))


def build_lr(total_steps, lr_init=0.0, lr_end=0.0, lr_max=0.1, warmup_steps=0, decay_type="cosine"):
    """The function of that name in MindSpore's model scripts and in those that were made from them."""
    decay_steps = total_steps - warmup_steps
    rates = []
    inc_per_step = (lr_max - lr_init) / warmup_steps if warmup_steps else 0
    for i in range(total_steps):
        if i < warmup_steps:
            lr = lr_init + inc_per_step * (i + 1)
        elif decay_type == "cosine":
            lr = (lr_max - lr_end) * (0.5 * (1 + math.cos(math.pi * (i - warmup_steps) / decay_steps))) + lr_end
        elif decay_type == "square":
            frac = 1.0 - float(i - warmup_steps) / decay_steps
            lr = (lr_max - lr_end) * (frac * frac) + lr_end
        else:
            lr = lr_max
        rates.append(lr)
    return rates


schedules = []
for kind in ["constant", "cosine", "square"]:
    for warmup_epochs, minimum in [(0, 0.0), (2, 0.001)]:
        minimum = None if kind == "constant" else minimum
        rates = build_lr(6 * 4, 0.0, minimum or 0.0, 0.03, warmup_epochs * 4, kind)
        recipe = {"type": kind, "warmupEpochs": warmup_epochs}
        recipe.update({} if minimum is None else {"minimum": minimum})
        schedules.append({"recipe": recipe, "rates": rates})

with open("training.json", "w") as file:
    golden = {
        "optimizers": {
            "start": START.tolist(),
            "gradients": GRADIENTS.tolist(),
            "rates": RATES,
            "cases": optimizers,
        },
        "schedules": {"learningRate": 0.03, "epochs": 6, "stepsPerEpoch": 4, "cases": schedules},
    }
    json.dump(golden, file, indent=1)
    file.write("\n")
