"""A text that a network writes on: each character is drawn from what it expects after those before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

import numpy as np

from nnspec.array import Array
from nnspec.diagnostics import SpecError, fault, printable
from nnspec.graph import outputs_of
from nnspec.net import Net
from nnspec.record import dataclass

SEEN = 64
"""Characters that are looked back at where neither the network nor its data say how many."""
FILLERS = ("\n", " ")
"""What stands before a text that is shorter than the network has to see."""
TRIED = 8
"""Random texts from which it shows what a network makes of texts."""
ROUNDING = 1e-3


@dataclass(frozen=True)
class Writer:
    """A network that takes characters by their numbers, and the output with a number for each that may come next.

    It sees `window` characters; `everywhere` says that its output has numbers after each of them, and not only after the last.
    """

    net: Net
    text: str
    output: str
    alphabet: Sequence[str]
    window: int
    everywhere: bool

    def __call__(self, texts: Array) -> Array:
        """What it gives for texts of one length, one after the other, so that it is prepared for no more than one."""
        given: Array = np.concatenate([self.net(**{self.text: [text]})[self.output] for text in texts]).astype(np.float64)
        return given

    def takes(self, length: int) -> bool:
        """Whether a text may be so long."""
        try:
            self(np.full((1, length), self.filler))
        except SpecError:
            return False
        return True

    @property
    def is_fixed(self) -> bool:
        """Whether every text has one length."""
        return isinstance(self.net.inputs[self.text].shape[1], int)

    @property
    def filler(self) -> int:
        return next((self.alphabet.index(c) for c in FILLERS if c in self.alphabet), 0)


class Reader:
    """How a network is asked what comes next, as it shows on random texts."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.window = writer, _longest(writer)
        texts = np.random.default_rng(0).integers(0, len(writer.alphabet), (TRIED, self.window))
        given = writer(texts)
        self.gives_probabilities = bool(((given >= 0) & (given <= 1 + ROUNDING)).all() and given.any())  # no logits stay in there
        self.is_causal = writer.everywhere and _is_causal(writer, texts, given)

    def after(self, numbers: list[int]) -> Array:
        """The logarithms of what is expected after these characters, but for their sum."""
        numbers = numbers or [self.writer.filler]
        missing = [self.writer.filler] * (self._length(len(numbers)) - len(numbers))
        text, at = (numbers + missing, len(numbers) - 1) if self.is_causal else (missing + numbers, -1)
        given = self.writer(np.array([text]))[0]
        scores: Array = given[at] if self.writer.everywhere else given
        if not self.gives_probabilities:
            return scores
        with np.errstate(divide="ignore"):  # of a probability of 0
            return np.asarray(np.log(scores))

    def _length(self, known: int) -> int:
        """That of the text to be read: always the same where what comes after changes nothing, so that the network is prepared once."""
        if self.is_causal or self.writer.is_fixed:
            return self.window
        return next((length for length in range(known, self.window) if self.writer.takes(length)), self.window)


def _longest(writer: Writer) -> int:
    """As many characters as are looked back at, or fewer where nothing says how many and the network takes no more."""
    length = writer.window
    while length > 1 and not writer.is_fixed and not writer.takes(length):
        length //= 2
    return length


def _is_causal(writer: Writer, texts: Array, given: Array) -> bool:
    """Whether what is expected after a character stays, whatever comes after it, or nothing."""
    half = texts.shape[1] // 2
    if writer.is_fixed:
        changed = np.concatenate([texts[:, :half], (texts[:, half:] + 1) % len(writer.alphabet)], axis=1)
    elif half and writer.takes(half):
        changed = texts[:, :half]
    else:
        return False
    largest = np.abs(given[np.isfinite(given)]).max(initial=0)
    return np.allclose(writer(changed)[:, :half], given[:, :half], ROUNDING, ROUNDING * largest)


def generated(net: Net, start: str, *, temperature: float = 0.8, seed: int = 0) -> Iterator[str]:
    """The characters that go on from a text, one after the other, without end.

    The logarithms of what the network expects are divided by the temperature before one is drawn (Graves 2013); at 0 it is the likeliest.
    Raises a Fault for a network that is no model of characters (E110), for a text with others than it was trained on (E305), and for a
    temperature that is no number from 0 (E106).

    >>> "".join(itertools.islice(generated(nnspec.open("runs/char_lstm-1"), "ROMEO:"), 500))
    """
    if not (isfinite(temperature) and temperature >= 0):
        raise fault("E106", f"a temperature is a number from 0, not {temperature}")
    writer = writer_of(net)
    numbers = _numbers(start, writer.alphabet)
    return _drawn(writer, numbers, temperature, np.random.default_rng(seed))


def writer_of(net: Net) -> Writer:
    """Where a model of characters takes and gives them."""
    found = net.spec.continuations_of(outputs_of(net.spec.model.graph, "output"))
    for text, (output, seen) in found.items():
        alphabet, length = net.labels.get(text, ()), net.inputs[text].shape[1]
        if len(net.inputs) == 1 and alphabet and all(len(label) == 1 for label in alphabet):
            window = length if isinstance(length, int) else seen or SEEN
            return Writer(net, text, output, alphabet, window, net.outputs[output].rank == 3)
    help_ = "it has one input of characters, `input text: class(65)[T]` with `data text(..)`, and an output with a number for each of them"
    raise fault("E110", f"`{printable(net.name)}` is no model of characters, which says what comes next in a text", help=help_)


def _numbers(text: str, alphabet: Sequence[str]) -> list[int]:
    places = {character: number for number, character in enumerate(alphabet)}
    foreign = next((c for c in text if c not in places), None)
    if foreign is not None:
        raise fault("E305", f"{foreign!r} is not in the text that was trained on", help=f"it has {printable(''.join(alphabet))}")
    return [places[c] for c in text]


def _drawn(writer: Writer, numbers: list[int], temperature: float, rng: np.random.Generator) -> Iterator[str]:
    reader = Reader(writer)
    while True:
        numbers = numbers[-reader.window :]
        scores = reader.after(numbers)
        with np.errstate(over="ignore"):  # far below the likeliest at a low temperature is -inf, which is never drawn
            sure = (scores - scores.max()) / (temperature or 1.0)
        noise = rng.gumbel(size=len(scores)) if temperature else 0.0  # the largest of sums with it is drawn from their softmax
        numbers.append(int(np.argmax(sure + noise)))
        yield writer.alphabet[numbers[-1]]
