"""ONNX: completion networks written node by node, without a converter. Inside, maps are (N, C, H, W)."""
