"""Training steps of other code in PyTorch: the authors' ISD, and MoCo of lightly's parts."""

import copy
import importlib
import sys
import types
import unittest.mock

from measured_process import timed

EMBEDDING, MOMENTUM = 128, 0.99  # of lightly's MoCo


def import_script(path, name):
    """Imports a script of the authors, on a machine with or without torchvision and a GPU."""
    import torch

    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # built for another torch; a step needs no torchvision
        datasets = types.SimpleNamespace(ImageFolder=object)
        sys.modules["torchvision"] = unittest.mock.MagicMock(datasets=datasets)
    if not torch.cuda.is_available():
        torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *args, **kwargs: self
    sys.path.insert(0, path)
    return importlib.import_module(name)


def adapt_to_size(network, image_size):
    """Changes a ResNet of PyTorch to our stem for small images."""
    import torch

    if image_size < 64:
        network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = torch.nn.Identity()
    if image_size != 224:
        network.avgpool = torch.nn.AdaptiveAvgPool2d(1)
    return network


def precision(name):
    """PyTorch's context with the precision of a policy of Keras."""
    import torch

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(kind, torch.bfloat16, enabled=name == "mixed_bfloat16")


def make_authors_step(path, setting, policy="float32", together=False):
    """Function of a count that runs steps of the authors' script and returns their seconds.

    With `together` it returns one number, their mean.
    """
    import torch

    script = import_script(path, setting.script)
    isd = script.ISD(setting.network, K=setting.queue_size)
    for encoder in (isd.encoder_q, isd.encoder_k):
        adapt_to_size(encoder, setting.image_size)
    isd.encoder_k.requires_grad_(False)
    isd.data_parallel()
    isd = isd.cuda().train()
    criterion = script.KLD().cuda()
    parameters = [p for p in isd.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4)
    shape = (setting.batch_size, 3, setting.image_size, setting.image_size)
    arguments = [torch.rand(shape).cuda(), torch.rand(shape).cuda()]
    if setting.script == "train_isd_plus":
        arguments.append(torch.zeros(setting.batch_size, dtype=torch.long).cuda())

    def step():  # as in the authors' `train_student`
        with precision(policy):
            sim_q, sim_k = isd(*arguments)[:2]
            loss = criterion(inputs=sim_q, targets=sim_k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return timed(step, wait=(lambda: None) if together else None)  # each step has read its loss


def lightly_import_error():
    """The error of importing lightly and torchvision, as text, or None."""
    try:
        for name in ("torchvision", "lightly.loss", "lightly.models.modules"):
            importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        return str(error)
    return None


def make_lightly_step(setting, policy="float32"):
    """Function of a count that runs steps of MoCo and returns their mean seconds.

    The step is that of lightly's own example.
    """
    import torch
    import torchvision
    from lightly.loss import NTXentLoss
    from lightly.models.modules import MoCoProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = adapt_to_size(getattr(torchvision.models, setting.network)(), setting.image_size)
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
