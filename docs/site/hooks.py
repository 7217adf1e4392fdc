"""What `mkdocs build` asks for beside the pages of docs/: generated parts, and pages for the files that they link to.

Links out of docs/, such as ../configs/places2.py, lead to files of the repository. In the site each of those is a page
that shows the file, so that the site needs no other address.
"""

import ast
import posixpath
import re
import sys
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

from commands import describe_commands
from recipe_keys import describe_keys, describe_overlays

PROJECT_PAGES = {
    "README.ja.md": "ja.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""Files of the repository's root that are pages of the site."""

GENERATED = {
    "<!-- generated: keys -->": describe_keys,
    "<!-- generated: overlays -->": describe_overlays,
    "<!-- generated: commands -->": describe_commands,
}

_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<after>#[^)\s]*)?\)")
_FROM_OUTSIDE = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\s(?:src|href)=\"https?://[^\"]*")
_LEXERS = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json", "": "sh"}


def on_files(files, config):
    """Adds the root's pages, and a page for every file that a page links to."""
    for name, page in PROJECT_PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    sources = {
        path
        for file in files.documentation_pages()
        for path in _linked_files(file.content_string, _home_of(file.src_uri))
    }
    for path in sorted(sources):
        files.append(File.generated(config, _page_of(path), content=_show(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Puts in what is generated, and turns links to the repository's files to their pages."""
    for marker, describe in GENERATED.items():
        if marker in markdown:
            markdown = markdown.replace(marker, describe())
    if page.file.src_uri.startswith("source/"):
        return markdown
    home = _home_of(page.file.src_uri)

    def turn(match: re.Match) -> str:
        path = _resolve(match["target"], home)
        if path is None:
            return match[0]
        target = posixpath.relpath(_page_of(path), posixpath.dirname(page.file.src_uri) or ".")
        place = match["after"] or "" if path.startswith("docs/") or path in PROJECT_PAGES else ""
        return f"{match['before']}{target}{place})"

    return _LINK.sub(turn, markdown)


def on_post_page(output, page, config):
    """A page that would ask another server for something is an error."""
    if found := _FROM_OUTSIDE.search(output):
        raise PluginError(f"{page.file.src_uri} loads from outside: {found[0]}")
    return output


def _home_of(src_uri: str) -> str:
    """The folder that a page's links start from, in the repository."""
    return "." if src_uri in PROJECT_PAGES.values() else posixpath.join("docs", posixpath.dirname(src_uri))


def _linked_files(markdown: str, home: str) -> set[str]:
    found = {_resolve(match["target"], home) for match in _LINK.finditer(markdown)}
    return {path for path in found if path and path not in PROJECT_PAGES and not path.startswith("docs/")}


def _resolve(target: str, home: str) -> str | None:
    """A link's place in the repository, if it leads out of docs/ or comes from a page that lies outside."""
    if "://" in target or target.startswith("mailto:"):
        return None
    path = posixpath.normpath(posixpath.join(home, target))
    inside = path.startswith("docs/")
    return path if (ROOT / path).exists() and (not inside or home == ".") else None


def _page_of(path: str) -> str:
    """The page that shows a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    shown = path.lstrip(".").removesuffix(".md")  # MkDocs leaves hidden folders out
    return PROJECT_PAGES.get(path, f"source/{shown}.md")


def _show(path: str) -> str:
    file = ROOT / path
    options = "---\nsearch:\n  exclude: true\nhide: [toc]\n---\n\n"
    if file.is_dir():
        return f"{options}# {path}/\n\n{_list(file)}\n"
    text = file.read_text()
    if file.suffix == ".md":  # its own links lead to places that may have no page
        return options + re.sub(r"!?\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)
    return f"{options}# {path}\n\n````{_LEXERS.get(file.suffix, 'text')}\n{text}\n````\n"


def _list(folder: Path) -> str:
    """Files of a folder with the first lines of their docstrings."""
    rows = ["| file | what it says of itself |", "|---|---|"]
    for file in sorted(folder.glob("*.py")):
        text = ast.get_docstring(ast.parse(file.read_text())) or ""
        rows.append(f"| `{file.name}` | {text.splitlines()[0] if text else ''} |".replace("||", "| |"))
    return "\n".join(rows)
