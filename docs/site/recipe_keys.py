"""The tables of a recipe's keys, from the comments of configs/places2.py, and what every other recipe changes."""

import ast
import io
import tokenize
from dataclasses import dataclass
from pathlib import Path

from glcic_jax.recipes import load_recipe

CONFIGS = Path(__file__).parents[2] / "configs"
FULL = CONFIGS / "places2.py"


@dataclass(frozen=True)
class Key:
    """A key, its value as the recipe writes it, and what the comments beside and above it say."""

    name: str
    value: str
    words: str


@dataclass(frozen=True)
class Group:
    """Keys that stand together, and the comment above them."""

    words: str
    keys: tuple[Key, ...]


def read_groups(source: str) -> list[Group]:
    """The groups of keys of a recipe's `get_config`, which are parted by blank lines."""
    lines = source.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("# ").removeprefix("fmt: skip")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    statements = [
        node for node in function.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)
    ]
    groups: list[tuple[str, list[Key]]] = []
    last_line = function.body[0].end_lineno or 0
    for node in statements:
        above = range(last_line + 1, node.lineno)
        blank = max((n for n in above if not lines[n - 1].strip()), default=None)
        own = " ".join(comments[n] for n in above if n in comments and (blank is None or n > blank))
        left = " ".join(comments[n] for n in above if n in comments and blank is not None and n < blank)
        if left and groups and groups[-1][1]:  # below a key, before the blank line: it is that key's
            last = groups[-1][1].pop()
            groups[-1][1].append(Key(last.name, last.value, "; ".join(filter(None, (last.words, left)))))
        beside = " ".join(comments[n] for n in range(node.lineno, (node.end_lineno or 0) + 1) if comments.get(n))
        if (own and blank is not None) or not groups:  # a heading
            groups.append((own, []))
            own = ""
        name = ast.unparse(node.targets[0]).removeprefix("config.")
        groups[-1][1].append(Key(name, _value(node.value, source), " ".join(f"{own} {beside}".split())))
        last_line = node.end_lineno or 0
    return [Group(words, tuple(key for key in keys if key.value)) for words, keys in groups]


def describe_keys() -> str:
    """Tables of all keys with the paper's values."""
    parts = []
    for group in read_groups(FULL.read_text()):
        rows = ["| key | in `places2` | |", "|---|---|---|"]
        rows += [f"| `{key.name}` | `{key.value}` | {_escape(key.words)} |" for key in group.keys]
        parts.append("\n".join([f"{_escape(group.words)}\n" if group.words else "", *rows]))
    return "\n\n".join(parts)


def describe_overlays() -> str:
    """For every other recipe its docstring, and the keys in which it differs from the paper's."""
    paper = _flat(load_recipe(FULL, []).to_dict())
    parts = []
    for file in sorted(CONFIGS.glob("*.py")):
        words = ast.get_docstring(ast.parse(file.read_text())) or ""
        title, _, rest = words.partition("\n")
        parts.append(f"### {file.stem}\n\n{title}\n{rest}")
        if file == FULL:
            continue
        mine = _flat(load_recipe(file, []).to_dict())
        changed = [
            f"| `{key}` | `{value!r}` | {_paper(paper, key)} |"
            for key, value in mine.items()
            if paper.get(key, ...) != value
        ]
        parts.append("\n".join(["| key | here | `places2` |", "|---|---|---|", *changed]))
    return "\n\n".join(parts)


def _paper(paper: dict, key: str) -> str:
    return f"`{paper[key]!r}`" if key in paper else ""


def _flat(values: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in sorted(values.items()):
        name = f"{prefix}{key}"
        nested = isinstance(value, dict) and not key.endswith("_optimizer")
        flat |= _flat(value, f"{name}.") if nested else {name: value}
    return flat


def _value(node: ast.expr, source: str) -> str:
    """As the recipe writes it; "" for a ConfigDict that is filled below."""
    if isinstance(node, ast.Call) and not node.args:
        return ""
    if isinstance(node, ast.Call) and not isinstance(node.args[0], ast.Dict):  # a placeholder
        return "None"
    inner = node.args[0] if isinstance(node, ast.Call) else node
    lines = (ast.get_source_segment(source, inner) or "").splitlines()
    return " ".join(line.strip() for line in lines)


def _escape(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")
