"""The HTTP application: routes to the service, every error as {"error": "..."}."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from importlib import metadata
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, File, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from scipy.special import softmax
from starlette.exceptions import HTTPException

from lowtide.errors import LowtideError, RequestError
from lowtide.serving import openapi
from lowtide.serving.limits import Limits
from lowtide.serving.protocol import BINARY, HEADER_LENGTH, parse_request, render_response
from lowtide.serving.service import Service
from lowtide.serving.upload import Uploads

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
VERSION = metadata.version("lowtide")
FAILED = "the server failed: see its log"
LISTED = "/openapi.json says what there is, and what it takes"
PLATFORM = "onnxruntime_onnx"
log = logging.getLogger(__name__)


def create_app(service: Service, limits: Limits, lifespan: Lifespan | None = None) -> FastAPI:
    app = FastAPI(
        title="lowtide", version=VERSION, lifespan=lifespan, docs_url=None,
        redoc_url=None, description="Classifies images; Open Inference Protocol v2.",
        responses=openapi.OTHERWISE,
    )  # fmt: skip
    _handle_errors(app)
    _health(app, service)
    _models(app, service)
    _inference(app, service, limits)
    _for_people(app, service)
    return app


def json_response(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> Response:
        response = json_response({"error": str(error)}, error.status)
        if error.status in (429, 503):
            response.headers["retry-after"] = "1"
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return json_response({"error": f"{first['loc'][-1]}: {first['msg']}; {LISTED}"}, 400)

    @app.exception_handler(HTTPException)
    async def by_status(_: Request, error: HTTPException) -> Response:
        said = f"{error.detail}; {LISTED}" if error.status_code in (404, 405) else error.detail
        response = json_response({"error": said}, error.status_code)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(LowtideError)
    async def failed(_: Request, error: LowtideError) -> Response:
        log.error("%s", error)
        return json_response({"error": FAILED}, 500)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> Response:  # noqa: ARG001 -- is logged
        return json_response({"error": FAILED}, 500)


def _health(app: FastAPI, service: Service) -> None:
    @app.get("/v2/health/live", responses=openapi.OBJECT)
    async def live() -> Response:
        """The process answers."""
        return json_response({"live": True})

    @app.get("/v2/health/ready", responses=openapi.OBJECT | openapi.NOT_READY)
    async def ready() -> Response:
        """A model is there."""
        return json_response({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/metrics", response_class=Response, responses=openapi.TEXT)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.render(), media_type="text/plain; version=0.0.4")


def _models(app: FastAPI, service: Service) -> None:
    @app.get("/v2", responses=openapi.OBJECT)
    async def server() -> Response:
        """Name, version and extensions of the server."""
        return json_response({"name": "lowtide", "version": VERSION, "extensions": [BINARY]})

    @app.get("/v2/models/{name}", responses=openapi.OBJECT | openapi.NOT_THERE)
    @app.get("/v2/models/{name}/versions/{version}", responses=openapi.OBJECT | openapi.NOT_THERE)
    async def model(name: str, version: str | None = None) -> Response:
        """What the model takes and gives."""
        placed = service.find(name, version)
        versions = [each.model.version for each in service.placed]
        described = placed.model.signature.describe()
        return json_response(
            {"name": name, "versions": versions, "platform": PLATFORM, **described}
        )

    @app.get("/v2/models/{name}/ready", responses=openapi.OBJECT | openapi.NOT_THERE)
    @app.get(
        "/v2/models/{name}/versions/{version}/ready", responses=openapi.OBJECT | openapi.NOT_THERE
    )
    async def model_ready(name: str, version: str | None = None) -> Response:
        """The model answers."""
        service.find(name, version)
        return json_response({"name": name, "ready": True})


def _inference(app: FastAPI, service: Service, limits: Limits) -> None:
    @app.post("/v2/models/{name}/infer", **openapi.INFER)
    @app.post("/v2/models/{name}/versions/{version}/infer", **openapi.INFER)
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        """Logits for images, as JSON or as bytes behind it."""
        _require_plain(request)
        placed = service.find(name, version)
        signature = placed.model.signature
        asked = parse_request(
            await request.body(), request.headers.get(HEADER_LENGTH), signature, limits.images
        )
        logits = await service.infer(placed, asked.images)
        body, header_length = render_response(
            logits, asked, name=name, version=placed.model.version,
            output_name=signature.output_name,
            parameters={"tier": placed.place, **service.cost(placed, len(logits)).known()},
        )  # fmt: skip
        if header_length is None:
            return Response(body, media_type="application/json")
        length = {HEADER_LENGTH: str(header_length)}
        return Response(body, media_type="application/octet-stream", headers=length)


def _require_plain(request: Request) -> None:
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise RequestError(f"content-encoding {encoding[:20]!r}: send the body as it is")


def _for_people(app: FastAPI, service: Service) -> None:
    uploads = Uploads()

    @app.post("/classify", **openapi.CLASSIFY)
    async def classify(image: Annotated[UploadFile, File()]) -> Response:
        """What is on an image, and what the answer took."""
        placed = service.find(service.name)
        pixels = await uploads.decode(await image.read(), placed.model.signature)
        logits = await service.infer(placed, pixels)
        probabilities = softmax(logits, axis=1)[0]
        cost = service.cost(placed, 1)
        return json_response(
            {
                "label": placed.model.labels[int(probabilities.argmax())],
                "probability": float(probabilities.max()),
                "energy_j": cost.energy_j,
                "emissions_g": cost.emissions_g,
                "intensity_g_per_kwh": cost.intensity_g_per_kwh,
                "energy_provenance": cost.provenance,
                "model_name": service.name,
                "model_version": placed.model.version,
                "tier": placed.place,
            }
        )

    @app.get("/statistics", responses=openapi.OBJECT | openapi.NOT_READY)
    async def statistics() -> Response:
        """A sample of what came in, for `flows.watch`."""
        model, lately = service.find(service.name).model, service.account.lately
        rows, labels = service.seen.snapshot()
        content = {
            "model_version": model.version,
            "statistics": rows.tolist(),
            "labels": labels.tolist(),
            "inference_energy_j": lately.inference_energy_j,
            "recorded_inference_energy_j": model.figures.inference_energy_j,
            "batch_cost_ratio": model.cost.ratio(lately.batch_images, model.figures.batch_size),
            "batch_images": lately.batch_images,
            "batch_cost": asdict(model.cost),
            "energy_provenance": service.account.provenance,
            "num_images": lately.num_images,
        }
        return json_response(content)
