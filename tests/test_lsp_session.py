"""The language server as an editor speaks with it: what is typed, and what it is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_lsp
from editing import BLOCKS, FILES, SPEC, document, written
from helpers import GALLERY, ROOT
from lsprotocol import types as lsp
from pytest_lsp import ClientServerConfig, LanguageClient

from nnspec import gallery
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.lsp.document import Document
from nnspec.lsp.server import Server


def test_a_mistake_is_told_as_soon_as_it_is_there_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    right = "model M { input x: [4, 4, 4]  output y = x -> flatten -> dense(2) -> dense(2) }"
    texts = {
        right.replace("dense(2)", "dens(2)"): [["E101", "E101"]],
        right: [[], ["W101"]],
        right.replace("flatten", "flatten -> tanh"): [["W101"]],
        right.replace("x -> flatten", "x -> odd") + " layer odd(x) = if training then x + zeros(3) else x": [["E201"]],
    }
    server, told = Server(), list[list[str]]()
    monkeypatch.setattr(server, "text_document_publish_diagnostics", lambda p: told.append([d.code for d in p.diagnostics]))
    for text, expected in texts.items():
        monkeypatch.setattr(server, "read", lambda _, text=text: document(text))
        told.clear()
        server.say("net.nn")
        assert told == expected


@pytest.mark.parametrize("name", GALLERY)
def test_a_version_is_told_what_a_fresh_look_at_it_finds(name: str) -> None:
    text, random = gallery.read(name).text, Random(name)
    now = Document(Source("net.nn", text), ROOT / "specs")
    for _ in range(EDITS):
        text = random.choice(EDITED)(text, random)
        now, fresh = now.edited(text, {}), Document(Source("net.nn", text), ROOT / "specs")
        assert (now.first_mistakes, now.mistakes) == (fresh.first_mistakes, fresh.mistakes), text


def _at_a_line(edit: Callable[[str], str]) -> Callable[[str, Random], str]:
    def edited(text: str, random: Random) -> str:
        lines = text.split("\n")
        at = random.randrange(len(lines))
        return "\n".join([*lines[:at], edit(lines[at]), *lines[at + 1 :]])

    return edited


EDITS = 25
EDITED = [
    _at_a_line(lambda line: f"{line}  # mine"),
    _at_a_line(lambda line: f"{line}\n\n   # nnspec: allow W101, W109"),
    _at_a_line(lambda line: f"\n# said\n{line}   "),
    _at_a_line(lambda line: f"# {line}"),
    _at_a_line(lambda line: line.lstrip("# ")),
    _at_a_line(lambda line: f"  {line}"),
    _at_a_line(lambda line: line.replace("relu", "rellu").replace("(", "( ", 1)),
    _at_a_line(lambda line: line.replace("rellu", "relu").partition("#")[0]),
    lambda text, random: text[: (at := random.randrange(len(text)))] + random.choice('#"\n 0') + text[at:],
]


def test_a_comment_is_no_other_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Document(Source("net.nn", "model M { input x: [4]\n output y = x -> dense(2) }"), ROOT)
    assert now.is_right
    allowing = now.edited(f"{now.source.text}  # nnspec: allow W101: so it is", {})
    assert not allowing.right and allowing.is_right
    monkeypatch.setattr(Compilation, "diagnostics", property(lambda _: pytest.fail("this was checked before")))
    for same in (now, allowing):
        assert same.edited(same.source.text.replace("\n", "  # two\n"), {}).mistakes == []


@pytest_lsp.fixture(config=ClientServerConfig(server_command=[sys.executable, "-m", "nnspec", "lsp"], server_env={"PYTHONPATH": str(ROOT)}))
async def client(lsp_client: LanguageClient) -> Any:
    await lsp_client.initialize_session(lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), workspace_folders=[]))
    yield
    await lsp_client.shutdown_session()


async def until(client: LanguageClient, uri: str, *codes: str) -> None:
    """Until the mistakes of a file that the server has told last are these; it may tell of several files at once."""
    async with asyncio.timeout(60):
        while uri not in client.diagnostics or [d.code for d in client.diagnostics[uri]] != list(codes):
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_session(client: LanguageClient, tmp_path: Path) -> None:
    uri = (tmp_path / "net.nn").as_uri()
    text = SPEC.replace("act = tanh", "atc = tanh")
    client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "nnspec", 1, text)))
    await until(client, uri, "E102")
    (mistake,) = client.diagnostics[uri]
    assert mistake.range.start.line == 9

    document = lsp.TextDocumentIdentifier(uri)
    (action,) = await client.text_document_code_action_async(
        lsp.CodeActionParams(document, mistake.range, lsp.CodeActionContext(client.diagnostics[uri]))
    )
    (edit,) = action.edit.changes[uri]
    assert edit.new_text == "act" and edit.range == mistake.range

    change = lsp.TextDocumentContentChangePartial(edit.range, edit.new_text)
    client.text_document_did_change(lsp.DidChangeTextDocumentParams(lsp.VersionedTextDocumentIdentifier(2, uri), [change]))
    await until(client, uri)

    place = lsp.Position(9, 3)
    shown = await client.text_document_hover_async(lsp.HoverParams(document, place))
    assert "code: [32]" in shown.contents.value
    offered = await client.text_document_completion_async(lsp.CompletionParams(document, lsp.Position(10, 19)))
    assert "dense" in [c.label for c in offered]
    edits = await client.text_document_rename_async(lsp.RenameParams(document, place, "hidden"))
    assert len(edits.changes[uri]) == 2
    where = await client.text_document_definition_async(lsp.DefinitionParams(document, lsp.Position(10, 21)))
    assert where.uri.endswith("nnspec/std/layers.nn")
    symbols = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
    assert [s.name for s in symbols] == ["width", "wide", "Net", "train", "it runs"]
    assert [s.name for s in symbols[2].children] == ["image", "digit", "code", "logits", "probs", "fit"]
    folds = await client.text_document_folding_range_async(lsp.FoldingRangeParams(document))
    assert (5, 14) in [(f.start_line, f.end_line) for f in folds]
    assert not await client.text_document_formatting_async(lsp.DocumentFormattingParams(document, lsp.FormattingOptions(2, True)))


@pytest.mark.asyncio
async def test_a_session_over_two_files(client: LanguageClient, tmp_path: Path) -> None:
    """A file that imports another follows what is typed there, and is renamed with it."""
    written(tmp_path, FILES)
    net, blocks = ((tmp_path / name).as_uri() for name in ("net.nn", "parts/blocks.nn"))
    for uri, text in ((net, FILES["net.nn"]), (blocks, BLOCKS)):
        client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "nnspec", 1, text)))
    await until(client, net)

    place = lsp.Range(lsp.Position(2, 6), lsp.Position(2, 11))
    for version, old, new in ((2, place, "blok"), (3, lsp.Range(place.start, lsp.Position(2, 10)), "block")):
        change = lsp.TextDocumentContentChangePartial(old, new)
        client.text_document_did_change(lsp.DidChangeTextDocumentParams(lsp.VersionedTextDocumentIdentifier(version, blocks), [change]))
        await until(client, net, *(["E101"] if new == "blok" else []))

    edits = await client.text_document_rename_async(lsp.RenameParams(lsp.TextDocumentIdentifier(blocks), place.start, "unit"))
    assert {uri.rpartition("/")[2]: len(found) for uri, found in edits.changes.items()} == {"blocks.nn": 1, "more.nn": 2, "net.nn": 1}


def ended(*messages: dict[str, Any]) -> tuple[int, str, str]:
    """What the server ends with after these messages, all it has said to them, and what besides."""
    bodies = [json.dumps({"jsonrpc": "2.0", **m}) for m in messages]
    said = "".join(f"Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies)
    done = subprocess.run([sys.executable, "-m", "nnspec", "lsp"], input=said, capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, done.stdout, done.stderr


INITIALIZE = {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}}
HOVER = {
    "id": 2,
    "method": "textDocument/hover",
    "params": {"textDocument": {"uri": "file:///nosuch/net.nn"}, "position": {"line": 0, "character": 0}},
}
SHUTDOWN, EXIT = {"id": 3, "method": "shutdown"}, {"method": "exit"}


def test_the_exit_code_says_whether_a_shutdown_was_asked_for() -> None:
    assert ended(INITIALIZE, SHUTDOWN, EXIT)[0] == 0
    assert ended(INITIALIZE, EXIT)[0] == 1


@pytest.mark.parametrize(
    ("before", "code", "message"),
    [((INITIALIZE,), -32602, "is not open, and cannot be read: No such file or directory"), ((), -32002, "`initialize` comes first")],
)
def test_what_cannot_be_answered_is_told_without_a_traceback(before: tuple[dict[str, Any], ...], code: int, message: str) -> None:
    _, out, beside = ended(*before, HOVER, EXIT)
    assert f'"code":{code}' in out.replace(" ", "") and message in out and "Traceback" not in out + beside


def test_a_refused_name_is_an_answer_and_no_failure() -> None:
    uri = "file:///nosuch/net.nn"
    opened = {"method": "textDocument/didOpen", "params": {"textDocument": {"uri": uri, "languageId": "nn", "version": 1, "text": SPEC}}}
    rename = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 5}, "newName": "1a"}
    _, out, beside = ended(INITIALIZE, opened, {"id": 2, "method": "textDocument/rename", "params": rename}, SHUTDOWN, EXIT)
    assert "`1a` cannot be a name" in out and beside == ""
