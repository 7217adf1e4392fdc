"""Answers that more than one part of the server gives."""

from starlette.responses import JSONResponse, Response

from glcic_jax.serve.refusals import Refusal


def refuse(refusal: Refusal) -> Response:
    """The line of a refusal as JSON; `detail` is what clients of IOPaint look for."""
    line = " ".join(str(refusal).split()).encode("utf-8", "backslashreplace").decode()  # JSON may hold half letters
    return JSONResponse({"error": line, "detail": line}, refusal.status, refusal.headers)
