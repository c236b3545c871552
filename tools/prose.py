"""Count idioms of translated speech in the project's English, per 1,000 words.

``python tools/prose.py`` measures the whole tree and fails above the ceiling in pyproject.toml; ``make check`` runs it.
``python tools/prose.py PATH...`` measures those files and folders, and ``--show`` prints every line with a hit.

It reads docstrings and comments of .py files, comments of .sql files, and the text of .md files outside code. It is a
smoke detector: a sentence can avoid every idiom and still be hard to read.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]

IDIOMS = {
    "what, as a relative": r"\bwhat\b(?!ever|sapp)",
    "whoever, whatever": r"\b(whoever|whatever|whichever)\b",
    "of which, by which": r"\b(of|by|in|with|to|for|from|at|after|above|up to) which\b",
    "nobody, somebody, none": r"\b(nobody|somebody|none)\b",
    "is to": r"\b(is|are|be|was|were) to (be )?\w+\b",
    "so many, as much": r"\b(so many|as many|so much|as much|so long)\b",
    ", too": r", too\b",
    "is told": r"\b(told|tell|tells|telling)\b",
    "take note": r"\btake note\b",
    "of its own, of ours": r"\b(of (its|their|our|his) own|of ours)\b",
    "by now, meanwhile": r"\b(anew|meanwhile|by now|at once|and so|perhaps)\b",
}

_COMPILED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in IDIOMS.items()}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_CODE_IN_MARKDOWN = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)

Line = tuple[int, str]  # line number, text


@dataclass
class Figures:
    """Words, and hits per idiom."""

    words: int = 0
    hits: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: "Figures") -> None:
        """Add another file's figures."""
        self.words += other.words
        self.hits += other.hits

    @property
    def per_thousand(self) -> float:
        """Hits per 1,000 words; 0 for a file without prose."""
        return 1000 * self.hits.total() / self.words if self.words else 0.0


def prose_lines(suffix: str, text: str) -> list[Line]:
    """Extract the English from the text of a file, with its line numbers."""
    if suffix == ".md":
        without_code = _CODE_IN_MARKDOWN.sub(lambda code: "\n" * code[0].count("\n"), text)
        return list(enumerate(without_code.splitlines(), 1))
    if suffix == ".sql":
        lines = enumerate(text.splitlines(), 1)
        return [(number, line.partition("--")[2]) for number, line in lines if "--" in line]
    return [*_docstrings(text), *_comments(text)]


def _docstrings(source: str) -> Iterator[Line]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            yield from enumerate(docstring.splitlines(), node.body[0].lineno)


def _comments(source: str) -> Iterator[Line]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and "noqa" not in token.string and "pyright" not in token.string:
            yield token.start[0], token.string


def measure(lines: Iterable[Line]) -> Figures:
    """Count words and idioms in lines of prose."""
    figures = Figures()
    for _, text in lines:
        figures.words += len(re.findall(r"[A-Za-z']+", text))
        figures.hits.update({name: len(pattern.findall(text)) for name, pattern in _COMPILED.items()})
    return figures


def find_files(roots: Iterable[Path]) -> list[Path]:
    """List the files to measure, without hidden folders, symbolic links and built packages."""
    found = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    return [path for path in found if path.suffix in {".md", ".py", ".sql"} and path.is_file() and not _skipped(path)]


def _skipped(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts if path.is_relative_to(ROOT) else path.parts
    return "dist" in parts or any(part.startswith(".") for part in parts)


def room_of(path: Path) -> str:
    """Name the room of a file: a folder of the package, a folder at the top, or the file itself."""
    parts = path.parts
    depth = 3 if parts[:2] == ("daemon", "jobhooks") else 1
    return "/".join(parts[:depth])


def ceiling() -> float:
    """Read the ceiling for the whole tree from pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["jobhooks"]["prose"]["ceiling"]


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _print_hits(path: Path, lines: Iterable[Line]) -> None:
    for number, text in sorted(lines):
        for name, pattern in _COMPILED.items():
            if pattern.search(text):
                print(f"{_shown(path)}:{number}: [{name}] {text.strip()}")


def _print_report(files: dict[Path, Figures], total: Figures) -> None:
    rooms: defaultdict[str, Figures] = defaultdict(Figures)
    for path, figures in files.items():
        rooms[room_of(_shown(path))].add(figures)
    print("per 1,000 words, by room:")
    for room, figures in sorted(rooms.items(), key=lambda item: item[1].per_thousand, reverse=True):
        print(f"{figures.per_thousand:7.1f} {room} ({figures.words} words)")
    print("most hits:")
    for path, figures in sorted(files.items(), key=lambda item: item[1].hits.total(), reverse=True)[:10]:
        print(f"{figures.hits.total():7} {_shown(path)}")
    print("per 1,000 words, by idiom:")
    for name in IDIOMS:
        print(f"{1000 * total.hits[name] / (total.words or 1):7.1f} {name}")


def main() -> int:
    """Print the figures; return 1 if the whole tree is above the ceiling."""
    parser = argparse.ArgumentParser(description="Count idioms of translated speech per 1,000 words of prose.")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files and folders; default: all, checked")
    parser.add_argument("--show", action="store_true", help="print every line with a hit")
    parser.add_argument("--quiet", action="store_true", help="print the report only above the ceiling")
    arguments = parser.parse_args()
    files: dict[Path, Figures] = {}
    total = Figures()
    for path in find_files([path.resolve() for path in arguments.paths] or [ROOT]):
        lines = prose_lines(path.suffix, path.read_text("utf-8"))
        total.add(figures := measure(lines))
        files[path] = figures
        if arguments.show:
            _print_hits(path, lines)
    failed = not arguments.paths and total.per_thousand > ceiling()
    if failed or not (arguments.quiet or arguments.show):
        _print_report(files, total)
    print(f"idioms of translated speech: {total.per_thousand:.1f} per 1,000 words ({total.words} words)")
    if failed:
        print(f"above the ceiling of {ceiling()} in pyproject.toml. Try: {sys.argv[0]} --show PATH", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
