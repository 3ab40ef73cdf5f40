"""A text that a network writes on: each character is drawn from what it expects after those before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnspec.diagnostics import Fault, fault, printable
from nnspec.net import Net

Array = np.ndarray[Any, np.dtype[Any]]

SEEN = 64
"""Characters that are looked back at where neither the network nor its data say how many."""
FILLERS = ("\n", " ")
"""What stands before a text that is shorter than the network has to see."""


class Ports(NamedTuple):
    """The input that takes characters, by their numbers, and the output with a number for each that may come next.

    `everywhere` says that it has them after each character, and not only after the last.
    """

    text: str
    scores: str
    alphabet: Sequence[str]
    everywhere: bool


def generated(net: Net, start: str, *, temperature: float = 0.8, seed: int = 0) -> Iterator[str]:
    """The characters that go on from a text, one after the other, without end.

    The logarithms of what the network expects are divided by the temperature before one is drawn (Graves 2013); at 0 it is the likeliest.
    Raises a Fault for a network that is no model of characters (E110), and for a text with others than it was trained on (E305).

    >>> "".join(itertools.islice(generated(nnspec.open("runs/char_lstm-1"), "ROMEO:"), 500))
    """
    ports = ports_of(net)
    numbers = _numbers(start, ports.alphabet)
    return _drawn(net, ports, numbers, temperature, np.random.default_rng(seed))


def ports_of(net: Net) -> Ports:
    """Where a model of characters takes and gives them."""
    texts = [name for name, type in net.inputs.items() if name in net.labels and type.rank == 2 and _are_characters(net.labels[name])]
    if len(net.inputs) == len(texts) == 1:
        alphabet = net.labels[texts[0]]
        for name, type in net.outputs.items():
            if type.rank in (2, 3) and type.shape[-1] == len(alphabet):
                return Ports(texts[0], name, alphabet, type.rank == 3)
    raise _no_writer(net)


def _are_characters(labels: Sequence[str]) -> bool:
    return all(len(label) == 1 for label in labels)


def _no_writer(net: Net) -> Fault:
    help_ = "it has one input of characters, `input text: class(65)[T]` with `data text(..)`, and an output with a number for each of them"
    return fault("E110", f"`{printable(net.name)}` is no model of characters, which says what comes next in a text", help=help_)


def _numbers(text: str, alphabet: Sequence[str]) -> list[int]:
    places = {character: number for number, character in enumerate(alphabet)}
    foreign = next((c for c in text if c not in places), None)
    if foreign is not None:
        raise fault("E305", f"{foreign!r} is not in the text that was trained on", help=f"it has {printable(''.join(alphabet))}")
    return [places[c] for c in text]


def _drawn(net: Net, ports: Ports, numbers: list[int], temperature: float, rng: np.random.Generator) -> Iterator[str]:
    window, is_logarithm = _window(net, ports.text), _are_logits(net, ports.scores)
    filler = next((ports.alphabet.index(c) for c in FILLERS if c in ports.alphabet), 0)
    while True:
        numbers = numbers[-window:]
        scores = _scores(net, ports, numbers, window, filler)
        scores = scores if is_logarithm else np.log(scores)
        noise = rng.gumbel(size=len(scores)) if temperature else 0.0  # the largest of sums with it is drawn from their softmax
        numbers.append(int(np.argmax(scores / (temperature or 1.0) + noise)))
        yield ports.alphabet[numbers[-1]]


def _scores(net: Net, ports: Ports, numbers: list[int], window: int, filler: int) -> Array:
    """What is expected after these characters. A text is always as long, so that the network is prepared once."""
    missing = [filler] * (window - len(numbers))
    if ports.everywhere and numbers:  # what comes after a character changes nothing of what is expected there
        text, at = numbers + missing, len(numbers) - 1
    else:
        text, at = missing + numbers, window - 1
    scores: Array = net(**{ports.text: [text]})[ports.scores][0]
    return scores[at] if ports.everywhere else scores


def _window(net: Net, port: str) -> int:
    """How many characters the network sees: as many as it takes, or as it was trained on."""
    size = net.inputs[port].shape[1]
    if isinstance(size, int):
        return size
    source = net.spec.trainings[-1].data if net.spec.trainings else None
    return int(source.options["window"]) if source and source.name == "text" else SEEN


def _are_logits(net: Net, output: str) -> bool:
    """Whether an output is the logarithms of what is expected, but for their sum; else it is the probabilities."""
    return net.graph[net.graph.outputs[f"output:{output}"]].op.name != "softmax"
