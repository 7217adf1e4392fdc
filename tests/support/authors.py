"""The authors' completion network as Torch7 would write it, small and with random weights."""

import numpy as np

from tests.support.completion_reference import TABLE
from tests.support.torch7_writer import Object

MEAN = [0.456, 0.447, 0.404]
WIDTH = 1 / 16


def modules(rng: np.random.Generator, eps: float = 1e-3) -> list[Object]:
    """Table 1 as a list of nn's modules, with what Torch keeps in them besides."""
    made, inputs = [], 4
    for channels, k, stride, dilation in [*TABLE, (3, 3, 1, 1)]:
        outputs = 3 if len(made) == 48 else max(1, int(channels * WIDTH))
        taps = inputs * (4 if stride == 0.5 else k * k)
        shape = (inputs, outputs, k, k) if stride == 0.5 else (outputs, inputs, k, k)
        kernel = (rng.normal(size=shape) * np.sqrt(2 / taps)).astype(np.float32)
        fields = {
            "nInputPlane": inputs, "nOutputPlane": outputs, "kW": k, "kH": k, "dW": max(1, int(1 / stride * 4) // 4),
            "padW": 1 if stride == 0.5 else dilation * (k - 1) // 2, "weight": kernel,
            "bias": rng.normal(0, 0.2, outputs).astype(np.float32), "gradWeight": np.zeros(0, np.float32),
            "output": np.zeros(0, np.float32), "train": False, "_type": "torch.FloatTensor",
        }  # fmt: skip
        fields["dW"] = 2 if stride in (2, 0.5) else 1
        fields |= {"dH": fields["dW"], "padH": fields["padW"]}
        if stride == 0.5:
            made.append(Object("nn.SpatialFullConvolution", **fields, adjW=0, adjH=0))
        elif dilation > 1:
            made.append(Object("nn.SpatialDilatedConvolution", **fields, dilationW=dilation, dilationH=dilation))
        else:
            made.append(Object("nn.SpatialConvolution", **fields))
        if len(made) < 49:
            statistics = {"running_mean": rng.normal(0, 0.2, outputs).astype(np.float32),
                          "running_var": rng.uniform(0.5, 1.5, outputs).astype(np.float32)}  # fmt: skip
            scale = {"weight": rng.uniform(0.5, 1.5, outputs).astype(np.float32),
                     "bias": rng.normal(0, 0.2, outputs).astype(np.float32)}  # fmt: skip
            made.append(
                Object("nn.SpatialBatchNormalization", "V 2", **statistics, **scale, eps=eps, momentum=0.1, affine=True)
            )
            made.append(Object("nn.ReLU", threshold=0, val=0, inplace=True))
        inputs = outputs
    return [*made, Object("nn.Sigmoid")]


def content(layers: list[Object], mean=None) -> dict:
    return {"model": Object("nn.Sequential", modules=layers, train=False), "mean": MEAN if mean is None else mean}
