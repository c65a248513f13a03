"""ortlab: from model.onnx to a trustworthy latency answer, and to an app that ships it."""

__version__ = "0.1.0"
