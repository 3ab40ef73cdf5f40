"""The page that trains in a browser: headless Chromium takes the steps that the numpy engine takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import MNIST

import nnspec
from nnspec.train.schedule import LearningRate
from tools.browser.build import TRAINED, build
from tools.browser.serve import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STEPS = 20
SPECS: dict[str, tuple[str, dict[str, Any]]] = {"spirals": ("spirals", {}), "mnist": ("mnist_mlp", {"width": 64})}

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed (apt-get install chromium)"),
    pytest.mark.skipif(not shutil.which("npm"), reason="npm, which fetches onnxruntime-web, is not installed"),
    pytest.mark.skipif(not MNIST.is_dir(), reason=f"there are no files of MNIST in {MNIST}"),
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the page says of each training after some steps."""
    folder = tmp_path_factory.mktemp("site")
    build(folder, MNIST)
    with Site(folder) as site:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]
        browser = subprocess.Popen([str(CHROMIUM), *options, f"{site.address}?report={STEPS}"], stderr=subprocess.DEVNULL)
        try:
            found = [site.reports.get(timeout=120) for _ in SPECS]
        finally:
            browser.terminate()
            browser.wait()
    return {report["name"]: report for report in found}


@pytest.mark.parametrize("name", SPECS)
def test_the_browser_takes_the_steps_that_the_engine_takes(reports: dict[str, dict[str, Any]], name: str) -> None:
    report = reports[name]
    assert "wrong" not in report, report
    expected = losses(*SPECS[name])
    assert len(report["losses"]) == STEPS
    assert np.allclose(report["losses"], expected, rtol=0, atol=1e-5 * max(expected))
    assert 0 <= report["accuracy"] <= 1


def losses(spec: str, settings: dict[str, Any]) -> list[float]:
    """Those of the first steps of a training on what the page trains on."""
    net = nnspec.load(spec, engine="numpy", **settings)
    training = net.spec.trainings[0]
    train = {n: v[:TRAINED] for n, v in net.dataset(str(MNIST) if spec == "mnist_mlp" else None).train.items()}
    count = len(next(iter(train.values())))
    rate = LearningRate(net.spec, training.epochs or 1, (training.epochs or 1) * -(-count // training.batch), 0)
    order = np.random.default_rng([training.seed, 1]).permutation(count)
    batches = (order[i * training.batch : (i + 1) * training.batch] for i in range(STEPS))
    return [net.engine.step({n: v[rows] for n, v in train.items()}, rate(0, i)) for i, rows in enumerate(batches)]


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    page = Path(__file__).parent.parent / "tools" / "browser" / "page"
    texts = {path.name: path.read_text("utf-8") for path in page.iterdir()}
    assert "default-src 'none'" in texts["index.html"]
    assert not [name for name, text in texts.items() if "http://" in text or "https://" in text]
