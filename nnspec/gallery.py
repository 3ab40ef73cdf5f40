"""The gallery: the specs that come with nnspec, and new ones begun from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from nnspec import resources
from nnspec.diagnostics import Fault, Source, did_you_mean, fault
from nnspec.files import write_new, write_whole, writing
from nnspec.fixes import replaced
from nnspec.syntax import ast
from nnspec.syntax.parser import parse

COURSE: Mapping[str, Mapping[str, str]] = {
    "First steps": {
        "xor": "why a hidden layer is needed, proved by a test",
        "mazur": "backpropagation by hand, to eight digits",
        "linear_models": "linear models one after the other are one",
        "digits": "the first network to train",
        "spirals": "two classes that no line divides",
    },
    "Tables of data": {
        "regression_1d": "the line of least squares by gradient descent, and when to stop",
        "logistic": "logistic regression",
        "diabetes": "a regression net",
        "iris": "a classification net, three classes",
        "wine": "a classification net, three classes",
        "breast_cancer": "a classification net, two classes",
    },
    "Images": {
        "mnist_mlp": "MNIST by one hidden layer of 128",
        "mnist_wide": "counting parameters: 795,010",
        "lenet": "convolution, batch normalisation, dropout, augmentation",
        "deep_mlp": "dense layers alone, and images bent anew in every epoch",
        "linear_mnist": "a linear classifier, and its ten templates as a picture",
        "resnet": "residual blocks",
        "inception_mnist": "branches that are joined",
        "googlenet": "GoogLeNet in full: 6,998,552 parameters",
        "filters": "convolution with filters by hand: blur, sharpen, edges",
    },
    "Codes": {
        "autoencoder": "a code of eight numbers, exported with the network",
        "sparse_autoencoder": "a second loss for a sparse code",
        "denoising_autoencoder": "noise in training only, a shared pipeline",
        "tied_autoencoder": "the decoder with the encoder's transposed weights",
        "conv_autoencoder": "transposed convolution",
        "stacked_autoencoder": "training in stages: layer by layer, then together",
        "codes_classifier": "codes as features, alone and with the pixels",
        "layerwise": "greedy layer-wise training of a classifier",
        "siamese": "shared weights and a contrastive loss",
        "gan": "two networks that learn from each other",
    },
    "Sequences": {
        "rnn_series": "forecasting a chaotic series by `rnn`, or `--set cell=lstm`",
        "next_char": "the first neural language model: a character from the 16 before it",
        "char_lstm": "a recurrent network that writes a text",
        "gpt": "a small GPT: causal attention, tied embeddings, `repeat`",
    },
    "Functions and equations": {
        "approximation": "a sum of sigmoids as near to a function as you like",
        "heat": "the heat equation solved by a network, with derivatives in the loss",
    },
    "Training": {
        "optimizers": "one net under every optimizer, with `python tools/compare_optimizers.py`",
    },
}
"""What each spec shows, by topic, in the order in which one learns."""


def names() -> list[str]:
    """The specs of the gallery, in the order of the course."""
    return [name for topic in COURSE.values() for name in topic]


def path(name: str) -> Path:
    """Where the gallery has, or would have, a spec of that name."""
    return resources.folder("specs") / f"{name}.nn"


def read(name: str) -> Source:
    """A spec of the gallery; a Fault (E501) when there is none of that name."""
    if name not in names():
        help_ = did_you_mean(name, names()) or f"it has {', '.join(names())}"
        raise fault("E501", f"the gallery has no `{name}`", help=help_)
    return Source(f"{name}.nn", path(name).read_text("utf-8"))


def header(source: Source) -> list[str]:
    """The comment that a spec opens with."""
    lines = source.text.splitlines()
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.lstrip("# ") for line in lines[:count]]


def start(name: str, source: Source) -> Path:
    """Write a spec of the gallery into a new file, its model called after the file, its data beside it; a Fault (E504) where that fails."""
    new = Path(name) if Path(name).suffix == ".nn" else Path(f"{name}.nn")
    write_new(new, renamed(source, new.stem).encode())
    try:
        _copy_data(source, new.parent)
    except Fault:
        new.unlink()
        raise
    return new


def _copy_data(source: Source, folder: Path) -> None:
    """The files of the gallery that a spec reads, where there are none of that name."""
    gallery = resources.folder("specs")
    for file in (p for p in gallery.rglob("*.*") if p.suffix != ".nn"):
        copy = folder / file.relative_to(gallery)
        if f'"{file.relative_to(gallery).as_posix()}"' in source.text and not copy.exists():
            with writing(copy):
                copy.parent.mkdir(exist_ok=True)
                write_whole(copy, file.read_bytes())


def renamed(source: Source, stem: str) -> str:
    """The text with its model, the last one, called `MyNet` for a file `my_net.nn`; as it is, where that gives no name or a taken one."""
    spec = parse(source)[0]
    models = list(spec.all("model"))
    title = "".join(word[0].upper() + word[1:] for word in re.findall(r"[^\W_]+", stem))
    if not models or title in {m.name.id for m in models} or not title[:1].isalpha():
        return source.text
    name = models[-1].name
    uses = [d.model.span for d in spec.definitions if isinstance(d, ast.Test) and d.model.id == name.id]
    return replaced(source.text, [name.span, *uses], title)
