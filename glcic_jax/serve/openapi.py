"""The HTTP interface described in OpenAPI 3.1, for programs that write clients."""

from typing import Any, TypeAlias

from glcic_jax.serve.limits import Limits
from glcic_jax.version import __version__

Described: TypeAlias = dict[str, Any]
"""A JSON object of OpenAPI's."""

_SWITCH = {"type": ["boolean", "null"], "default": None}
_CHOICES: Described = {
    "model": {"type": "string", "description": "one of GET /api/v1/models; the first one if it is left out"},
    "blend": _SWITCH | {"description": "match colours to the surroundings; as the model recommends if it is left out"},
    "coarse": {"type": "boolean", "default": True, "description": "holes thicker than trained at a lower scale first"},
    "copy_texture": {"type": "boolean", "default": False, "description": "patches of the surroundings in the hole"},
}


def _object(properties: Described, required: list[str]) -> Described:
    return {"schema": {"type": "object", "properties": properties, "required": required}}


def _images(one: Described) -> Described:
    mask = one | {"description": "of the same size, white = hole"}
    return {"image": one, "mask": mask} | _CHOICES


def _answers(done: Described, refused: dict[str, str]) -> Described:
    line = _object({"error": {"type": "string"}, "detail": {"type": "string"}}, ["error", "detail"])
    failures = {
        status: {"description": meaning, "content": {"application/json": line}} for status, meaning in refused.items()
    }
    return {"200": done} | failures


def _read(summary: str, kind: str = "application/json") -> Described:
    return {"summary": summary, "responses": _answers({"description": "now", "content": {kind: {}}}, {})}


def describe(limits: Limits, asks_for_token: bool) -> Described:
    """The whole document; sizes that it names are the limits'."""
    refused = {
        "400": "the request cannot be read",
        "408": f"it was not there after {limits.body_secs:g} s",
        "413": f"it is larger than {limits.body_bytes / 1e6:.0f} MB",
        "415": "neither JSON nor a form",
        "422": f"the images cannot be used, such as one of more than {limits.max_pixels / 1e6:g} megapixels",
        "503": "too much to do; Retry-After says when to try again",
    }
    if asks_for_token:
        refused["401"] = "the token is missing or wrong"
    base64 = {
        "type": "string",
        "description": "the bytes of an image file in base64, data:...;base64, before it or not",
    }
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    ticket = {"name": "ticket", "in": "query", "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{8,64}$"}}
    picture: Described = {
        "description": "the completed photograph in its own format, metadata kept; X-Notes: a JSON list of notes",
        "headers": {"X-Notes": {"schema": {"type": "string"}}, "X-Seed": {"schema": {"type": "string"}}},
        "content": {kind: {} for kind in ("image/jpeg", "image/png", "image/webp", "image/tiff", "image/bmp")},
    }
    inpaint: Described = {
        "summary": "paints the hole of a photograph; fields of IOPaint's that mean nothing here are ignored",
        "parameters": [ticket | {"description": "a name for GET /api/v1/progress/{ticket}"}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": _object(_images(base64), ["image", "mask"]),
                "multipart/form-data": _object(_images(file), ["image", "mask"]),
            },
        },
        "responses": _answers(picture, refused | {"404": "no model of that name"}),
    }
    shown: Described = {
        "summary": "a photograph of any kind as PNG, upright, for browsers that cannot show it",
        "requestBody": {"required": True, "content": {"multipart/form-data": _object({"image": file}, ["image"])}},
        "responses": _answers({"description": "the picture", "content": {"image/png": {}}}, refused),
    }
    progress = _read("how far a request has come") | {
        "parameters": [ticket | {"in": "path", "required": True}],
    }
    document: Described = {
        "openapi": "3.1.0",
        "info": {"title": "glcic-jax", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": {
            "/api/v1/inpaint": {"post": inpaint},
            "/api/v1/preview": {"post": shown},
            "/api/v1/progress/{ticket}": {"get": progress},
            "/api/v1/model": {"get": _read("the first model, as IOPaint describes one")},
            "/api/v1/models": {"get": _read("all models, and the limits")},
            "/health": {"get": _read("whether the server is up")},
            "/metrics": {"get": _read("counts, for Prometheus", "text/plain")},
        },
    }
    if asks_for_token:
        document["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        document["security"] = [{"token": []}]
    return document
