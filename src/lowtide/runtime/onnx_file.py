"""What an ONNX file has to be before anything runs in it."""

from pathlib import Path

from lowtide.errors import ModelError

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
TOLD = 300  # characters of the checker, which prints a node whole


def check_file(path: Path) -> None:
    """ModelError unless it is valid ONNX of standard operators, whole in its own folder.

    The checker refuses external data that is missing, absolute, a link, or above the folder.
    """
    import onnx

    if not path.is_file():
        raise ModelError(f"there is no model {path}: name an .onnx file")
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(path)
    except Exception as error:  # noqa: BLE001 -- protobuf's and the checker's share no other base
        said = " ".join(str(error).split())[:TOLD] or type(error).__name__
        raise ModelError(f"{path} is not valid ONNX: {said}") from None
    domains = {opset.domain for opset in model.opset_import} | {n.domain for n in model.graph.node}
    if foreign := sorted(domains - STANDARD_DOMAINS):
        raise ModelError(
            f"{path} has operators of {', '.join(foreign)}: only standard ones are served"
        )
