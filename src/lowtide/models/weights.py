"""Models as safetensors: weights, and in the metadata what rebuilds the network around them."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lowtide.artifacts import atomic
from lowtide.errors import ArtifactError
from lowtide.models.factory import Classifier, ModelSpec, build


def save_model(path: Path, model: Classifier, spec: ModelSpec) -> None:
    tensors = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"lowtide": json.dumps(asdict(spec))})


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
    """Give layers the channel counts of the saved tensors, as structured pruning left them."""
    for name, module in model.named_modules():
        weight = tensors.get(f"{name}.weight")
        if weight is None or weight.shape == module.weight.shape:
            continue
        if isinstance(module, nn.Conv2d):
            depthwise = module.groups == module.in_channels == module.out_channels
            module.groups = weight.shape[0] if depthwise else module.groups
            module.out_channels = weight.shape[0]
            module.in_channels = weight.shape[1] * module.groups
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = weight.shape
        elif isinstance(module, nn.BatchNorm2d):
            module.num_features = weight.shape[0]
        for key, tensor in (*module.named_parameters(recurse=False), *module.named_buffers()):
            saved = tensors.get(f"{name}.{key}")
            if saved is not None and tensor is not None:
                tensor.data = _laid_out_as(tensor, saved)


def _laid_out_as(tensor: Tensor, saved: Tensor) -> Tensor:
    """A copy on its device and in its memory layout, on which a convolution's last bit depends."""
    last = saved.ndim == 4 and not tensor.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return saved.to(tensor.device, copy=True, memory_format=layout)
