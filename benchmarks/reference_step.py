"""The authors' own training step in PyTorch, out of a checkout of their repository."""

import importlib
import sys
import types
import unittest.mock

from measured_process import timed


def import_script(path, name):
    """A training script of theirs, on a machine that may have neither torchvision nor a GPU."""
    import torch

    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # made for another torch, say: a step does without
        datasets = types.SimpleNamespace(ImageFolder=object)
        sys.modules["torchvision"] = unittest.mock.MagicMock(datasets=datasets)
    if not torch.cuda.is_available():
        torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *args, **kwargs: self
    sys.path.insert(0, path)
    return importlib.import_module(name)


def make_step(path, name, queue_size, batch_size, image_size):
    """Function that makes steps of their script and gives their seconds."""
    import torch

    script = import_script(path, name)
    isd = script.ISD("resnet18", K=queue_size)
    if image_size < 64:  # a stem for small images, as ours: they have none
        for encoder in (isd.encoder_q, isd.encoder_k):
            encoder.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
            encoder.maxpool = torch.nn.Identity()
            encoder.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        isd.encoder_k.conv1.weight.requires_grad = False
    isd.data_parallel()
    isd = isd.cuda().train()
    criterion = script.KLD().cuda()
    parameters = [p for p in isd.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4)
    shape = (batch_size, 3, image_size, image_size)
    arguments = [torch.rand(shape).cuda(), torch.rand(shape).cuda()]
    if name == "train_isd_plus":
        arguments.append(torch.zeros(batch_size, dtype=torch.long).cuda())

    def step():  # as in their `train_student`
        sim_q, sim_k = isd(*arguments)[:2]
        loss = criterion(inputs=sim_q, targets=sim_k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return timed(step)
