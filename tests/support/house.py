"""Figures of the code's structure: `python -m tests.support.house [ROOT]` prints those of a checkout."""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

NETWORKS = {"CompletionNetwork", "ContextEncoder", "ContextDiscriminator", "PatchDiscriminator"}
NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # documented, in spite of their names
T = TypeVar("T", bound=ast.AST)
STEPS = {"completion_step", "discriminator_step", "joint_step"}


class House:
    """The package `glcic_jax` of a checkout, its files parsed."""

    def __init__(self, root: Path):
        self.root, self.package = root, root / "glcic_jax"
        self.trees = {path: ast.parse(path.read_text()) for path in sorted(self.package.rglob("*.py"))}

    def module_of(self, path: Path) -> str:
        """Such as glcic_jax.run.loop."""
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Modules of the package that each module imports, anywhere in its file."""
        modules = {self.module_of(path) for path in self.trees}
        graph = {}
        for path, tree in self.trees.items():
            module = self.module_of(path)
            graph[module] = {name for name in _imported(tree, modules) if name != module}
        return graph

    def rooms(self, path: Path) -> set[str]:
        """The rooms that a file imports from; "" is the package itself."""
        names = set(_imported(self.trees[path], {self.module_of(other) for other in self.trees}))
        return {([*name.split("."), ""])[1] for name in names}

    def circles(self) -> list[list[str]]:
        """Groups of modules that import each other, directly or by way of others."""
        return [group for group in _components(self.imports) if len(group) > 1]

    def count_imports(self, path: Path) -> int:
        """Import statements of a file."""
        return sum(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(self.trees[path]))

    def untyped_dictionaries(self) -> Counter[str]:
        """How often each file says `dict[str, Any]`."""
        found: Counter[str] = Counter()
        for path, tree in self.trees.items():
            found[self._name(path)] += sum(ast.unparse(n) == "dict[str, Any]" for n in _all(tree, ast.Subscript))
        return +found

    def network_checks(self) -> list[str]:
        """Where `isinstance` asks which network something is."""
        return [
            f"{self._name(path)}:{call.lineno}"
            for path, tree in self.trees.items()
            for call in _all(tree, ast.Call)
            if ast.unparse(call.func) == "isinstance" and NETWORKS & set(ast.unparse(call.args[1]).split(" | "))
        ]

    def function_lines(self) -> Counter[str]:
        """Lines of each function, decorators and docstring included."""
        lines: Counter[str] = Counter()
        for path, tree in self.trees.items():
            for node in _all(tree, ast.FunctionDef):
                assert node.end_lineno is not None
                lines[f"{self._name(path)}:{node.name}"] = node.end_lineno - node.lineno + 1
        return lines

    def package_sizes(self) -> dict[str, tuple[int, int]]:
        """Files and lines of each room, and of the files beside them."""
        sizes: dict[str, tuple[int, int]] = {}
        for path in self.trees:
            parts = path.relative_to(self.package).parts
            room = parts[0] if len(parts) > 1 else "(beside them)"
            files, lines = sizes.get(room, (0, 0))
            sizes[room] = files + 1, lines + len(path.read_text().splitlines())
        return sizes

    def files_to_a_step(self) -> list[str]:
        """The shortest chain of files from launch/train.py to the functions that are the steps."""
        start = "glcic_jax.cli.train"  # launch/train.py names its command, and cli/main imports it by that name
        goals = {
            self.module_of(path)
            for path, tree in self.trees.items()
            if {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} >= STEPS
        }
        paths = [[start]]
        seen = {start}
        for path in paths:
            if path[-1] in goals:
                return ["launch/train.py", *path]
            for module in sorted(self.imports[path[-1]] - seen):
                seen.add(module)
                paths.append([*path, module])
        return []

    def _name(self, path: Path) -> str:
        return path.relative_to(self.package).as_posix()


def imports_of_tests(file: Path) -> list[str]:
    """Modules of `tests` other than its support that a test imports."""
    names = [name for node in ast.walk(ast.parse(file.read_text())) for name in _names(node)]
    return [n for n in names if n.split(".")[0] == "tests" and n.split(".")[1:2] not in (["support"], [])]


def private_names(file: Path) -> list[str]:
    """Names with a leading underscore that a test imports or reaches into objects for."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            found.append(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("glcic_jax."):
            found += node.value.split(".")
    return [name for name in found if name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLES]


def _all(tree: ast.AST, kind: type[T]) -> Iterator[T]:
    return (node for node in ast.walk(tree) if isinstance(node, kind))


def _names(node: ast.AST) -> list[str]:
    """What an import statement names, modules and what is taken from them alike."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _imported(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """The modules among `modules` that a file imports."""
    for node in ast.walk(tree):
        names = [name for name in _names(node) if name in modules]
        if len(names) > 1:  # from a package: its modules, not the package itself
            names = names[1:]
        yield from names


def _components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            components.append(sorted(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return components


def main(root: Path) -> None:
    """Prints all figures."""
    house = House(root)
    sizes = house.package_sizes()
    for room, (files, lines) in sorted(sizes.items()):
        print(f"{room:<16}{files:>4} files{lines:>7} lines")
    files, lines = (sum(size[i] for size in sizes.values()) for i in (0, 1))
    print(f"{'all':<16}{files:>4} files{lines:>7} lines")
    loop = next(path for path in house.trees if path.name == "loop.py")
    chain = house.files_to_a_step()
    longest = house.function_lines().most_common(5)
    print("circles:", len(house.circles()), house.circles())
    print("imports of the loop:", house.count_imports(loop))
    print("files from launch/train.py to a step:", len(chain), " > ".join(chain))
    print("dict[str, Any]:", house.untyped_dictionaries().total())
    print("isinstance of networks:", len(house.network_checks()), *house.network_checks())
    print("lines of cli/:", sizes["cli"][1])
    print("longest functions:", ", ".join(f"{name} {lines}" for name, lines in longest))
    tests = sorted((root / "tests").rglob("*.py"))
    print("tests that import tests:", sum(bool(imports_of_tests(file)) for file in tests))
    print("private names in tests:", sum(len(private_names(file)) for file in tests))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2])
