"""What a fit needs to go on after a kill: weights, momentum and position, in one safetensors file.

The order of the data, the augmentation and the learning rate follow from seed, epoch and step, so
no random state has to be kept.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lowtide.artifacts import atomic
from lowtide.training.recipe import Precision


@dataclass
class Progress:
    """Where a fit stands: `step` batches of epoch `epoch` are done."""

    run_id: str
    fingerprint: str  # of everything the fit depends on; another one's checkpoint is not used
    precision: Precision
    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(
    path: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        if state.get("momentum_buffer") is not None:
            tensors[f"momentum.{index}"] = state["momentum_buffer"]
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        save_file(contiguous, temporary, metadata={"progress": json.dumps(asdict(progress))})


def peek_checkpoint(path: Path, fingerprint: str) -> Progress | None:
    """The progress of a usable checkpoint of the same work, or None."""
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads((file.metadata() or {})["progress"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return progress if progress.fingerprint == fingerprint else None


def restore_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load weights and momentum from a checkpoint that `peek_checkpoint` accepted."""
    weights: dict[str, Tensor] = {}
    momentum: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 -- safe_open is no mapping
            kind, _, key = name.partition(".")
            (weights if kind == "model" else momentum)[key] = file.get_tensor(name)
    model.load_state_dict(weights)
    state = optimizer.state_dict()
    state["state"] = {int(key): {"momentum_buffer": buffer} for key, buffer in momentum.items()}
    optimizer.load_state_dict(state)
