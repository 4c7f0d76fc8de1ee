"""A training step of MoCo by lightly's parts in PyTorch, as its own example puts them together."""

import copy
import importlib

from measured_process import timed
from reference_step import fit_to, precision

EMBEDDING, MOMENTUM = 128, 0.99


def missing():
    """Why lightly's step cannot be made here, or None."""
    try:
        for name in ("torchvision", "lightly.loss", "lightly.models.modules"):
            importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # the latter of a build for another torch
        return str(error)
    return None


def make_step(setting, policy="float32"):
    """Function that makes steps and gives their mean seconds."""
    import torch
    import torchvision
    from lightly.loss import NTXentLoss
    from lightly.models.modules import MoCoProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = fit_to(getattr(torchvision.models, setting.network)(), setting.image_size)
    width, network.fc = network.fc.in_features, torch.nn.Identity()
    head = MoCoProjectionHead(width, width, EMBEDDING)
    student = torch.nn.Sequential(network, head).to(device).train()
    teacher = copy.deepcopy(student)
    deactivate_requires_grad(teacher)
    criterion = NTXentLoss(memory_bank_size=(setting.queue_size, EMBEDDING)).to(device)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    shape = (setting.batch_size, 3, setting.image_size, setting.image_size)
    query_view, key_view = (torch.rand(shape, device=device) for _ in range(2))

    def step():
        update_momentum(student, teacher, m=MOMENTUM)
        with precision(policy):
            loss = criterion(student(query_view), teacher(key_view).detach())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return timed(step, wait=torch.cuda.synchronize if device == "cuda" else lambda: None)
