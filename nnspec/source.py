"""Specs from files: the one that was asked for, one of the gallery, and those a spec imports."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nnspec import limits
from nnspec.diagnostics import Diagnostic, Fault, Source, Span, did_you_mean, fault
from nnspec.files import contained, is_plain_file
from nnspec.lazy import Module
from nnspec.record import dataclass
from nnspec.syntax import ast
from nnspec.syntax.parser import parse

if TYPE_CHECKING:
    from nnspec import gallery
else:
    gallery = Module("nnspec.gallery")

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How such texts begin."""
ONNX = ".onnx"
"""What the file of a model ends with that is no text, and stands where a spec does."""


def path_of(name: str | Path) -> Path:
    """The file of a spec, or of the gallery's spec of that name."""
    path = Path(name)
    if is_plain_file(path) or len(path.parts) > 1:
        return path
    own = gallery.path(path.name)
    return own if is_plain_file(own) else path


def folder_of(name: str | Path) -> Path:
    """Where the files lie that a spec speaks of."""
    return path_of(name).parent


def read_source(name: str | Path) -> Source:
    """The text of a spec: a file, or the name of one in the gallery.

    Faults: E501 when there is no such file, E502 when it is too large, E503 when it is empty or no text.
    """
    path = path_of(name)
    if not is_plain_file(path):
        raise _no_file(str(name), path)
    return source_of(str(name) if path.name == Path(name).name else path.name, _bytes(path))


def _no_file(name: str, path: Path) -> Fault:
    """What stands there instead, or what may have been meant."""
    if not name.strip():
        return fault("E501", "the name of the spec is empty")
    if path.is_dir():
        help_ = f"its spec is {path / 'spec.nn'}; `nnspec eval` and `nnspec.open` take the run" if (path / "spec.nn").is_file() else ""
        return fault("E501", f"`{name}` is a folder, not a spec", help=help_)
    if path.exists():
        return fault("E501", f"`{name}` is no plain file", help="`-` stands for stdin")
    if path.is_symlink():
        return fault("E501", f"`{name}` is a link to `{path.readlink()}`, by which no file is reached")
    beside = [str(p) for p in path.parent.glob("*.nn")] if path.parent.is_dir() else []
    meant = did_you_mean(name, [*beside, *gallery.names()])
    return fault("E501", f"there is no file `{name}`", help=meant or "`nnspec new --list` says which specs the gallery has")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as f:
            return f.read(limits.most("source") + 1)
    except OSError as error:
        raise fault("E501", f"cannot read {path}: {error.strerror}") from None


def source_of(name: str, content: bytes) -> Source:
    """Bytes as the source of a spec."""
    if len(content) > limits.most("source"):
        raise limits.exceeded("source", f"{name} is larger than {limits.most('source') / limits.MIB:g} MiB, the most a spec may have")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault("E503", f"{name} is not text: byte {error.start} is no UTF-8", help=_in_utf_8(content)) from None
    if "\0" in text:
        raise fault("E503", f"{name} is not text: byte {text.index(chr(0))} is zero", help=_in_utf_8(content))
    if not text.strip():
        raise fault("E503", f"{name} is empty", help="a spec has at least a model: `model Name { ... }`")
    return Source(name, unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))


def _in_utf_8(content: bytes) -> str:
    """Help for text in another encoding; none for what is no text at all."""
    wide = content.startswith(UTF_16) or content[1:20:2] == bytes(10) or content[0:20:2] == bytes(10)
    return f"save it as UTF-8{', for this is UTF-16' if wide else ''}" if wide or b"\0" not in content else ""


@dataclass
class Imports:
    """The files a spec imports, and those they import, each once and before what needs it; `texts` by path from the folder.

    `shown` is the folder as a person knows it, in whose words the places of mistakes are said.
    """

    folder: Path
    shown: Path = Path()
    specs: list[ast.Spec] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    opened: Mapping[Path, str] = field(default_factory=dict)

    def gather(self, spec: ast.Spec, place: Path = Path(), chain: tuple[str, ...] = ()) -> Imports:
        for wish in (d for d in spec.definitions if isinstance(d, ast.Import)):
            try:
                self._import(wish, place, chain)
            except Fault as error:
                self.diagnostics.append(error.diagnostic)
        return self

    def _import(self, wish: ast.Import, place: Path, chain: tuple[str, ...]) -> None:
        relative = place / wish.path
        name, path = relative.as_posix(), contained(self.folder, relative, wish.span)
        if name in chain:
            raise fault("E112", f"`{name}` imports itself: {' -> '.join((*chain, name))}", wish.span)
        if name in self.texts:
            return
        for limit, number in (("depth", len(chain)), ("imports", len(self.texts))):
            if number >= limits.most(limit):
                raise limits.exceeded(limit, f"more than {limits.most(limit)} {limits.LIMITS[limit].what}", wish.span)
        source = replace(_imported(path, name, wish.span, self.opened), name=(self.shown / relative).as_posix())
        self.texts[name] = source.text
        if sum(map(len, self.texts.values())) > limits.most("sources"):
            most = limits.most("sources") / limits.MIB
            raise limits.exceeded("sources", f"a spec and what it imports have at most {most:g} MiB", wish.span)
        spec, diagnostics = parse(source)
        self.diagnostics += diagnostics
        self.gather(spec, relative.parent, (*chain, name))
        self.specs.append(spec)

    def joined(self, spec: ast.Spec) -> ast.Spec:
        """The spec with the definitions of all files before its own."""
        lost = spec.lost.union(*(s.lost for s in self.specs))
        return replace(spec, definitions=(*(d for s in self.specs for d in _definitions(s)), *spec.definitions), lost=lost)


def _imported(path: Path, name: str, span: Span, opened: Mapping[Path, str]) -> Source:
    if path not in opened and not is_plain_file(path):
        raise fault("E501", f"there is no file `{name}` to import", span)
    try:
        return source_of(name, opened[path].encode() if path in opened else _bytes(path))
    except Fault as error:
        raise Fault(replace(error.diagnostic, span=span)) from None


def _definitions(spec: ast.Spec) -> Iterator[ast.TopLevel]:
    """What an import brings: no training and no tests."""
    return (d for d in spec.definitions if isinstance(d, ast.Definition | ast.Let))
