"""What holds for losses of every kind: reductions, weights, gradients, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest
from _loss_cases import (
    CASES,
    IMAGES,
    LABELS,
    SCORES,
    SHARES,
    SIGNS,
    SMOOTH,
    VECTORS,
    WEIGHT,
    C,
    Case,
    N,
)
from numpy.testing import assert_allclose, assert_array_equal

from robustreg import losses
from robustreg.losses import (
    NLL,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    CosineEmbedding,
    CrossEntropy,
    HingeEmbedding,
    KLDivergence,
    Loss,
    MarginRanking,
    MultiLabelMargin,
    SoftMargin,
    TripletMargin,
)

RNG = np.random.default_rng(3)
every_case = pytest.mark.parametrize("name", CASES)
every_smooth_case = pytest.mark.parametrize("name", SMOOTH)


def gradients_of(loss, *arguments, **options):
    found = loss.gradient(*arguments, **options)
    return found if isinstance(found, tuple) else (found,)


def weights_for(case):
    """Weights of the rows, and of all elements."""
    shape = case.loss(*case.arguments, reduction="none").shape
    rows = np.resize([1.0, 2.0, 0.0, 3.0], shape[0])
    return rows, np.resize([0.5, 0.0, 2.0], shape)


def test_every_loss_has_a_case():
    public = [getattr(losses, name) for name in losses.__all__]
    kinds = {k for k in public if isinstance(k, type) and issubclass(k, Loss)}
    abstract = {k for k in kinds if k.__abstractmethods__}
    # the adaptive softmax, whose arguments depend on it, has tests of its own
    own = {losses.AdaptiveLogSoftmax}
    assert kinds - abstract - own == {type(case.loss) for case in CASES.values()}


@every_case
def test_losses_are_values(name):
    loss = CASES[name].loss
    names = {**vars(losses), "inf": np.inf}
    twins = [copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), eval(repr(loss), names)]
    assert {loss} == set(twins)


@every_case
def test_reductions_are_of_the_weighted_losses(name):
    case = CASES[name]
    plain = case.loss(*case.arguments, reduction="none")
    for weight in weights_for(case):
        each = np.broadcast_to(
            weight.reshape(weight.shape + (1,) * (plain.ndim - weight.ndim)), plain.shape
        )
        if getattr(case.loss, "weight", None) == "balanced":
            continue  # whose weights of classes are others then
        options = {"sample_weight": weight}
        found = case.loss(*case.arguments, **options, reduction="none")
        assert_allclose(found, each * plain, rtol=1e-14)
        total = case.loss(*case.arguments, **options, reduction="sum")
        assert_allclose(total, (each * plain).sum(), rtol=1e-13)


@every_case
def test_weights_are_repetitions(name):
    case = CASES[name]
    rows, _ = weights_for(case)
    counts = rows.astype(int)
    repeated = [np.repeat(values, counts, axis=0) for values in case.arguments]
    if getattr(case.loss, "weight", None) == "balanced":  # of which every class must be left
        counts = np.arange(1, len(rows) + 1)
        rows, repeated = 1.0 * counts, [np.repeat(v, counts, axis=0) for v in case.arguments]
    for reduction in case.loss.reductions:
        options = {"reduction": reduction}
        if reduction != "none":
            found = case.loss(*case.arguments, sample_weight=rows, **options)
            assert_allclose(found, case.loss(*repeated, **options), rtol=1e-12)
        weighted = gradients_of(case.loss, *case.arguments, sample_weight=rows, **options)
        for one, each in zip(weighted, gradients_of(case.loss, *repeated, **options), strict=True):
            first = np.searchsorted(np.repeat(np.arange(len(rows)), counts), np.arange(len(rows)))
            some = counts > 0
            share = rows[some].reshape((-1,) + (1,) * (one.ndim - 1))
            assert_allclose(one[some], share * each[first[some]], rtol=1e-12, atol=1e-300)
            assert_array_equal(one[~some], 0.0)


@every_case
def test_other_reductions_are_named(name):
    case = CASES[name]
    for reduction in {"average", "batchmean"} - set(case.loss.reductions):
        with pytest.raises(ValueError, match=f"reduction must be one of .*; got '{reduction}'"):
            case.loss(*case.arguments, reduction=reduction)


# Reductions take turns: what they make of losses and gradients is the business of one base class.
@pytest.mark.parametrize(
    ("name", "reduction"),
    [
        (name, case.loss.reductions[i % len(case.loss.reductions)])
        for i, (name, case) in enumerate(SMOOTH.items())
    ],
)
def test_gradients_are_finite_differences(name, reduction):
    case = SMOOTH[name]
    _, weight = weights_for(case)
    options = {"sample_weight": weight, "reduction": reduction}
    if getattr(case.loss, "weight", None) == "balanced":
        options["sample_weight"] = None
    found = gradients_of(case.loss, *case.arguments, **options)
    assert len(found) == case.loss.n_predictions
    for k, (gradient, prediction) in enumerate(zip(found, case.predictions, strict=True)):
        assert gradient.shape == prediction.shape
        step = 1e-6 * max(1.0, np.abs(prediction).max())
        for index in np.ndindex(*prediction.shape):
            ends = []
            for sign in (1.0, -1.0):
                moved = prediction.copy()
                moved[index] += sign * step
                others = [*case.predictions[:k], moved, *case.predictions[k + 1 :]]
                ends.append(np.sum(case.loss(*case.targets, *others, **options)))
            slope = (ends[0] - ends[1]) / (2.0 * step)
            assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=3e-9)


# ------------------------------------------------------------------ single precision and sizes


@every_case
def test_single_precision_stays(name):
    case = CASES[name]
    small = [v.astype(np.float32) if v.dtype == np.float64 else v for v in case.arguments]
    values = case.loss(*small, reduction="none")
    assert values.dtype == np.float32
    exact = case.loss(*case.arguments, reduction="none")
    scale = np.abs(exact).max(initial=1.0, where=np.isfinite(exact))
    assert_allclose(values, exact, rtol=2e-5, atol=2e-6 * scale)
    for gradient in gradients_of(case.loss, *small):
        assert gradient.dtype == np.float32


@pytest.mark.parametrize("size", [1e5, 1e30, 1e300])
def test_logits_of_any_size_are_silent(size):
    logits = size * np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    assert_array_equal(CrossEntropy()([1, 2], logits, reduction="none"), [2.0 * size, 0.0])
    assert_array_equal(CrossEntropy().gradient([1, 2], logits, reduction="sum")[0], [1, -1, 0])
    binary = BinaryCrossEntropyWithLogits()
    assert_array_equal(binary([0, 1, 1], [size, size, -size], reduction="none"), [size, 0, size])
    assert SoftMargin()([-1, 1], [size, size], reduction="sum") == pytest.approx(size)
    pair = CosineEmbedding()([1], [[size, size]], [[size, 0.0]])
    assert pair == pytest.approx(1.0 - np.sqrt(0.5))
    far = [[3.0 * size / 10, 4.0 * size / 10]], [[0.0, 0.0]], [[0.0, 0.0]]
    assert TripletMargin(margin=0.0)(*far) == pytest.approx(0.0, abs=1e-9 * size)
    assert TripletMargin(margin=0.0, p=3.0)(far[1], far[0], far[1]) > 0.4 * size


def test_a_class_that_is_ruled_out_costs_nothing_unless_it_is_the_target():
    logits = np.array([[0.0, -np.inf, 0.0], [-np.inf, -np.inf, 5.0]])
    assert_allclose(CrossEntropy()([0, 2], logits, reduction="none"), [np.log(2.0), 0.0])
    assert_array_equal(CrossEntropy().gradient([0, 2], logits, reduction="sum")[1], [0, 0, 0])
    assert CrossEntropy()([1, 2], logits) == np.inf
    assert NLL()([0], [[0.0, -np.inf]]) == 0.0
    assert NLL()([1], [[0.0, -np.inf]]) == np.inf
    assert KLDivergence()([[1.0, 0.0]], [[0.0, -np.inf]]) == 0.0
    assert KLDivergence()([[0.5, 0.5]], [[0.0, -np.inf]]) == np.inf
    log_target = KLDivergence(log_target=True)
    assert log_target([[0.0, -np.inf]], [[0.0, -np.inf]]) == 0.0


@pytest.mark.parametrize("case", ["kl", "cross_entropy", "soft_margin", "cosine 0.3"])
def test_losses_are_silent_whatever_numpy_is_told(case):
    case = CASES[case]
    with np.errstate(all="raise"):
        case.loss(*case.arguments)
        case.loss.gradient(*case.arguments)
        assert MarginRanking()([1.0], [1e308], [-1e308]) == 0.0
        assert KLDivergence(log_target=True)([[-1e3]], [[-1e3]]) == 0.0


def test_small_numbers_keep_their_digits():
    small = 1e-20
    assert BinaryCrossEntropy()([0.0], [small]) == small
    assert BinaryCrossEntropyWithLogits()([1.0], [46.0]) == pytest.approx(np.exp(-46.0), rel=1e-12)
    slope = BinaryCrossEntropyWithLogits().gradient([1.0], [46.0])
    assert slope[0] == pytest.approx(-np.exp(-46.0), rel=1e-12)
    short = 1e-6 * np.array([[3.0, 4.0]])  # beside what is added to the squares
    square = 25e-12 + np.float64(np.float32(1e-12))
    assert CosineEmbedding()([1], short, short) == pytest.approx(1.0 - 25e-12 / square, rel=1e-9)


def test_scalars_are_losses_of_one_element():
    assert HingeEmbedding().gradient(1.0, 0.5) == 1.0
    assert_array_equal(MarginRanking().gradient(1.0, 2.0, 3.0), [-1.0, 1.0])
    with pytest.raises(ValueError, match="weight is for columns of y_pred, which is one number"):
        BinaryCrossEntropy(weight=[1.0])(1.0, 0.5)


def test_at_the_margin_a_hinge_has_the_slope_of_the_side_that_costs():
    """As in PyTorch: training from equal scores moves."""
    assert_array_equal(MarginRanking().gradient([1.0], [2.0], [2.0]), [[-1.0], [1.0]])
    assert_array_equal(HingeEmbedding(margin=0.5).gradient([-1.0], [0.5]), [-1.0])
    across = CosineEmbedding().gradient([-1.0], [[1.0, 0.0]], [[0.0, 1.0]])
    assert_allclose(across[0], [[0.0, 1.0]], rtol=1e-11)
    level = TripletMargin(margin=1.0, eps=0.0).gradient([[0.0]], [[1.0]], [[2.0]])
    assert_array_equal(np.ravel(level), [0.0, 1.0, -1.0])
    label_margin = MultiLabelMargin().gradient([[0, -1]], [[1.0, 0.0]])
    assert_array_equal(label_margin, [[0.0, 0.0]])


# ------------------------------------------------------------------ classes


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint16", "int64", "uint64"])
def test_labels_may_be_of_any_integer_type(dtype):
    labels = LABELS.astype(dtype)
    for loss in (CrossEntropy(weight=WEIGHT, ignore_index=-1), NLL()):
        scores = np.log(SHARES)
        assert loss(labels, scores) == loss(LABELS, scores)
        assert_array_equal(loss.gradient(labels, scores), loss.gradient(LABELS, scores))
    largest = np.array([np.iinfo(dtype).max], dtype=dtype)
    with pytest.raises(ValueError, match=r"y_true must hold labels (from 0 to 3|below)"):
        CrossEntropy()(largest, np.zeros((1, 4)))


def test_what_has_no_weight_costs_nothing_even_where_it_is_ruled_out():
    nothing = CrossEntropy(weight=[0.0, 1.0])
    assert nothing([0, 1], [[-np.inf, 0.0], [0.0, 0.0]]) == pytest.approx(np.log(2.0))
    assert NLL(weight=[0.0, 1.0])([0, 1], [[-np.inf, 0.0], [0.0, -1.0]]) == 1.0
    assert CrossEntropy()([[0.0, 1.0]], [[-np.inf, 0.0]]) == 0.0


def test_balanced_classes_do_not_count_what_is_ignored():
    labels, scores = np.array([0, 0, 1, -1, -1]), RNG.normal(size=(5, 2))
    some = CrossEntropy(weight="balanced", ignore_index=-1)
    assert some(labels, scores) == pytest.approx(
        CrossEntropy(weight="balanced")(labels[:3], scores[:3]), rel=1e-14
    )


def test_cross_entropy_is_the_likelihood_of_the_softmax():
    log_probability = np.log(np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True))
    for options in ({}, {"weight": WEIGHT}, {"weight": "balanced"}, {"ignore_index": 3}):
        found = CrossEntropy(**options)(LABELS, SCORES)
        assert found == pytest.approx(NLL(**options)(LABELS, log_probability), rel=1e-14)


def test_labels_are_probabilities_of_1():
    ones = np.eye(C)[LABELS]
    loss = CrossEntropy(weight=WEIGHT, label_smoothing=0.3)
    for reduction in ("none", "sum"):
        by_label = loss(LABELS, SCORES, reduction=reduction)
        assert_allclose(loss(ones, SCORES, reduction=reduction), by_label, rtol=1e-14)
    # but the mean of labels is over the weights of their classes
    total = loss(LABELS, SCORES, reduction="sum")
    assert loss(LABELS, SCORES) == pytest.approx(total / np.array(WEIGHT)[LABELS].sum())
    assert loss(ones, SCORES) == pytest.approx(total / N)


def test_balanced_classes_weigh_the_same():
    labels, scores = np.array([0, 0, 0, 1, 2, 2]), RNG.normal(size=(6, 3))
    balanced = CrossEntropy(weight="balanced")
    by_hand = CrossEntropy(weight=6 / (3 * np.array([3, 1, 2])))
    assert balanced(labels, scores) == pytest.approx(by_hand(labels, scores), rel=1e-14)
    each = CrossEntropy()(labels, scores, reduction="none")
    means = [each[labels == k].mean() for k in range(3)]
    assert balanced(labels, scores) == pytest.approx(np.mean(means), rel=1e-14)


@pytest.mark.parametrize("loss", [NLL, CrossEntropy])
def test_ignored_elements_have_no_part(loss):
    scores = np.log(SHARES)
    labels = np.where(np.arange(N) % 2, LABELS, -1)
    some = loss(weight=WEIGHT, ignore_index=-1)
    kept = slice(1, None, 2)
    assert some(labels, scores) == pytest.approx(loss(weight=WEIGHT)(LABELS[kept], scores[kept]))
    assert_array_equal(some(labels, scores, reduction="none")[::2], 0.0)
    assert_array_equal(some.gradient(labels, scores)[::2], 0.0)
    with pytest.raises(ValueError, match=r"'mean' of .* divides by 0: no element that counts"):
        some(np.full(N, -1), scores)
    assert some(np.full(N, -1), scores, reduction="sum") == 0.0


def test_the_divergence_of_a_batch_is_the_mean_of_its_rows():
    log_q = np.log(SHARES[::-1])
    rows = np.sum(SHARES * (np.log(SHARES) - log_q), axis=1)
    weight = np.arange(1.0, N + 1)
    found = KLDivergence()(SHARES, log_q, sample_weight=weight, reduction="batchmean")
    assert found == pytest.approx(np.average(rows, weights=weight), rel=1e-13)
    assert KLDivergence()(SHARES, log_q) == pytest.approx(rows.mean() / C, rel=1e-13)
    block = KLDivergence()(SHARES.reshape(N, 2, 2), log_q.reshape(N, 2, 2), reduction="batchmean")
    assert block == pytest.approx(rows.mean(), rel=1e-13)
    cross = CrossEntropy()(SHARES, log_q)
    entropy = -np.sum(SHARES * np.log(SHARES)) / N
    assert cross == pytest.approx(entropy + rows.mean(), rel=1e-13)


def test_several_labels_by_their_definition():
    labels, scores = CASES["several labels"].arguments
    expected = []
    for row, x in zip(labels, scores, strict=True):
        own = list(row[: list(row).index(-1)]) if -1 in row else list(row)
        others = [i for i in range(C) if i not in own]
        expected.append(sum(max(0.0, 1.0 - x[j] + x[i]) for j in own for i in others) / C)
    found = MultiLabelMargin()(labels, scores, reduction="none")
    assert_allclose(found, expected, rtol=1e-14)


def test_equal_points_have_a_distance_with_no_direction():
    case = CASES["triplet, corners"]
    assert_array_equal(case.loss(*case.arguments, reduction="none"), 1.0)
    for gradient in gradients_of(case.loss, *case.arguments):
        assert_array_equal(gradient, 0.0)


# ------------------------------------------------------------------ what is refused

BAD = {
    "no labels": (NLL(), ([0.0, 1.0], [[-1.0, -1.0], [-1.0, -1.0]]), "y_true must hold integers"),
    "a label too many": (
        CrossEntropy(),
        ([0, 4], np.zeros((2, 4))),
        "y_true must hold labels from 0 to 3, got 4",
    ),
    "a negative label": (
        CrossEntropy(ignore_index=9),
        ([0, -1], np.zeros((2, 4))),
        "labels from 0 to 3, or 9, got -1",
    ),
    "labels of another shape": (
        CrossEntropy(),
        ([[0], [1]], np.zeros((2, 4))),
        r"y_true must have the shape \(2,\) of y_pred without its axis of 4 classes",
    ),
    "no classes": (CrossEntropy(), ([0, 1], np.zeros((2, 0))), r"got shape \(2, 0\)"),
    "no axis of classes": (CrossEntropy(), ([0, 1], np.zeros(2)), r"\(n, C, d1, ...\).*\(2,\)"),
    "shares beyond 1": (
        CrossEntropy(),
        ([[0.5, 1.5]], np.zeros((1, 2))),
        "y_true must hold probabilities from 0 to 1, got 1.5",
    ),
    "NaN among logits": (CrossEntropy(), ([0], [[0.0, np.nan]]), "y_pred must hold finite"),
    "infinite logits": (CrossEntropy(), ([0], [[0.0, np.inf]]), "y_pred must hold finite"),
    "all ruled out": (CrossEntropy(), ([0], [[-np.inf] * 2]), "one finite number at least"),
    "logits for the likelihood": (
        NLL(),
        ([0], [[0.5, 2.0]]),
        r"y_pred must hold log-probabilities, at most 0, got 0.5. CrossEntropy takes logits",
    ),
    "a class without elements": (
        CrossEntropy(weight="balanced"),
        ([0, 2], np.zeros((2, 3))),
        'weight="balanced" needs elements of every class, but of class 1 there is none',
    ),
    "weights of other classes": (
        NLL(weight=[1.0, 2.0]),
        ([0], [[-1.0, -1.0, -1.0]]),
        "weight must have one entry for each of the 3 classes of y_pred, but has 2",
    ),
    "chances beyond 1": (
        BinaryCrossEntropy(),
        ([1.0], [1.25]),
        "y_pred must hold probabilities from 0 to 1, got 1.25",
    ),
    "truths beyond 1": (
        BinaryCrossEntropyWithLogits(),
        ([2.0], [0.0]),
        "y_true must hold probabilities from 0 to 1, got 2",
    ),
    "weights of other columns": (
        BinaryCrossEntropyWithLogits(pos_weight=[1.0, 2.0]),
        ([[1.0, 0.0, 1.0]], np.zeros((1, 3))),
        "pos_weight must have one entry for each column of y_pred, 3, but has 2",
    ),
    "no logarithms": (KLDivergence(), ([[0.5, 0.5]], [[0.5, 0.5]]), "at most 0, got 0.5"),
    "negative shares": (KLDivergence(), ([[-0.5, 0.5]], [[-1.0, -1.0]]), "0 to 1, got -0.5"),
    "no signs": (SoftMargin(), ([0, 1], [0.0, 0.0]), "y_true must hold -1 or 1, got 0; of truth"),
    "other shapes": (
        HingeEmbedding(),
        ([1, -1], [0.0]),
        r"y_true and y_pred must have the same shape, got \(2,\) and \(1,\)",
    ),
    "one score too many": (
        MarginRanking(),
        ([1, -1], [0.0, 1.0], [0.0]),
        r"y_true, x1 and x2 must have the same shape, got \(2,\), \(2,\) and \(1,\)",
    ),
    "no vectors": (CosineEmbedding(), ([1], [0.0], [0.0]), r"shape \(n, d\)"),
    "vectors without rows": (
        TripletMargin(),
        ([0.0], [0.0], [0.0]),
        r"anchor, positive and negative must have the shape \(n, d\), got \(1,\)",
    ),
    "an infinite anchor": (
        TripletMargin(),
        ([[np.inf]], [[0.0]], [[0.0]]),
        "anchor must be finite",
    ),
    "nothing": (SoftMargin(), ([], []), "y_true and y_pred must not be empty"),
    "labels beyond": (
        MultiLabelMargin(),
        ([[0, 2]], [[0.0, 0.0]]),
        "labels from 0 to 1, or -1, got 2",
    ),
    "dates": (SoftMargin(), ([1], np.array(["2020-01-01"], "M8[D]")), "y_pred must hold real"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("method", ["__call__", "gradient"])
def test_bad_arguments_are_named(name, method):
    loss, arguments, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        getattr(loss, method)(*arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NLL(weight=[1.0, -1.0]), "NLL: weight must be a vector of finite numbers"),
        (lambda: NLL(weight="auto"), "NLL: weight must be a vector or \"balanced\", got 'auto'"),
        (lambda: NLL(ignore_index=1.5), "NLL: ignore_index must be an integer of 32 bits, got 1.5"),
        (lambda: CrossEntropy(weight=[0.0, 0.0]), "CrossEntropy: weight must be a vector"),
        (lambda: CrossEntropy(label_smoothing=1.5), "label_smoothing must be .* got 1.5"),
        (lambda: BinaryCrossEntropyWithLogits(pos_weight=-1), "pos_weight must be .* got -1"),
        (lambda: KLDivergence(log_target="yes"), "log_target must be True or False, got 'yes'"),
        (lambda: HingeEmbedding(margin=np.nan), "margin must be a finite number, got nan"),
        (lambda: CosineEmbedding(margin=2.0), "of at least -1 and at most 1, got 2.0"),
        (lambda: TripletMargin(p=0.5), "p must be a number of at least 1, got 0.5"),
        (lambda: TripletMargin(margin=-1.0), "margin must be a finite number of at least 0"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_loss_without_targets_says_what_it_takes():
    with pytest.raises(TypeError, match=r"TripletMargin takes 3 array\(s\) of predictions, got 2"):
        TripletMargin()(VECTORS[0], VECTORS[1])


def test_weights_are_of_the_losses_shape():
    loss = CrossEntropy()
    with pytest.raises(ValueError, match=r"the shape of the losses, \(6, 2, 3\)"):
        loss(CASES["cross_entropy, images"].targets[0], IMAGES, sample_weight=np.ones((6, 4)))
    triplets = Case(TripletMargin(), (), VECTORS)
    with pytest.raises(ValueError, match=r"the shape of the losses, \(6,\)"):
        triplets.loss(*triplets.arguments, sample_weight=np.ones((6, 3)))
    assert len(SIGNS) == N
