"""
Writes outer-step.json: weights and momentum after rounds of DiLoCo's outer optimiser (Douillard et al. 2023, arXiv 2311.08105), which
is PyTorch's SGD with Nesterov momentum on the checkpoint less the mean of the replicas, in float64. The replicas of each round are
small, fixed moves away from the checkpoint.
"""
import json
import os

import torch

rounds, replicas, size = 4, 3, 6
learning_rate, momentum = 0.7, 0.9
start = torch.linspace(-1, 1, size, dtype=torch.float64)
weight = torch.nn.Parameter(start.clone())
optimizer = torch.optim.SGD([weight], lr=learning_rate, momentum=momentum, nesterov=True)
# By round, replica and weight: eighths, which float32 holds exactly.
moves = [
    [[((7 * r + 3 * i + j) % 9 - 4) / 8 for j in range(size)] for i in range(replicas)] for r in range(rounds)
]
after = []
for of_round in moves:
    mean = sum(weight.detach() + torch.tensor(move, dtype=torch.float64) for move in of_round) / replicas
    weight.grad = weight.detach() - mean
    optimizer.step()
    buffer = optimizer.state[weight]["momentum_buffer"]
    after.append({"weights": weight.detach().tolist(), "momentum": buffer.tolist()})
golden = {
    "torch": torch.__version__,
    "learningRate": learning_rate,
    "momentum": momentum,
    "start": start.tolist(),
    "moves": moves,
    "after": after,
}
with open(os.path.join(os.path.dirname(__file__), "outer-step.json"), "w") as file:
    json.dump(golden, file, separators=(",", ":"))
    file.write("\n")
