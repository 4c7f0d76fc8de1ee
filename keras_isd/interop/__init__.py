"""Reading and writing PyTorch checkpoints of the authors' code, MoCo and BYOL."""

from keras_isd.interop.backbone import load_torch_backbone
from keras_isd.interop.checkpoint import load_torch_checkpoint, save_torch_checkpoint

__all__ = ["load_torch_backbone", "load_torch_checkpoint", "save_torch_checkpoint"]
