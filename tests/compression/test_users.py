"""Networks of torch users are pruned, saved, loaded and exported; what cannot be cut is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lowtide.compression.onnx_export import export_onnx, parity
from lowtide.models.cost import count_macs
from lowtide.models.factory import Classifier, ModelSpec, build
from lowtide.models.weights import load_model, save_model
from lowtide.runtime.onnx_model import OnnxModel
from tests.compression.pruning import batches, cut

SHAPE = (3, 16, 16)
CUT = {
    "resnet": 0.5,
    "resnext": 0.2,
    "mobilenet": 0.5,
    "vit": 0.8,
    "encoder_vit": 0.8,
    "flexible_vit": 0.6,
}


def spec(name: str) -> ModelSpec:
    return ModelSpec(f"tests.compression.users:{name}", 3, (16, 16), 4, (127.0,) * 3, (64.0,) * 3)


def trained(name: str) -> Classifier:
    """For a few steps, so that no norm is what it starts as."""
    torch.manual_seed(0)
    model = build(spec(name)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    for batch in batches(SHAPE).epoch(0):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch.images), batch.labels).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("name", CUT)
def test_a_users_network_goes_through(name: str, tmp_path: Path) -> None:
    model = trained(name)
    result = cut(model, SHAPE, macs_fraction=CUT[name], round_to=4, importance="taylor")
    assert result.macs_after == count_macs(model, SHAPE) <= CUT[name] * result.macs_before
    named = result.channels.keys() | result.not_pruned.keys()
    assert named <= {layer for layer, _ in model.named_modules()}

    save_model(tmp_path / "pruned.safetensors", model, spec(name))
    again, _ = load_model(tmp_path / "pruned.safetensors")
    images = next(batches(SHAPE).epoch(0)).images
    with torch.no_grad():
        assert torch.equal(model.eval()(images), again.eval()(images))

    export_onnx(again, SHAPE, tmp_path / "pruned.onnx", opset=20)
    logits = OnnxModel(tmp_path / "pruned.onnx", 1).logits(images.numpy())
    difference, agreement = parity(again, logits, images.numpy())
    assert difference < 1e-3
    assert agreement == 1.0


def test_attention_whose_code_takes_any_width_loses_some_of_each_head() -> None:
    model = trained("flexible_vit")
    result = cut(model, SHAPE, macs_fraction=CUT["flexible_vit"], round_to=4)
    assert result.macs_after <= CUT["flexible_vit"] * result.macs_before
    cuts = {name: width for name, (_, width) in result.channels.items() if "to_qkv" in name}
    assert cuts  # out of reach without them
    for name, width in cuts.items():
        out = model.get_submodule(name.replace("to_qkv", "to_out"))
        assert width % (3 * 4) == 0
        assert out.in_features == out.weight.shape[1] == width // 3  # type: ignore[union-attr, index]
    again = cut(model, SHAPE, macs_fraction=0.8, round_to=4)  # as in a further round
    assert again.macs_after == count_macs(model, SHAPE) <= 0.8 * result.macs_after


def test_grouped_convolutions_are_cut_and_keep_their_groups() -> None:
    model = trained("resnext")
    before = width_of_groups(model)
    result = cut(model, SHAPE, macs_fraction=CUT["resnext"], round_to=4)
    assert result.not_pruned == {"net.fc": "its outputs are the model's"}
    assert 4 * 4 * 2 <= width_of_groups(model) < before  # two in each group stay
    groups = {layer.groups for layer in model.modules() if isinstance(layer, nn.Conv2d)}
    assert groups == {1, 4}


def width_of_groups(model: nn.Module) -> int:
    """Inputs and outputs of grouped convolutions: more than 0.2 of the cost goes with them."""
    layers = (layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    return sum(each.in_channels + each.out_channels for each in layers if each.groups > 1)


@pytest.mark.parametrize(
    ("name", "attention"),
    [("vit", "attn.qkv"), ("encoder_vit", "self_attn")],
)
def test_a_transformer_loses_hidden_width_and_keeps_attention(name: str, attention: str) -> None:
    model = trained(name)
    result = cut(model, SHAPE, macs_fraction=CUT[name], round_to=4)
    blocks = "net.blocks.layers.{}" if name == "encoder_vit" else "net.blocks.{}"
    hidden = ".linear1" if name == "encoder_vit" else ".mlp.0"
    widths = {layer: after for layer, (_, after) in result.channels.items()}
    assert widths.keys() <= {blocks.format(k) + hidden for k in (0, 1)}
    kept = {blocks.format(k) + f".{attention}" for k in (0, 1)} | {"net.patch_embed", "net.head"}
    assert kept <= result.not_pruned.keys()
    assert not np.isnan(sum(widths.values()))
