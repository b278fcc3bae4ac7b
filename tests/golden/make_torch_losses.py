"""Values and gradients of PyTorch's losses on CPU in float64: make_torch_losses.py SEED OUT.json.

Each case: the class's name, its options, its inputs in order, the reduced value (or the array, for
reduction "none"), and the gradient of the value's sum by the inputs that are predictions.
"""

import json
import sys

import torch
from torch import nn

seed, out = int(sys.argv[1]), sys.argv[2]
g = torch.Generator().manual_seed(seed)
torch.set_default_dtype(torch.float64)


def normal(*shape, scale=2.0):
    return scale * torch.randn(*shape, generator=g)


def signs(*shape):
    return 2.0 * torch.randint(0, 2, shape, generator=g) - 1.0


def labels(c, *shape):
    return torch.randint(0, c, shape, generator=g)


def probabilities(*shape):
    return torch.softmax(normal(*shape), 1)


cases = []


def case(cls, options, inputs, predictions, extremes=False):
    for reduction in ("none", "mean", "sum") + (("batchmean",) if cls is nn.KLDivLoss else ()):
        args = [x.clone().requires_grad_(i in predictions) for i, x in enumerate(inputs)]
        opts = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in options.items()}
        value = cls(reduction=reduction, **opts)(*args)
        value.sum().backward()
        cases.append(
            {
                "loss": cls.__name__,
                "options": options,
                "reduction": reduction,
                "extreme": extremes,
                "inputs": [x.tolist() for x in inputs],
                "value": value.tolist(),
                "gradients": [args[i].grad.tolist() for i in predictions],
            }
        )


n, c, d = 6, 4, 3
big = torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-8, -1e-8, 40.0, -40.0, 800.0, -800.0, 1e5, -1e5])
for cls, options in (
    (nn.MSELoss, [{}]),
    (nn.L1Loss, [{}]),
    (nn.SmoothL1Loss, [{}, {"beta": 1 / 9}, {"beta": 0.0}, {"beta": 3.0}]),
    (nn.HuberLoss, [{}, {"delta": 1.345}, {"delta": 0.1}]),
):
    for o in options:
        case(cls, o, [normal(n, 2), normal(n, 2)], [0])
        case(cls, o, [big, torch.zeros_like(big)], [0], True)
w = [0.5, 1.0, 2.0, 0.25]
for o in ({}, {"weight": w}, {"weight": w, "ignore_index": 2}, {"ignore_index": -100}):
    y = labels(c, n)
    y[0] = 2
    if o.get("ignore_index") == -100:
        y[1] = -100
    case(nn.NLLLoss, o, [torch.log_softmax(normal(n, c), 1), y], [0])
    case(nn.CrossEntropyLoss, o, [normal(n, c), y], [0])
    case(nn.CrossEntropyLoss, o | {"label_smoothing": 0.1}, [normal(n, c), y], [0])
case(nn.NLLLoss, {}, [torch.log_softmax(normal(n, c, 2, 2), 1), labels(c, n, 2, 2)], [0])
case(nn.CrossEntropyLoss, {}, [normal(n, c, 2, 2), labels(c, n, 2, 2)], [0])
case(nn.CrossEntropyLoss, {}, [normal(n, c), probabilities(n, c)], [0])
case(
    nn.CrossEntropyLoss,
    {"weight": w, "label_smoothing": 0.2},
    [normal(n, c), probabilities(n, c)],
    [0],
)
far = torch.tensor([[1e4, -1e4, 0.0], [-800.0, 800.0, 799.0], [1e-12, 0.0, -1e-12]])
case(nn.CrossEntropyLoss, {}, [far, torch.tensor([1, 1, 0])], [0], True)
case(nn.BCELoss, {}, [torch.sigmoid(normal(n, 2)), labels(2, n, 2).double()], [0])
case(nn.BCELoss, {}, [torch.sigmoid(normal(n, 2)), torch.rand(n, 2, generator=g)], [0])
case(
    nn.BCELoss,
    {},
    [torch.tensor([0.0, 1.0, 0.0, 1.0, 1e-300, 0.5]), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.5])],
    [0],
    True,
)
case(
    nn.BCELoss, {"weight": [0.5, 2.0]}, [torch.sigmoid(normal(n, 2)), labels(2, n, 2).double()], [0]
)
case(nn.BCEWithLogitsLoss, {}, [normal(n, 2), torch.rand(n, 2, generator=g)], [0])
case(
    nn.BCEWithLogitsLoss, {"pos_weight": [3.0, 0.5]}, [normal(n, 2), labels(2, n, 2).double()], [0]
)
case(
    nn.BCEWithLogitsLoss,
    {"weight": [0.5, 2.0], "pos_weight": [3.0, 0.5]},
    [normal(n, 2), labels(2, n, 2).double()],
    [0],
)
case(nn.BCEWithLogitsLoss, {}, [big, (big > 0).double()], [0], True)
case(nn.KLDivLoss, {}, [torch.log_softmax(normal(n, c), 1), probabilities(n, c)], [0])
case(
    nn.KLDivLoss,
    {"log_target": True},
    [torch.log_softmax(normal(n, c), 1), torch.log_softmax(normal(n, c), 1)],
    [0],
)
zero = probabilities(n, c)
zero[0, 0] = 0.0
case(nn.KLDivLoss, {}, [torch.log_softmax(normal(n, c), 1), zero], [0], True)
case(nn.HingeEmbeddingLoss, {}, [normal(n, 2).abs(), signs(n, 2)], [0])
case(nn.HingeEmbeddingLoss, {"margin": 0.5}, [normal(n, 2).abs(), signs(n, 2)], [0])
case(nn.MarginRankingLoss, {}, [normal(n), normal(n), signs(n)], [0, 1])
case(nn.MarginRankingLoss, {"margin": 0.7}, [normal(n), normal(n), signs(n)], [0, 1])
for o in ({}, {"margin": 2.0, "p": 1.0}, {"p": 3.0, "swap": True}, {"eps": 1e-3}):
    case(nn.TripletMarginLoss, o, [normal(n, d), normal(n, d), normal(n, d)], [0, 1, 2])
case(nn.SoftMarginLoss, {}, [normal(n, 2), signs(n, 2)], [0])
case(nn.SoftMarginLoss, {}, [big, torch.ones_like(big)], [0], True)
ml = torch.tensor(
    [[3, 0, -1, 1], [0, -1, 1, 2], [-1, 0, 1, 2], [1, 2, 3, 0], [2, -1, -1, -1], [0, 3, -1, 2]]
)
case(nn.MultiLabelMarginLoss, {}, [normal(n, c), ml], [0])
case(nn.CosineEmbeddingLoss, {}, [normal(n, d), normal(n, d), signs(n)], [0, 1])
case(nn.CosineEmbeddingLoss, {"margin": 0.3}, [normal(n, d), normal(n, d), signs(n)], [0, 1])

adaptive = []
for options in ({"cutoffs": [4, 10]}, {"cutoffs": [3, 7, 12], "div_value": 2.0, "head_bias": True}):
    torch.manual_seed(seed)
    m = nn.AdaptiveLogSoftmaxWithLoss(16, 20, **options)
    x = normal(9, 16).requires_grad_()
    y = torch.cat([labels(20, 5), torch.tensor([0, 5, 11, 19])])
    result = m(x, y)
    result.loss.backward()
    adaptive.append(
        {
            "options": {"in_features": 16, "n_classes": 20, **options},
            "parameters": {k: v.tolist() for k, v in m.state_dict().items()},
            "input": x.tolist(),
            "target": y.tolist(),
            "output": result.output.tolist(),
            "loss": result.loss.item(),
            "log_prob": m.log_prob(x).tolist(),
            "predict": m.predict(x).tolist(),
            "input_gradient": x.grad.tolist(),
            "parameter_gradients": {k: v.grad.tolist() for k, v in m.named_parameters()},
        }
    )
with open(out, "w") as file:
    json.dump(
        {
            "torch": torch.__version__,
            "seed": seed,
            "cases": cases,
            "adaptive_log_softmax": adaptive,
        },
        file,
    )
print(len(cases), "cases of", len({k["loss"] for k in cases}), "losses,", len(adaptive), "adaptive")
