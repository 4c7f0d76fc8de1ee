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


def fit_to(network, image_size):
    """Gives a ResNet of PyTorch the stem for small images where they are, as ours has."""
    import torch

    if image_size < 64:
        network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = torch.nn.Identity()
    if image_size != 224:
        network.avgpool = torch.nn.AdaptiveAvgPool2d(1)
    return network


def precision(name):
    """What a step of PyTorch is computed in, for a policy of Keras."""
    import torch

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(kind, torch.bfloat16, enabled=name == "mixed_bfloat16")


def make_step(path, setting, policy="float32", together=False):
    """Function that makes steps of their script and gives their seconds, or their mean together."""
    import torch

    script = import_script(path, setting.script)
    isd = script.ISD(setting.network, K=setting.queue_size)
    for encoder in (isd.encoder_q, isd.encoder_k):
        fit_to(encoder, setting.image_size)
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

    def step():  # as in their `train_student`
        with precision(policy):
            sim_q, sim_k = isd(*arguments)[:2]
            loss = criterion(inputs=sim_q, targets=sim_k)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return timed(step, wait=(lambda: None) if together else None)  # it has read its loss
