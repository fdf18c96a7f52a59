"""What a fit needs to go on after a kill: weights, momentum and position, in one safetensors file.

The order of the data, the augmentation, the gates' noise and the learning rate follow from seed,
epoch and step, so no random state has to be kept. The last one of an epoch's start is kept beside a
newer one, however many there are within the epoch.
"""

import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lowtide.artifacts import atomic
from lowtide.controller.knobs import Knobs
from lowtide.errors import ArtifactError
from lowtide.models.weights import resize

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Where a fit stands: `step` batches of pass `epoch` over the data are done.

    `position` is where that pass began, in epochs of the base batch.
    """

    run_id: str
    fingerprint: str  # of everything the fit depends on; another one's checkpoint is not used
    knobs: Knobs
    epoch: int = 0
    step: int = 0
    position: float = 0.0
    loss_sum: float = 0.0  # of the steps of that pass
    decided: int = 0  # epochs whose knobs are chosen
    restores: int = 0  # of an epoch's start, after a loss that was not finite
    best_accuracy: float = -1.0
    over_budget: bool = False  # ended by it, with the best epoch's weights
    history: list[dict[str, float]] = field(default_factory=list)
    steering: dict[str, object] = field(default_factory=dict)  # the controller's own, as JSON


def previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def best(path: Path) -> Path:
    """Beside the checkpoint: that of the epoch with the highest validation accuracy."""
    return path.with_name(f"{path.stem}-best{path.suffix}")


def save_checkpoint(
    path: Path,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    extra: dict[str, Tensor] | None = None,
) -> None:
    """Written whole or not at all. `extra` are tensors by name that are no part of the model.

    What was there is kept as `previous` if it begins an epoch.

    Raises:
        ArtifactError: it cannot be written; the checkpoint before it is untouched.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        if state.get("momentum_buffer") is not None:
            tensors[f"momentum.{index}"] = state["momentum_buffer"]
    tensors |= {f"extra.{name}": tensor for name, tensor in (extra or {}).items()}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        try:
            metadata = {"progress": json.dumps(asdict(progress)), "crc32": checksum(contiguous)}
            save_file(contiguous, temporary, metadata=metadata)
        except SafetensorError as error:  # how safetensors tells of a full disk
            raise ArtifactError(f"cannot write {path}: {error}; free some disk space") from None
        if _begins_epoch(path):
            path.replace(previous(path))


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Of all bytes, in the order of the names."""
    total = 0
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1).view(torch.uint8)
        total = zlib.crc32(flat.numpy().data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def usable_checkpoint(
    path: Path, fingerprint: str, *, begins_epoch: bool = False
) -> tuple[Path, Progress] | None:
    """The newest checkpoint of the same work that can be read, and where it stands.

    `begins_epoch`: the newest one of an epoch's start.
    """
    for candidate in (path, previous(path)):
        progress = _read_progress(candidate)
        if progress is None or progress.fingerprint != fingerprint:
            continue
        if progress.step == 0 or not begins_epoch:
            return candidate, progress
    return None


def peek_checkpoint(path: Path, fingerprint: str) -> Progress | None:
    """The progress of a usable checkpoint of the same work, or None."""
    found = usable_checkpoint(path, fingerprint)
    return found[1] if found else None


def restore_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Load weights and momentum from a usable checkpoint; returns what was saved beside them.

    Layers take the sizes of the saved tensors: channels may have left since the start.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "momentum": {}, "extra": {}}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 -- safe_open is no mapping
            kind, _, key = name.partition(".")
            parts[kind][key] = file.get_tensor(name)
    resize(model, parts["model"])
    model.load_state_dict(parts["model"])
    state = optimizer.state_dict()
    state["state"] = {
        int(key): {"momentum_buffer": buffer} for key, buffer in parts["momentum"].items()
    }
    optimizer.load_state_dict(state)
    return parts["extra"]


def delete_checkpoints(path: Path) -> None:
    """The best epoch's last: as long as there is one to go on from, the fit may end with it."""
    for file in (previous(path), path, best(path), previous(best(path))):
        file.unlink(missing_ok=True)


def _begins_epoch(path: Path) -> bool:
    """False where that cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return bool(json.loads(file.metadata()["progress"])["step"] == 0)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return False


def _read_progress(path: Path) -> Progress | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            content = json.loads(metadata["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["crc32"] != checksum(tensors):
            raise ValueError("its checksum is wrong")
        return Progress(**{**content, "knobs": Knobs(**content["knobs"])})
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        log.warning("%s cannot be used (%s): the checkpoint before it is looked for", path, error)
        return None
