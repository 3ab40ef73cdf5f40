"""The language server in an editor that nobody here wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

BROKEN = """\
model Net {
  input x: [4]
  target y:   class(3)
  hidden = x -> dense(8) -> rellu
  logits =   hidden -> dense(3)
  output logits
  loss cross_entropy(logits,y)
}
"""
SESSION = Path(__file__).parent / "editors" / "session.lua"


@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim is not installed")
def test_neovim_shows_mistakes_and_hovers_renames_and_lays_out(tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text(BROKEN, "utf-8")
    command = json.dumps([sys.executable, "-m", "nnspec", "lsp"])
    files = {"NNSPEC_SEEN": str(tmp_path / "seen.json"), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NNSPEC_LSP": command, **files}
    started = ["nvim", "--headless", "--clean", "-n", "net.nn", "-S", str(SESSION)]
    subprocess.run(started, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=True)
    seen = json.loads((tmp_path / "seen.json").read_text("utf-8"))
    assert "problem" not in seen, seen["problem"]
    (mistake,) = seen["mistakes"]
    assert (mistake["code"], mistake["line"], mistake["column"]) == ("E101", 4, 29) and "rellu" in mistake["message"]
    assert seen["mended"] and "[8]" in seen["hover"]
    assert seen["renamed"].count("code") == 2 and "code = x -> dense(8) -> relu" in seen["renamed"]
    assert seen["formatted"].splitlines() == [
        "model Net {",
        "  input  x: [4]",
        "  target y: class(3)",
        "  code   = x -> dense(8) -> relu",
        "  logits = code -> dense(3)",
        "  output logits",
        "  loss   cross_entropy(logits, y)",
        "}",
    ]
