"""The table of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.lint.allow import allowed, misread_comments
from nnspec.lint.calls import channels_before_units, compared_with_itself, derivatives_of_nothing, weights_of_their_own
from nnspec.lint.chance import draws_that_a_batch_shares
from nnspec.lint.depth import gradients_that_vanish, sight_smaller_than_the_image
from nnspec.lint.fits import largest_of_one, more_logits_than_classes, softmax_of_one, targets_of_another_shape
from nnspec.lint.labels import classes_as_signs
from nnspec.lint.left_behind import targets_left_behind
from nnspec.lint.linear import bias_before_normalisation, dropout_on_the_output, linear_after_linear, vectors_times_squares
from nnspec.lint.loops import carried_without_a_step
from nnspec.lint.losses import (
    class_as_an_amount,
    log_of_what_may_be_negative,
    logits_without_a_sign,
    probabilities_above_zero,
    probabilities_as_logits,
    probabilities_without_logarithm,
)
from nnspec.lint.network import Network
from nnspec.lint.optimizers import (
    optimizers_without_effect,
    rates_below_zero,
    rates_of_zero,
    rates_that_a_schedule_leaves_out,
    rates_that_nobody_reads_or_writes,
)
from nnspec.lint.order import said_and_true_swapped
from nnspec.lint.paths import paths_nearly_right
from nnspec.lint.saved import arrays_left_in_the_file
from nnspec.lint.starts import deviation_in_place_of_the_mean, equal_weights, init_for_another_activation
from nnspec.lint.stops import directions_taken_for_granted, metrics_of_no_data
from nnspec.lint.sums import likelihoods_without_a_minus, sums_of_means, weighted_means
from nnspec.lint.unused import losses_without_effect, unread_inputs, unread_targets, untrained_parameters, unused_shares, unused_values

CHECKS: tuple[Callable[[Network], Iterator[Diagnostic]], ...] = (
    linear_after_linear,
    probabilities_as_logits,
    probabilities_above_zero,
    log_of_what_may_be_negative,
    equal_weights,
    sight_smaller_than_the_image,
    bias_before_normalisation,
    gradients_that_vanish,
    init_for_another_activation,
    unused_values,
    unused_shares,
    untrained_parameters,
    losses_without_effect,
    unread_inputs,
    unread_targets,
    misread_comments,
    dropout_on_the_output,
    targets_of_another_shape,
    class_as_an_amount,
    more_logits_than_classes,
    largest_of_one,
    weights_of_their_own,
    probabilities_without_logarithm,
    softmax_of_one,
    optimizers_without_effect,
    rates_of_zero,
    rates_below_zero,
    rates_that_nobody_reads_or_writes,
    rates_that_a_schedule_leaves_out,
    directions_taken_for_granted,
    metrics_of_no_data,
    deviation_in_place_of_the_mean,
    channels_before_units,
    derivatives_of_nothing,
    classes_as_signs,
    said_and_true_swapped,
    targets_left_behind,
    carried_without_a_step,
    arrays_left_in_the_file,
    paths_nearly_right,
    draws_that_a_batch_shares,
    sums_of_means,
    weighted_means,
    vectors_times_squares,
    logits_without_a_sign,
    likelihoods_without_a_minus,
    compared_with_itself,
)


def warnings(network: Network) -> list[Diagnostic]:
    """What all checks say, in the order of the file, each thing once; without what a comment says is meant."""
    found: dict[tuple[str, str], Diagnostic] = {}
    for doubt in (d for check in CHECKS for d in check(network) if not allowed(d)):
        found.setdefault((doubt.code, str(doubt.span)), doubt)
    return sorted(found.values(), key=lambda d: (d.span.start if d.span else 0, d.code))
