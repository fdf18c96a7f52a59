"""What the OpenAPI document says of bodies that FastAPI does not parse itself."""

from typing import Any

from lowtide.serving.protocol import HEADER_LENGTH

Schema = dict[str, Any]


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


ERROR: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
# Of every route: what the limits refuse, too. FastAPI's own 422 is never answered.
OTHERWISE: dict[int | str, Schema] = {
    "4XX": _json(ERROR, "What was wrong, and what to do"),
    "5XX": _json(ERROR, "The server failed, or is too busy"),
}
OBJECT: dict[int | str, Schema] = {200: _json({"type": "object"}, "As the protocol has it")}
TEXT: dict[int | str, Schema] = {
    200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
NOT_READY: dict[int | str, Schema] = {503: _json({"type": "object"}, "No model yet, or too busy")}
NOT_THERE: dict[int | str, Schema] = {404: _json(ERROR, "No such model or version"), **NOT_READY}
REFUSED: dict[int | str, Schema] = {
    400: _json(ERROR, "Not what the protocol or the model asks for"),
    401: _json(ERROR, "The key is missing or wrong"),
    408: _json(ERROR, "The body took too long"),
    413: _json(ERROR, "The body is too large"),
    429: _json(ERROR, "Too many images wait: try again"),
    503: _json(ERROR, "No model yet, or too busy"),
}

_TENSOR: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype"],
}
_REQUEST: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
                "required": ["name"],
            },
        },
    },
    "required": ["inputs"],
}
_RESPONSE: Schema = {
    "type": "object",
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
    "required": ["model_name", "outputs"],
}
INFER: dict[str, Any] = {
    "responses": {
        200: {
            "description": f"Logits; as bytes behind the JSON where {HEADER_LENGTH} says so",
            "content": {
                "application/json": {"schema": _RESPONSE},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        404: NOT_THERE[404],
        **REFUSED,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _REQUEST}},
        }
    },
}
CLASSIFY: dict[str, Any] = {
    "responses": OBJECT | REFUSED,
    "openapi_extra": {
        "requestBody": {
            "content": {"multipart/form-data": {"encoding": {"image": {"contentType": "image/*"}}}}
        }
    },
}
