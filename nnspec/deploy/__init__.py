"""What leaves the house: models and training steps for other runtimes, each written once onnxruntime has shown that it is right."""

from nnspec.deploy.comparison import distance
from nnspec.deploy.model import Proof, export

__all__ = ["Proof", "distance", "export"]
