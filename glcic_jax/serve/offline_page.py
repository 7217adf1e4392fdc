"""`glcic export --format=web`: the page with the network in it, for browsers without any server.

A folder for web servers, and in it one file, eraser.html, that a browser opens from the disk.
"""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from glcic_jax.errors import UserError
from glcic_jax.inference.masks import trained_px
from glcic_jax.interop.graph import require_understood
from glcic_jax.models import folder as model_folder
from glcic_jax.models.card import Card
from glcic_jax.models.completion import MARGIN_PX, STRIDE_PX
from glcic_jax.serve.page import FOLDER as PAGE
from glcic_jax.system.atomic import atomic_folder
from glcic_jax.system.packages import require_extra

RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the archive that npm hands out, in base64, as npm itself writes it."""
_RUNTIME_CODE, _RUNTIME_BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
_OFFLINE = Path(__file__).parent / "offline"
_MODULES = ("words", "strokes", "png", "history", "view", "pointer", "keys", "files", "bundle", "engine", "main")
"""Each imports only those before it."""
_POLICY = (
    "default-src 'none'; img-src 'self' blob: data:; connect-src 'self' blob: data:; style-src 'self'{inline}; "
    "script-src 'self'{inline} blob: 'wasm-unsafe-eval'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
_HEAD = '<meta charset="utf-8">\n'


def write_offline_page(model: Path, output: Path, half: bool) -> None:
    """Writes the folder.

    Args:
        model: a model folder. output: a folder that does not exist yet, or is empty.
        half: float16 weights.

    Raises: UserError.

    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is there already; give --output a folder that is not")
    require_extra("onnx", "this format", "onnx")
    from glcic_jax.interop.onnx.model import build_model

    loaded, variables, card = model_folder.load(model)
    network = require_understood(loaded)
    variables = model_folder.to_half(variables) if half else variables
    graph = build_model(network, variables, card, finished=True, half=half).SerializeToString()
    parts = {"model.onnx": graph, "settings.json": _settings(model.resolve().name, card), **fetch_runtime()}
    with atomic_folder(output) as folder:
        _write_folder(folder, parts)
        (folder / "eraser.html").write_text(_single_file(parts), encoding="utf-8")


def _settings(name: str, card: Card) -> bytes:
    """What the page has to know of the model."""
    margin = -(-max(MARGIN_PX) // STRIDE_PX) * STRIDE_PX
    note = card.published.licence_note if card.published else ""
    settings = {
        "name": name, "blend": False, "trained_px": trained_px(card), "licence_note": note, "margin_px": margin,
        "stride_px": STRIDE_PX,
    }  # fmt: skip
    return json.dumps(settings).encode()


def fetch_runtime() -> dict[str, bytes]:
    """ONNX Runtime Web, from npm: its code and its program, by name. Raises: UserError if it is not what it must be."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"no npm, which brings {RUNTIME}; install Node.js")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", "--silent", RUNTIME], cwd=folder, capture_output=True, text=True, check=False
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise UserError(f"npm cannot bring {RUNTIME}: {done.stderr.strip()[-300:]}; try again with a network")
        found = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
        if found != RUNTIME_SHA512:
            raise UserError(f"npm brought another {RUNTIME} than the one that is known: its SHA-512 is {found}")
        with tarfile.open(archives[0]) as archive:
            files = {name: archive.extractfile(f"package/dist/{name}") for name in (_RUNTIME_CODE, _RUNTIME_BINARY)}
            return {name: file.read() for name, file in files.items() if file is not None}


def _write_folder(folder: Path, parts: Mapping[str, bytes]) -> None:
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    for name in ("engine.js", "bundle.js", "worker.js", "windows.js"):
        shutil.copyfile(_OFFLINE / name, folder / name)
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    page = (folder / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(page.replace(_HEAD, _HEAD + _policy("")), encoding="utf-8")


def _policy(inline: str) -> str:
    return f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(inline=inline)}">\n'


def _single_file(parts: Mapping[str, bytes]) -> str:
    """All of it in one HTML file: modules as functions, everything else compressed and in base64."""
    texts = {
        name: (PAGE / f"{name}.js").read_text(encoding="utf-8") for name in _MODULES if name not in ("bundle", "engine")
    }
    texts |= {"bundle": (_OFFLINE / "single.js").read_text(), "engine": (_OFFLINE / "engine.js").read_text()}
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    picture = base64.b64encode((PAGE / "demonstration.jpg").read_bytes()).decode()
    code = join_modules({name: texts[name] for name in _MODULES})
    code = code.replace('"demonstration.jpg")', f'"data:image/jpeg;base64,{picture}")', 1)
    packed = [
        f'<script type="text/plain" id="part-{name}">{base64.b64encode(gzip.compress(data, mtime=0)).decode()}</script>'
        for name, data in parts.items()
        if name != _RUNTIME_CODE
    ]
    worker = f'<script type="text/plain" id="worker-code">{_worker(parts[_RUNTIME_CODE].decode())}</script>'
    for old, new in (
        (_HEAD, _HEAD + _policy(" 'unsafe-inline'")),
        ('<link rel="icon" href="icon.svg" type="image/svg+xml">\n', ""),
        ('<link rel="stylesheet" href="style.css">', f"<style>\n{(PAGE / 'style.css').read_text()}</style>"),
        ('<script type="module" src="main.js"></script>\n', ""),
        ("</body>", "\n".join([*packed, worker, f'<script type="module">\n{code}</script>', "</body>"])),
    ):
        page = page.replace(old, new)
    return page


def _worker(runtime: str) -> str:
    """The worker's code with the runtime in it, whose last statement says what it hands out."""
    exports = re.search(r"export\{([^}]*)\};\s*(//# sourceMappingURL=.*)?\s*$", runtime)
    if exports is None or "</script" in runtime:
        raise UserError(f"{RUNTIME} is not built as expected; take another release of glcic-jax")
    names = [pair.split(" as ") for pair in exports[1].split(",")]
    handed_out = ", ".join(f"{public}: {private}" for private, public in names)
    texts = {name: (_OFFLINE / f"{name}.js").read_text() for name in ("windows", "worker")}
    texts["worker"] = texts["worker"].replace(f'import * as ort from "./{_RUNTIME_CODE}";\n', "")
    return f"{runtime[: exports.start()]}\nconst ort = {{{handed_out}}};\n{join_modules(texts)}"


def join_modules(texts: Mapping[str, str]) -> str:
    """Modules of ours as one: each a function that hands out what the module exports."""
    parts = ["const modules = {};"]
    for name, text in texts.items():
        inside = re.sub(r'^import \{(.*?)\} from "\./(\w+)\.js";$', _imported, text, flags=re.M | re.S)
        exported: Sequence[str] = re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", inside, re.M)
        inside = re.sub(r"^export ", "", inside, flags=re.M)
        parts.append(f"modules.{name} = (() => {{\n{inside}\nreturn {{ {', '.join(exported)} }};\n}})();")
    return "\n".join(parts) + "\n"


def _imported(statement: re.Match[str]) -> str:
    return f"const {{{statement[1].replace(' as ', ': ')}}} = modules.{statement[2]};"
