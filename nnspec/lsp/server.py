"""The language server: what an editor asks over its protocol, answered by the functions beside this; the only door of pygls."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, JsonRpcServerNotInitialized
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from nnspec import resources
from nnspec.diagnostics import Diagnostic, Fault, Source, Span
from nnspec.lsp.complete import completions
from nnspec.lsp.document import Document
from nnspec.lsp.explain import defined_at, hover
from nnspec.lsp.outline import Entry, folds, outline
from nnspec.lsp.project import documents
from nnspec.lsp.rename import renamed as rename
from nnspec.syntax.format import formatted
from nnspec.version import VERSION

SEVERITY = {"error": lsp.DiagnosticSeverity.Error, "warning": lsp.DiagnosticSeverity.Warning}
KINDS = {
    "layer": lsp.CompletionItemKind.Class, "model": lsp.CompletionItemKind.Class, "word": lsp.CompletionItemKind.Keyword,
    "setting": lsp.CompletionItemKind.Property, "argument": lsp.CompletionItemKind.Field, "constant": lsp.CompletionItemKind.Constant,
    "choice": lsp.CompletionItemKind.EnumMember,
}  # fmt: skip
SYMBOLS = {
    "model": lsp.SymbolKind.Class, "layer": lsp.SymbolKind.Class, "fn": lsp.SymbolKind.Function, "init": lsp.SymbolKind.Function,
    "optimizer": lsp.SymbolKind.Function, "schedule": lsp.SymbolKind.Function, "share": lsp.SymbolKind.Function,
    "train": lsp.SymbolKind.Event, "test": lsp.SymbolKind.Method, "import": lsp.SymbolKind.File, "let": lsp.SymbolKind.Constant,
    "param": lsp.SymbolKind.Field, "state": lsp.SymbolKind.Field, "input": lsp.SymbolKind.Interface, "target": lsp.SymbolKind.Interface,
    "setting": lsp.SymbolKind.Property,
}  # fmt: skip
FUNCTIONS = ("fn", "primitive", "loss", "metric", "init", "optimizer", "schedule")


class Server(LanguageServer):
    """Keeps the last version of every open file as a `Document`."""

    def __init__(self) -> None:
        super().__init__("nnspec", VERSION)
        self.open: dict[str, Document] = {}
        self.past: list[Document] = []
        """Versions that are no more, and go once nobody waits for what is said of the next."""
        self.wrong: set[str] = set()
        """The files that had mistakes when something was last said of them."""
        self.shut, self.code = False, 0
        """Whether it was asked to shut down, and what the process ends with: 1 where it was not, and has to exit."""

    def read(self, uri: str) -> Document:
        """The file as the editor has it now."""
        try:
            text = self.workspace.get_text_document(uri).source
        except OSError as error:
            raise JsonRpcInvalidParams(f"`{_path(uri)}` is not open, and cannot be read: {error.strerror}") from None
        except RuntimeError:  # of pygls, which has no workspace yet
            raise JsonRpcServerNotInitialized("`initialize` comes first") from None
        known, path = self.open.get(uri), _path(uri)
        others = {_path(other).resolve(): d.source for other, d in self.workspace.text_documents.items() if other != uri}
        if known is None:
            known = self.open[uri] = Document(Source(path.name, text), path.parent, others)
        elif known.source.text != text or known.opened != others:
            self.past.append(known)
            known = self.open[uri] = known.edited(text, others)
        return known

    def project(self, document: Document, word: str) -> Iterator[Document]:
        """The files of the document's project in which a word stands."""
        folders = (_path(f.uri).resolve() for f in self.workspace.folders.values())
        root = next((f for f in folders if document.path.is_relative_to(f)), document.folder)
        return documents(root, document.opened, word)

    def uri(self, path: Path) -> str:
        """As the editor calls a file that it has open."""
        return next((uri for uri in self.workspace.text_documents if _path(uri).resolve() == path), None) or from_fs_path(str(path)) or ""

    def offset(self, uri: str, position: lsp.Position) -> int:
        return self.workspace.get_text_document(uri).offset_at_position(position)

    def say(self, uri: str) -> None:
        """Send what is wrong with a file: mistakes as soon as they are there, or gone; and all once it is known, if that is more."""
        document = self.read(uri)
        first = document.first_mistakes
        early = bool(first) or uri in self.wrong
        if early:
            self._publish(uri, first)
        found = document.mistakes
        if not early or len(found) > len(first):
            self._publish(uri, found)

    def _publish(self, uri: str, found: Sequence[Diagnostic]) -> None:
        (self.wrong.add if any(d.level == "error" for d in found) else self.wrong.discard)(uri)
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, [_diagnostic(d) for d in found]))

    def say_of(self, uri: str) -> None:
        """Send what is wrong with a file that has changed, and with those that import it."""
        self.say(uri)
        for other, document in list(self.open.items()):
            if other != uri and _path(uri).resolve() in document.imported:
                self.say(other)
        self.past.clear()  # now that all is said, and before the next key
        gc.collect()


def _path(uri: str) -> Path:
    return Path(to_fs_path(uri) or "untitled.nn")


def position(source: Source, offset: int) -> lsp.Position:
    """Line and column from 0; the protocol counts columns in units of UTF-16."""
    line, column = source.position(offset)
    before = source.text[offset - column + 1 : offset]
    return lsp.Position(line - 1, len(before.encode("utf-16-le")) // 2)


def place(span: Span | None) -> lsp.Range:
    """A range; that of a mistake without a place is the beginning of the file."""
    if span is None:
        return lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
    return lsp.Range(position(span.source, span.start), position(span.source, span.end))


def _diagnostic(d: Diagnostic) -> lsp.Diagnostic:
    text = "\n".join(filter(None, (d.message, d.label, *(f"{span}: {note}" for span, note in d.notes), d.help)))
    return lsp.Diagnostic(place(d.span), text, SEVERITY[d.level], d.code, source="nnspec")


def server() -> Server:
    """A server with all it can do."""
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_failure)
    ls = Server()
    for features in (_ending, _watching, _answering, _overview, _editing):
        features(ls)
    return ls


def _is_failure(record: logging.LogRecord) -> bool:
    """Whether pygls has more to log than that a request was refused, which its answer says."""
    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException))


def _ending(ls: Server) -> None:
    """What the protocol wants of the exit code."""

    @ls.feature(lsp.SHUTDOWN)
    def shut(_: None) -> None:
        ls.shut = True

    @ls.feature(lsp.EXIT)
    def left(_: None) -> None:
        ls.code = 0 if ls.shut else 1


def _watching(ls: Server) -> None:
    """What is wrong with a file, whenever it changes."""

    @ls.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        ls.say_of(params.text_document.uri)

    @ls.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        ls.say_of(params.text_document.uri)

    @ls.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        ls.open.pop(params.text_document.uri, None)
        ls._publish(params.text_document.uri, [])


def _answering(ls: Server) -> None:
    """What stands at a place, what could, and where it comes from."""

    @ls.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hovered(params: lsp.HoverParams) -> lsp.Hover | None:
        uri = params.text_document.uri
        text = hover(ls.read(uri), ls.offset(uri, params.position))
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text)) if text else None

    @ls.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=[">", "(", "~", "."]))
    def completed(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        uri = params.text_document.uri
        return [
            lsp.CompletionItem(
                c.label,
                kind=KINDS.get(c.kind, lsp.CompletionItemKind.Function if c.kind in FUNCTIONS else lsp.CompletionItemKind.Variable),
                detail=c.detail or c.kind,
                documentation=c.doc or None,
                insert_text=c.insert or None,
                sort_text=f"{order:04}",
            )
            for order, c in enumerate(completions(ls.read(uri), ls.offset(uri, params.position)))
        ]

    @ls.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def defined(params: lsp.DefinitionParams) -> lsp.Location | None:
        uri = params.text_document.uri
        document = ls.read(uri)
        span = defined_at(document, ls.offset(uri, params.position))
        return lsp.Location(_uri_of(span, document, uri), place(span)) if span else None


def _overview(ls: Server) -> None:
    """What the file is made of."""

    @ls.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        return [_symbol(entry) for entry in outline(ls.read(params.text_document.uri).compilation.parsed[0])]

    @ls.feature(lsp.TEXT_DOCUMENT_FOLDING_RANGE)
    def folded(params: lsp.FoldingRangeParams) -> list[lsp.FoldingRange]:
        return [lsp.FoldingRange(first - 1, last - 1) for first, last in folds(ls.read(params.text_document.uri).compilation.parsed[0])]


def _symbol(entry: Entry) -> lsp.DocumentSymbol:
    kind = SYMBOLS.get(entry.kind, lsp.SymbolKind.Variable)
    children = [_symbol(child) for child in entry.children]
    return lsp.DocumentSymbol(entry.name, kind, place(entry.span), place(entry.place), entry.detail or entry.kind, children=children)


def _editing(ls: Server) -> None:
    """Changes of the text: other names, fixes, the layout."""

    @ls.feature(lsp.TEXT_DOCUMENT_RENAME)
    def renamed(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        document, offset = ls.read(params.text_document.uri), ls.offset(params.text_document.uri, params.position)
        name = document.names.at(offset)
        try:
            new = normalize("NFC", params.new_name)
            places = rename(document, offset, new, ls.project(document, name.name) if name else ())
        except Fault as error:
            raise JsonRpcInvalidParams(error.diagnostic.message) from None
        return lsp.WorkspaceEdit({ls.uri(d.path): [lsp.TextEdit(place(s), new) for s in spans] for d, spans in places.items()})

    @ls.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix]))
    def fixed(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        return [
            lsp.CodeAction(
                d.help or (f"write `{text}`" if text else "leave it out"),
                lsp.CodeActionKind.QuickFix,
                [_diagnostic(d)],
                is_preferred=bool(d.fix and d.fix.safe),
                edit=lsp.WorkspaceEdit({uri: [lsp.TextEdit(place(span), text)]}),
            )
            for d, span, text in ls.read(uri).fixes
            if _touches(place(d.span), params.range)
        ]

    @ls.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def laid_out(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        source = ls.read(params.text_document.uri).source
        text, _ = formatted(source)
        return [lsp.TextEdit(place(Span(source, 0, len(source.text))), text)] if text != source.text else []


def _uri_of(span: Span, document: Document, uri: str) -> str:
    """The file of a span: the open one, the library's, or an imported one."""
    if span.source is document.source:
        return uri
    name = span.source.name
    path = resources.std() / Path(name).name if span.source.library else document.folder / name
    return from_fs_path(str(path)) or uri


def _touches(a: lsp.Range, b: lsp.Range) -> bool:
    return (a.start.line, a.start.character) <= (b.end.line, b.end.character) and (b.start.line, b.start.character) <= (
        a.end.line,
        a.end.character,
    )
