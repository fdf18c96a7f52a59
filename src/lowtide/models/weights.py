"""Models as safetensors: weights, and in the metadata what rebuilds the network around them."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lowtide.artifacts import atomic
from lowtide.errors import ArtifactError
from lowtide.models.factory import Classifier, ModelSpec, build


def save_model(
    path: Path, model: Classifier, spec: ModelSpec, notes: Mapping[str, Any] | None = None
) -> None:
    """`notes`: JSON that is kept in the file, for `read_notes`."""
    tensors = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    metadata = {"lowtide": json.dumps(asdict(spec))}
    if notes is not None:
        metadata["notes"] = json.dumps(notes)
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_notes(path: Path) -> dict[str, Any] | None:
    """None where there are none, or no file that can be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {})["notes"])  # type: ignore[no-any-return]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def load_model(path: Path) -> tuple[Classifier, ModelSpec]:
    """Rebuild the network and its weights; pruned layers take the sizes of the saved tensors.

    Raises:
        ArtifactError: the file is missing, broken, not written by lowtide, or holds NaN or inf.
        ModelError: its factory is gone.
    """
    tensors, spec = _read(path)
    _require_finite(path, tensors)
    model = build(spec)
    resize(model, tensors)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ArtifactError(
            f"{path} does not fit {spec.factory}: {str(error).splitlines()[-1].strip()}; "
            "the factory has changed since, run `dvc repro`"
        ) from None
    return model, spec


def _read(path: Path) -> tuple[dict[str, Tensor], ModelSpec]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["lowtide"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: run `dvc repro`") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ArtifactError(f"{path} is not a lowtide model ({error}): run `dvc repro`") from None
    metadata["image_size"] = tuple(metadata["image_size"])
    return tensors, ModelSpec(**metadata)


def _require_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise ArtifactError(
            f"{path} holds NaN or inf in {broken[0]}{more}: make it anew with `dvc repro --force`, "
            "at a lower learning_rate if it comes again"
        )


def resize(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give layers the channel counts of the saved tensors, as structured pruning left them.

    A parameter of the model's own, beside its layers, takes the shape of its saved tensor.
    """
    for name, module in model.named_modules():
        own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        saved = {key: tensors.get(f"{name}.{key}" if name else key) for key, _ in own}
        changed = {
            key: new
            for key, tensor in own
            if (new := saved[key]) is not None and new.shape != tensor.shape
        }
        if "weight" in changed:
            _set_sizes(module, changed["weight"].shape)
        for key, tensor in own:
            if changed and (new := saved[key]) is not None:
                tensor.data = _laid_out_as(tensor, new)


def _set_sizes(module: nn.Module, shape: torch.Size) -> None:
    """What a layer says of itself, from the shape of its weight."""
    if isinstance(module, nn.Conv2d):
        depthwise = module.groups == module.in_channels == module.out_channels
        module.groups = shape[0] if depthwise else module.groups
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape
    elif isinstance(module, nn.modules.batchnorm._NormBase):  # batch and instance norms
        module.num_features = shape[0]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = shape[0]


def _laid_out_as(tensor: Tensor, saved: Tensor) -> Tensor:
    """A copy on its device and in its memory layout, on which a convolution's last bit depends."""
    last = saved.ndim == 4 and not tensor.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return saved.to(tensor.device, copy=True, memory_format=layout)
