"""Pickles that do something when an ordinary reader opens them: a hundred, by how they call and what."""

import io
import pickle
import struct
import zipfile
from pathlib import Path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def call_by_reduce(module: str, name: str, arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


def call_by_stack_global(module: str, name: str, arguments: bytes) -> bytes:
    return text(module) + text(name) + b"\x93" + arguments + b"R"


def call_by_inst(module: str, name: str, arguments: bytes) -> bytes:
    return arguments[:-1] + f"i{module}\n{name}\n".encode()


def call_by_obj(module: str, name: str, arguments: bytes) -> bytes:
    return b"(" + f"c{module}\n{name}\n".encode() + arguments[1:-1] + b"o"


WAYS = {
    "reduce": call_by_reduce,
    "stack_global": call_by_stack_global,
    "inst": call_by_inst,
    "obj": call_by_obj,
}


def calls(witness: Path) -> dict[str, tuple[str, str, bytes]]:
    """Calls that would leave a file `witness`, or worse: module, name, arguments as pickle instructions."""
    touch, code = f"touch {witness}", f"open({str(witness)!r}, 'w').close()"

    def arguments(*values: str) -> bytes:
        return b"(" + b"".join(text(value) for value in values) + b"t"

    return {
        "os.system": ("os", "system", arguments(touch)),
        "posix.system": ("posix", "system", arguments(touch)),
        "os.popen": ("os", "popen", arguments(touch)),
        "subprocess.getoutput": ("subprocess", "getoutput", arguments(touch)),
        "builtins.eval": ("builtins", "eval", arguments(code)),
        "builtins.exec": ("builtins", "exec", arguments(code)),
        "builtins.open": ("builtins", "open", arguments(str(witness), "w")),
        "io.open": ("io", "open", arguments(str(witness), "w")),
        "codecs.open": ("codecs", "open", arguments(str(witness), "w")),
        "os.mkdir": ("os", "mkdir", arguments(str(witness))),
        "runpy._run_code": ("runpy", "_run_code", b"(" + text(code) + b"}t"),
        "timeit.timeit": ("timeit", "timeit", arguments(code)),
        "logging.FileHandler": ("logging", "FileHandler", arguments(str(witness))),
        "sqlite3.connect": ("sqlite3", "connect", arguments(str(witness))),
        "shelve.open": ("shelve", "open", arguments(str(witness))),
        "tempfile.TemporaryDirectory": ("tempfile", "mkdtemp", arguments("", "", str(witness))),
        "numpy.savetxt": ("numpy", "savetxt", b"(" + text(str(witness)) + b"](K\x01e" + b"t"),
        "importlib.import_module": ("importlib", "import_module", arguments("antigravity")),
        "builtins.__import__": ("builtins", "__import__", arguments("this")),
        "torch.load": ("torch", "load", arguments(str(witness))),
        "torch.hub.load": ("torch.hub", "load", arguments("somebody/repository", "model")),
        "models.CompletionNetwork": ("models", "CompletionNetwork", b"(t"),
    }


def pickles(witness: Path) -> dict[str, bytes]:
    """All of them by name, each a whole pickle; `rest` are those that need no call to do harm."""
    made = {}
    for way, build in WAYS.items():
        for what, call in calls(witness).items():
            made[f"{what} by {way}"] = b"\x80\x04" + build(*call) + b"."
    module, name, arguments = calls(witness)["os.system"]
    call = call_by_reduce(module, name, arguments)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n"
    rest = {
        "as a value": b"}" + text("conv1.weight") + call + b"s",
        "as a key": b"}" + call + text("x") + b"s",
        "in a list": b"](" + call + b"e",
        "in place of a storage": tensor + b"(" + call + b"K\x00)))t" + b"R",
        "as a hook": tensor + b"(NK\x00))\x89" + call + b"tR",
        "in a persistent reference": b"(" + text("storage") + call + b"tQ",
        "before the value": call + b"0}",
        "through the memo": call + b"q\x00" + b"0" + b"h\x00",
        "a class of the dictionary's": b"ccollections\nOrderedDict.fromkeys\n(" + text("ab") + b"tR",
        "a new object": b"cos\n_wrap_close\n)\x81",
        "a new object by keywords": b"cos\n_wrap_close\n)}\x92",
        "attributes of a function": tensor + b"}" + text("__globals__") + text("x") + b"sb",
        "slots of a function": tensor + b"N}" + text("__defaults__") + b")s\x86b",
        "attributes of a dictionary": b"ccollections\nOrderedDict\n)R}" + text("items") + text("x") + b"sb",
        "a dotted name": text("torch._utils") + text("_rebuild_tensor_v2.__globals__") + b"\x93",
        "through the extension registry": b"\x82\x01",
        "an old persistent reference": b"P0\n",
        "an endless text": b"X\xff\xff\xff\x7f",
        "a memo of gigabytes": b"}r\xff\xff\xff\x7f",
        "a number of megabytes": b"\x8b\xff\xff\xff\x7f",
    }
    made |= {name: b"\x80\x04" + data + b"." for name, data in rest.items()}
    made["nothing"] = b""
    made["no end"] = b"\x80\x04}"
    return made


def as_zip(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def as_legacy(data: bytes) -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    return b"".join(pickle.dumps(value, 2) for value in head) + data + pickle.dumps([], 2)
