"""Requests into tasks: JSON with images in base64, as clients of IOPaint send it, or a form with files."""

import base64
import binascii
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import PurePosixPath

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from glcic_jax.serve.erasing import Task
from glcic_jax.serve.refusals import Refusal

_MOST_FIELDS = 200  # IOPaint's own page sends some sixty
_MOST_FIELD_BYTES = 16_384
_DATA_URL = re.compile(r"data:[\w.+/-]*(;[\w=.+-]+)*;base64,", re.ASCII)


class _FormInMemory(MultiPartParser):
    """Files of a form are never put on disk."""

    spool_max_size = 1 << 62


async def parse_task(request: Request, body: AsyncGenerator[bytes, None]) -> Task:
    """What a request asks for. Raises: Refusal."""
    if _kind(request) == "multipart/form-data":
        async with _form(request, body) as form:
            fields = {key: value for key, value in form.items() if isinstance(value, str)}
            image = await _file(form, "image")
            return _task(fields, image, await _file(form, "mask"), _suffix(form["image"]))
    if _kind(request) not in ("application/json", ""):
        raise Refusal(415, f"the request is {_kind(request)[:80]!r}; send application/json or multipart/form-data")
    pieces = [piece async for piece in body]
    return await run_in_threadpool(_parse_json, pieces)


async def parse_image(request: Request, body: AsyncGenerator[bytes, None]) -> bytes:
    """The `image` of a form. Raises: Refusal."""
    if _kind(request) != "multipart/form-data":
        raise Refusal(415, f"the request is {_kind(request)[:80]!r}; send multipart/form-data")
    async with _form(request, body) as form:
        return await _file(form, "image")


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@contextlib.asynccontextmanager
async def _form(request: Request, body: AsyncGenerator[bytes, None]) -> AsyncIterator[FormData]:
    parser = _FormInMemory(request.headers, body, max_files=2, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, LookupError) as error:
        raise Refusal(400, f"the form cannot be read ({_shorten(error)}); send multipart/form-data") from None
    try:
        yield form
    finally:
        await form.close()


async def _file(form: FormData, name: str) -> bytes:
    files = [value for value in form.getlist(name) if isinstance(value, UploadFile)]
    if len(files) != 1:
        raise Refusal(400, f"the form has {len(files)} files called {name!r}; send one")
    return await files[0].read()


def _suffix(file: UploadFile | str) -> str:
    """The ending of a file's name: it is looked up among formats, and no file is ever named so."""
    return PurePosixPath((getattr(file, "filename", None) or "")[-255:].replace("\\", "/")).suffix


def _parse_json(pieces: list[bytes]) -> Task:
    try:
        fields = json.loads(b"".join(pieces))
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the request is no JSON ({_shorten(error)})") from None
    if not isinstance(fields, dict):
        raise Refusal(400, 'the request is no JSON object; send {"image": ..., "mask": ...}')
    return _task(fields, _decode(fields, "image"), _decode(fields, "mask"), "")


def _decode(fields: Mapping[str, object], name: str) -> bytes:
    """An image in base64, with or without data:image/png;base64, before it."""
    text = fields.get(name)
    if not isinstance(text, str) or not text:
        raise Refusal(400, f"{name!r} is missing; send the bytes of an image file in base64")
    start = _DATA_URL.match(text[:200])
    try:
        return base64.b64decode("".join(text[start.end() if start else 0 :].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"{name!r} is no base64 ({_shorten(error)})") from None


def _task(fields: Mapping[str, object], image: bytes, mask: bytes, suffix: str) -> Task:
    model, seed = fields.get("model"), fields.get("sd_seed", 0)
    return Task(
        image, mask, suffix,
        model=model if isinstance(model, str) else "",
        blend=_switch(fields, "blend"),
        coarse=_switch(fields, "coarse") is not False,
        copy_texture=_switch(fields, "copy_texture") is True,
        seed=str(seed) if isinstance(seed, int) and abs(seed) < 1 << 63 else "0",
    )  # fmt: skip


def _switch(fields: Mapping[str, object], name: str) -> bool | None:
    """True, false, or None where nothing was said."""
    value = fields.get(name)
    if value in (None, ""):
        return None
    if value in (True, "true", "1") or value in (False, "false", "0"):
        return value in (True, "true", "1")
    raise Refusal(400, f"{name!r} is {_shorten(value)}; give true or false")


def _shorten(value: object) -> str:
    return " ".join(str(value).split())[:120] or type(value).__name__
