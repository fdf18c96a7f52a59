"""Open Inference Protocol v2 over HTTP: requests to arrays and arrays to responses.

The protocol: https://github.com/kserve/open-inference-protocol, rest/inference_rest.yaml; tensors
as bytes behind the JSON: Triton's extension `binary_tensor_data`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from lowtide.errors import RequestError
from lowtide.serving.tensors import NAMES, from_bytes, from_json, shape_of

HEADER_LENGTH = "Inference-Header-Content-Length"
BINARY = "binary_tensor_data"


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives: images [N, C, H, W] of `pixel_type`, float32 [N, K]."""

    input_name: str
    pixel_type: type
    image_shape: tuple[int, int, int]
    output_name: str
    num_classes: int

    def describe(self) -> dict[str, Any]:
        """`inputs` and `outputs` of the model's metadata; -1 is any number."""
        taken = {
            "name": self.input_name,
            "datatype": NAMES[self.pixel_type],
            "shape": [-1, *self.image_shape],
        }
        given = {"name": self.output_name, "datatype": "FP32", "shape": [-1, self.num_classes]}
        return {"inputs": [taken], "outputs": [given]}


@dataclass(frozen=True)
class InferRequest:
    images: np.ndarray
    id: str | None
    binary_output: bool


def parse_request(
    body: bytes, header_length: str | None, signature: Signature, num_images_max: int
) -> InferRequest:
    """The images of a request, checked against what the model takes.

    Raises:
        RequestError: it is not JSON, or not what the protocol or the model asks for; says what.
    """
    header, tail = _split(body, header_length)
    content = _object(header)
    tensor = _only_input(content.get("inputs"), signature)
    shape = shape_of(tensor, signature.image_shape, num_images_max)
    images = _images(tensor, tail, shape, signature.pixel_type)
    return InferRequest(images, _id(content), _wants_binary(content, signature))


def render_response(
    logits: np.ndarray, asked: InferRequest, *, name: str, version: str, output_name: str,
    parameters: Mapping[str, str | float | bool],
) -> tuple[bytes, int | None]:  # fmt: skip
    """The body, and the length of its JSON where the logits follow as bytes."""
    output: dict[str, Any] = {
        "name": output_name, "datatype": "FP32", "shape": list(logits.shape)
    }  # fmt: skip
    tail = b""
    if asked.binary_output:
        tail = np.ascontiguousarray(logits, "<f4").tobytes()
        output["parameters"] = {"binary_data_size": len(tail)}
    else:
        output["data"] = np.ascontiguousarray(logits, np.float32).ravel()
    content: dict[str, Any] = {"model_name": name, "model_version": version}
    if asked.id is not None:
        content["id"] = asked.id
    content |= {"parameters": dict(parameters), "outputs": [output]}
    header = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return (header + tail, len(header)) if asked.binary_output else (header, None)


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isascii() or not header_length.isdigit():
        raise RequestError(f"{HEADER_LENGTH} is {header_length[:20]!r}: give a number of bytes")
    length = int(header_length[:20])
    if length > len(body):
        raise RequestError(f"{HEADER_LENGTH} is {length}, the body has {len(body)} bytes")
    return body[:length], body[length:]


def _object(header: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the request is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise RequestError("the request is not a JSON object: see the Open Inference Protocol")
    return content


def _only_input(inputs: Any, signature: Signature) -> Mapping[str, Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(f"inputs has to be a list of one tensor, {signature.input_name}")
    tensor: dict[str, Any] = inputs[0]
    if tensor.get("name") != signature.input_name:
        raise RequestError(
            f"input {str(tensor.get('name'))[:40]!r} is unknown: the model takes "
            f"{signature.input_name}"
        )
    datatype = NAMES[signature.pixel_type]
    if tensor.get("datatype") != datatype:
        raise RequestError(
            f"input {signature.input_name} has datatype {str(tensor.get('datatype'))[:20]}: "
            f"the model takes {datatype}"
        )
    return tensor


def _images(
    tensor: Mapping[str, Any], tail: bytes, shape: tuple[int, ...], pixel_type: type
) -> np.ndarray:
    size = parameters_of(tensor).get("binary_data_size")
    if size is not None:
        return from_bytes(tail, size, shape, pixel_type)
    if tail:
        raise RequestError(f"{len(tail)} bytes follow the JSON, no input has binary_data_size")
    return from_json(tensor.get("data"), shape, pixel_type)


def _id(content: Mapping[str, Any]) -> str | None:
    given = content.get("id")
    if given is not None and not isinstance(given, str):
        raise RequestError("id has to be a string")
    return given


def _wants_binary(content: Mapping[str, Any], signature: Signature) -> bool:
    """As the one output says, else as the request says of all."""
    default = bool(parameters_of(content).get("binary_data_output", False))
    outputs: Sequence[Any] | None = content.get("outputs")
    if outputs is None or outputs == []:
        return default
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise RequestError("outputs has to be a list of objects with a name")
    if [one.get("name") for one in outputs] != [signature.output_name]:
        raise RequestError(f"unknown outputs: the model gives {signature.output_name}")
    return bool(parameters_of(outputs[0]).get("binary_data", default))


def parameters_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    found = content.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RequestError("parameters has to be an object")
    return found
