"""Paths, names and files that mean harm, or are damaged: refused in words, or harmless; never a traceback, never long."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save_file

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Fault, SpecError, render
from nnspec.drawing import drawn
from nnspec.picture.formats import WRITERS
from nnspec.source import source_of
from nnspec.train import commit, rundir

AT_MOST = 4.0
"""Seconds, of a machine that may be busy."""
WEIGHTS = {"dense.W": np.ones((4, 4), np.float32), "dense.b": np.zeros(4, np.float32)}
BODY = "{ input x: [4]  output y = x -> dense(4) }"


def refused(action: Callable[[], Any]) -> bool:
    """Whether what is done is refused, in words; anything else than that, or than doing it, is an exception here."""
    started = time.process_time()
    try:
        action()
    except (SpecError, Fault) as error:
        found = error.diagnostics if isinstance(error, SpecError) else [error.diagnostic]
        assert all(d.code and d.message for d in found)
        return True
    finally:
        assert time.process_time() - started < AT_MOST
    return False


# ---- paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A spec's folder, with harmless files outside of it, and ways out."""
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    for place in (tmp_path, inside):
        (place / "secret.nn").write_text("fn secret(x) = 2 * x\n")
        save_file(WEIGHTS, place / "secret.safetensors")
    for name, target in (("out.nn", "../secret.nn"), ("out.safetensors", "../secret.safetensors"), ("loop.nn", "loop.nn"), ("up", "..")):
        (inside / name).symlink_to(target)
    for name in ("fifo.nn", "fifo.safetensors"):
        os.mkfifo(inside / name)
    (inside / "folder.nn").mkdir()
    return inside


OUTSIDE = (
    "../secret.nn", "sub/../../secret.nn", "./../secret.nn", "out.nn", "up/secret.nn", "/etc/passwd", "/dev/zero", "//etc/passwd",
    "loop.nn", "fifo.nn", "folder.nn", "", ".", "..", "/", "~/secret.nn", "~root/.profile", "$HOME/secret.nn", "file:///etc/passwd",
    "http://localhost/secret.nn", "C:\\secret.nn", "\\\\server\\secret.nn", "sub", "nowhere.nn", "x" * 5000,
    "sub/" * 500 + "secret.nn", "..\\secret.nn", "secret.nn\t", " secret.nn", "*.nn", "secret.n?", "%2e%2e/secret.nn", "\u202esecret.nn",
)  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("spec", ['import "{}"\nmodel M ' + BODY, 'model M from "{}" ' + BODY])
def test_a_spec_reads_nothing_but_plain_files_of_its_folder(folder: Path, spec: str, path: str) -> None:
    text = spec.replace("{}", path.replace(".nn", ".safetensors") if "from" in spec else path, 1)
    found = Compilation(source_of("t.nn", text.encode()), {}, folder=folder).diagnostics
    assert found and found[0].code in ("E001", "E112", "E302", "E501", "E503"), [d.message for d in found]
    assert "\u202e" not in render(found)


def test_a_plain_file_of_the_folder_is_read(folder: Path) -> None:
    for text in ('import "secret.nn"\nmodel M { input x: [4]  output y = secret(x) }', f'model M from "secret.safetensors" {BODY}'):
        assert not Compilation(source_of("t.nn", text.encode()), {}, folder=folder).diagnostics


# ---- names that act on what shows them

NASTY = (
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\r\noverwritten", "\x00nothing", "\u202eright to left\u202c", "\u2066isolated\u2069",
    "<script>alert(1)</script>", "</svg><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;&amp;", "]]>", "--><b>",
    "=cmd|'/C calc'!A0", "`rm -rf`", "${HOME}", "{{7*7}}", "%s%n", "\\N{BELL}\x07", "end\nsubgraph x", '"];a->b["',
)  # fmt: skip


def harmless(text: str) -> bool:
    """Nothing in it acts on a terminal."""
    return not any(c in text for c in "\x1b\x07\x00\r\u202e\u202c\u2066\u2069")


@pytest.mark.parametrize("name", NASTY)
def test_a_name_acts_on_no_message(name: str) -> None:
    text = f"model M {{ input x: [4]  output y = x -> dense(4) -> {name} }}"
    source = source_of(f"{name}.nn", text.replace("\x00", "\ufffd").encode())
    found = Compilation(source, {}).diagnostics
    assert found and harmless(render(found)) and harmless(render(found, color=False))


@pytest.mark.parametrize("name", NASTY)
def test_a_label_acts_on_no_message(name: str) -> None:
    net = nnspec.loads("model M { input x: [1]  target k: class(2)  output y = x -> dense(2)  loss cross_entropy(y, k) }")
    with pytest.raises(SpecError) as wrong:
        net.gradients(x=np.zeros((3, 1)), k=np.array(["a", name, "c"], dtype=object))
    assert harmless(str(wrong.value))


@pytest.mark.parametrize("name", NASTY)
def test_a_column_acts_on_no_message(name: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'"{name}",b\n1,2\n', newline="")
    spec = 'model M { input x: [1]  output y = x -> dense(1)  loss sum(y) }\ntrain { data csv("t.csv")  epochs 1  optimizer sgd(1) }'
    net = nnspec.Net(Compilation(source_of("t.nn", spec.encode()), {}, folder=tmp_path))
    with pytest.raises(SpecError) as wrong:
        net.dataset()
    assert harmless(str(wrong.value))


@pytest.mark.parametrize(
    "formula", ["if x < 1 and x > 0 then x else 2 * x", "x & x", "max(x, 0) # <b>", "x @ W", '"]]>"', "x -> dense(4) # -->"]
)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_formula_is_text_in_every_picture(formula: str, kind: str) -> None:
    text = f"model Größe {{\n  input x: [4]\n  param W: [4, 4] ~ normal\n  output ŷ = {formula}\n}}"
    spec = Compilation(source_of("t.nn", text.encode()), {})
    if spec.diagnostics:
        assert harmless(render(spec.diagnostics))
        return
    picture = WRITERS[kind](drawn(spec, 1), spec.model.name)
    assert "<b>" not in picture and harmless(picture)
    if kind == "svg":
        ElementTree.fromstring(picture)


# ---- files that are damaged


def damaged(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Cut short, with other bytes here and there, or with more behind."""
    random = np.random.default_rng(seed)
    for number in range(count):
        if number % 5 == 0:
            yield content[: int(random.integers(len(content)))]
        elif number % 5 == 1:
            yield content + bytes(random.integers(0, 256, 50, np.uint8))
        else:
            changed = bytearray(content)
            for at in random.integers(0, min(len(content), 400 if number % 2 else len(content)), 1 + number % 3):
                changed[at] = int(random.integers(256))
            yield bytes(changed)


def test_a_damaged_checkpoint_is_detected_or_harmless(tmp_path: Path) -> None:
    """A thousand bytes are changed, one at a time."""
    path = commit.commit(tmp_path, 5, WEIGHTS, {"settings": {}, "dtype": "float32"})
    random, detected = np.random.default_rng(0), 0
    for _ in range(1000):
        file = path / (commit.STATE if random.random() < 0.5 else commit.MANIFEST)
        content = bytearray(file.read_bytes())
        at = int(random.integers(len(content)))
        before, content[at] = content[at], content[at] ^ int(random.integers(1, 256))
        file.write_bytes(content)
        try:
            arrays = commit.newest(tmp_path).arrays
            assert all(np.array_equal(arrays[n], v) for n, v in WEIGHTS.items())
        except Fault:
            detected += 1
        content[at] = before
        file.write_bytes(content)
    assert detected > 950 and commit.newest(tmp_path).step == 5


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(12.0).reshape(3, 4))
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.arange(12.0).reshape(3, 4))
    return buffer.getvalue()


def csv() -> bytes:
    return b"a,b\n" + b"".join(f"{i},{i / 3}\n".encode() for i in range(20))


def parquet() -> bytes:
    pyarrow, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    buffer = io.BytesIO()
    pq.write_table(pyarrow.table({"a": np.arange(20.0), "b": np.arange(20.0)}), buffer)
    return buffer.getvalue()


def png() -> bytes:
    image, buffer = pytest.importorskip("PIL.Image"), io.BytesIO()
    image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def model_file() -> bytes:
    shape, w = [1, 2], helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


TABLE = "model M { input x: [2]  output y = x -> dense(2)  loss sum(y) }"
READ = {
    "npz": (npz, "t.npz", 'npz("t.npz")', "[4]"),
    "csv": (csv, "t.csv", 'csv("t.csv", x = [a, b])', "[2]"),
    "parquet": (parquet, "t.parquet", 'parquet("t.parquet", x = [a, b])', "[2]"),
    "images": (png, "pets/cat/1.png", 'images("pets", x = image)', "[1, 8, 8]"),
}
EACH = 30


@pytest.mark.parametrize("kind", READ)
def test_a_damaged_data_file_is_refused_or_read(kind: str, tmp_path: Path) -> None:
    make, name, source, shape = READ[kind]
    text = f"model M {{ input x: {shape}  output y = 2 * x  loss sum(y) }}\ntrain {{ data {source}  epochs 1  optimizer sgd(1) }}"
    path, content, told = tmp_path / name, make(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    net = nnspec.Net(Compilation(source_of("t.nn", text.encode()), {}, folder=tmp_path))
    path.write_bytes(content)
    assert not refused(net.dataset)
    for changed in damaged(content, EACH, seed=len(kind)):
        path.write_bytes(changed)
        told += refused(net.dataset)
    assert told > EACH // 5


def test_a_damaged_onnx_file_is_refused_or_read(tmp_path: Path) -> None:
    path, told = tmp_path / "m.onnx", 0
    path.write_bytes(model_file())
    assert not refused(lambda: nnspec.load(path))
    for changed in damaged(model_file(), EACH, seed=3):
        path.write_bytes(changed)
        told += refused(lambda: nnspec.load(path))
    assert told > EACH // 5


def test_damaged_weights_are_refused_or_read(tmp_path: Path) -> None:
    path, told = tmp_path / "w.safetensors", 0
    save_file(WEIGHTS, path)
    content = path.read_bytes()
    text = f'model M from "w.safetensors" {BODY}'.encode()

    def start() -> None:
        nnspec.Net(Compilation(source_of("t.nn", text), {}, folder=tmp_path)).init()

    assert not refused(start)
    for changed in damaged(content, EACH, seed=7):
        path.write_bytes(changed)
        told += refused(start)
    assert told > EACH // 5


TENSOR = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
BIAS = {"dtype": "F32", "shape": [4], "data_offsets": [64, 80]}
HEADERS = {
    "nested without end": "[" * 100_000,
    "a tensor nested without end": f'{{"dense.W": {"[" * 100_000}',
    "numbers of no kind": {"dense.W": TENSOR | {"dtype": "EVIL"}, "dense.b": BIAS},
    "numbers that NumPy lacks": {"dense.W": {"dtype": "BF16", "shape": [4, 8], "data_offsets": [0, 64]}, "dense.b": BIAS},
    "a place before the beginning": {"dense.W": TENSOR | {"data_offsets": [-64, 0]}, "dense.b": BIAS},
    "a place behind the end": {"dense.W": TENSOR | {"data_offsets": [0, 10**15]}, "dense.b": BIAS},
    "a place that is taken": {"dense.W": TENSOR, "dense.b": BIAS | {"data_offsets": [0, 16]}},
    "a gap": {"dense.b": BIAS},
    "another size than its shape says": {"dense.W": TENSOR | {"shape": [4, 5]}, "dense.b": BIAS},
    "a shape that is none": {"dense.W": TENSOR | {"shape": [-4, -4]}, "dense.b": BIAS},
    "a name that comes twice": f'{{"dense.b": {json.dumps(TENSOR)}, "dense.b": {json.dumps(BIAS)}}}',
    "a list": [TENSOR],
}


@pytest.mark.parametrize("kind", HEADERS)
def test_weights_that_cannot_be_loaded_are_refused_by_check(kind: str, tmp_path: Path) -> None:
    content = HEADERS[kind] if isinstance(HEADERS[kind], str) else json.dumps(HEADERS[kind])
    (tmp_path / "w.safetensors").write_bytes(len(content).to_bytes(8, "little") + content.encode() + bytes(80))
    (found,) = Compilation(source_of("t.nn", f'model M from "w.safetensors" {BODY}'.encode()), {}, folder=tmp_path).diagnostics
    assert found.code == "E503" and found.span and found.span.text == '"w.safetensors"'


@pytest.mark.parametrize(("key", "value"), [("offset", "-64"), ("offset", "xyz"), ("length", "xyz"), ("length", "1e3"), ("location", "\0")])
def test_data_beside_an_onnx_model_that_lie_nowhere_are_refused(key: str, value: str, tmp_path: Path) -> None:
    model = onnx.load_from_string(model_file())
    external = {"location": "w.bin", "offset": "0", "length": "16"} | {key: value}
    (w,) = model.graph.initializer
    w.ClearField("float_data")
    w.data_location = TensorProto.EXTERNAL
    w.external_data.extend(onnx.StringStringEntryProto(key=k, value=v) for k, v in external.items())
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(SpecError, match=r"E520.*does not say where the data of `w` lie"):
        nnspec.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"step": 5, "measured": []}', None], ids=["nested", "other", "a pipe"])
def test_a_file_of_a_run_that_says_nothing_is_passed_over(content: str | None, tmp_path: Path) -> None:
    path = commit.commit(tmp_path, 5, WEIGHTS, {"settings": {}, "dtype": "float32"})
    for file in (path / commit.MANIFEST, tmp_path / rundir.METRICS, tmp_path / rundir.JUDGED):
        file.unlink(missing_ok=True)
        os.mkfifo(file) if content is None else file.write_text(content + "\n")
    assert refused(lambda: commit.newest(tmp_path))
    assert not commit.manifest_of(tmp_path, 5) and not rundir.judged(tmp_path, 5)
    if content is None:
        with pytest.raises(OSError, match=r"no plain file.*metrics"):
            rundir.logged(tmp_path)
    else:
        assert not rundir.logged(tmp_path) and rundir.last_epoch(tmp_path) is None


def test_a_pipe_among_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "cat" / "1.png").write_bytes(png())
    os.mkfifo(tmp_path / "pets" / "cat" / "2.png")
    _, _, source, shape = READ["images"]
    text = f"model M {{ input x: {shape}  output y = 2 * x  loss sum(y) }}\ntrain {{ data {source}  epochs 1  optimizer sgd(1) }}"
    net = nnspec.Net(Compilation(source_of("t.nn", text.encode()), {}, folder=tmp_path))
    with pytest.raises(SpecError, match=r"2\.png.*no plain file"):
        net.dataset()


def test_an_archive_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = npy()[:128].replace(b"(3, 4)", b"(99999999,)"[:6])
        archive.writestr("x.npy", header + bytes(200_000_000))
    assert (tmp_path / "t.npz").stat().st_size < 500_000
    text = b'model M { input x: [4]  output y = 2 * x  loss sum(y) }\ntrain { data npz("t.npz")  epochs 1  optimizer sgd(1) }'
    net = nnspec.Net(Compilation(source_of("t.nn", text), {}, folder=tmp_path))
    assert refused(net.dataset)
