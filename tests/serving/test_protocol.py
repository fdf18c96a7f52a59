"""Requests that are not what the protocol or the model asks for are refused with their reason."""

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import RequestError
from lowtide.serving.protocol import InferRequest, Signature, parse_request, render_response

SIGNATURE = Signature("image", np.uint8, (1, 2, 2), "logits", 3)
FLOATS = Signature("image", np.float32, (1, 2, 2), "logits", 3)
TENSOR: dict[str, Any] = {
    "name": "image", "shape": [1, 1, 2, 2], "datatype": "UINT8", "data": [1, 2, 3, 255]
}  # fmt: skip


def parse(signature: Signature = SIGNATURE, tail: bytes = b"", **changes: Any) -> InferRequest:
    tensor = {name: value for name, value in {**TENSOR, **changes}.items() if value is not ...}
    header = json.dumps({"inputs": [tensor]}).encode()
    return parse_request(header + tail, str(len(header)), signature, 4)


def test_flat_and_nested_data_are_the_same() -> None:
    flat, nested = parse(), parse(data=[[[[1, 2], [3, 255]]]])
    assert np.array_equal(flat.images, nested.images)
    assert (flat.images.dtype, flat.images.shape) == (np.uint8, (1, 1, 2, 2))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "img"}, "'img' is unknown"),
        ({"datatype": "FP32"}, "datatype FP32: the model takes UINT8"),
        ({"shape": [1, 2, 2]}, "the model takes \\[N, 1, 2, 2\\]"),
        ({"shape": [True, 1, 2, 2]}, "the shape is"),
        ({"shape": "1122"}, "the shape is"),
        ({"shape": [0, 1, 2, 2]}, "0 images"),
        ({"shape": [5, 1, 2, 2], "data": [0] * 20}, "send 1 to 4"),
        ({"shape": [10**30, 1, 2, 2]}, "the shape is|images in one request|not valid JSON"),
        ({"data": [1, 2, 3]}, "has 3 numbers, the shape 4"),
        ({"data": [1, 2, 3, 256]}, "outside 0 to 255"),
        ({"data": [1, 2, 3, -1]}, "outside 0 to 255"),
        ({"data": [1, 2, 3, 1.5]}, "not all numbers of type UINT8"),
        ({"data": [1, 2, 3, None]}, "not all numbers"),
        ({"data": ["1", "2", "3", "4"]}, "not all numbers"),
        ({"data": [[1, 2], [3]]}, "ragged"),
        ({"data": "AAAA"}, "has no data"),
        ({"data": ...}, "has no data"),
        ({"parameters": [1]}, "parameters has to be an object"),
        ({"parameters": {"binary_data_size": 4}}, "0 bytes follow"),
        ({"parameters": {"binary_data_size": True}}, "binary_data_size is True"),
    ],
)
def test_a_wrong_tensor_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        parse(**changes)
    assert len(str(caught.value)) < 200


def test_what_is_not_finite_is_refused_as_json_and_as_bytes() -> None:
    for number in (np.nan, np.inf):
        tail = np.array([0, 1, 2, number], "<f4").tobytes()
        with pytest.raises(RequestError, match="NaN or infinity"):
            parse(FLOATS, tail, datatype="FP32", data=..., parameters={"binary_data_size": 16})
    with pytest.raises(RequestError, match="not valid JSON"):
        parse(FLOATS, datatype="FP32", data=[0, 1, 2, float("nan")])
    with pytest.raises(RequestError, match="NaN or infinity"):
        parse(FLOATS, datatype="FP32", data=[0, 1, 2, 1e300])


def test_bytes_that_nobody_announced_are_refused() -> None:
    with pytest.raises(RequestError, match="2 bytes follow"):
        parse(tail=b"xx")
    for length in ("-1", "x", "99999999999999999999999"):
        with pytest.raises(RequestError, match="Inference-Header-Content-Length"):
            parse_request(b"{}", length, SIGNATURE, 4)


@pytest.mark.parametrize("body", [b'{"inputs": []}', b"{}", b'{"inputs": {}}', b'{"inputs": [1]}'])
def test_there_is_one_input(body: bytes) -> None:
    with pytest.raises(RequestError, match="list of one tensor, image"):
        parse_request(body, None, SIGNATURE, 4)


def test_outputs_may_be_asked_for_by_name() -> None:
    asked = {
        "inputs": [TENSOR],
        "outputs": [{"name": "logits", "parameters": {"binary_data": True}}],
    }
    assert parse_request(json.dumps(asked).encode(), None, SIGNATURE, 4).binary_output
    for outputs in ([{"name": "other"}], "logits", [1]):
        body = json.dumps({"inputs": [TENSOR], "outputs": outputs}).encode()
        with pytest.raises(RequestError, match="outputs"):
            parse_request(body, None, SIGNATURE, 4)


def test_the_response_echoes_the_id() -> None:
    asked = InferRequest(np.zeros((1, 1, 2, 2), np.uint8), "seven", False)
    logits = np.array([[0.5, 1, 2]], np.float32)
    body, length = render_response(
        logits, asked, name="m", version="3", output_name="logits", parameters={"tier": "champion"}
    )
    content = json.loads(body)
    assert length is None
    assert (content["id"], content["model_version"]) == ("seven", "3")
    assert content["outputs"] == [
        {"name": "logits", "datatype": "FP32", "shape": [1, 3], "data": [0.5, 1.0, 2.0]}
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(key=st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), value=JSON)
def test_whatever_a_tensor_says_is_an_array_or_a_refusal(key: str, value: Any) -> None:
    body = json.dumps({"inputs": [{**TENSOR, key: value}]}).encode()
    with contextlib.suppress(RequestError):
        assert parse_request(body, None, SIGNATURE, 4).images.shape == (1, 1, 2, 2)


@given(content=JSON, outputs=JSON, parameters=JSON, given_id=JSON)
def test_whatever_a_request_says_is_an_answer_or_a_refusal(
    content: Any, outputs: Any, parameters: Any, given_id: Any
) -> None:
    whole = {"inputs": [TENSOR], "outputs": outputs, "parameters": parameters, "id": given_id}
    for body in (content, whole):
        with contextlib.suppress(RequestError):
            parse_request(json.dumps(body).encode(), None, SIGNATURE, 4)
