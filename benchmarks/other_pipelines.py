"""Two views of 224 or 32 pixels by other libraries, in PyTorch's DataLoader with two workers."""

import numpy as np

from keras_isd import augmentation

BATCH = 64
WORKERS = 2


def with_others(pipelines, items, size):
    """The pipelines with those of the libraries that can be imported, on paths or on arrays."""
    others = {"torchvision": torchvision_views, "albumentations": albumentations_views}
    for name, views in others.items():
        try:
            found = loader(items, *views(size))
        except (ImportError, RuntimeError):  # the latter where its build is not for this torch
            print(f"{name} cannot be imported: left out")
        else:
            pipelines = {**pipelines, f"{name}, {WORKERS} workers": found}
    return pipelines


def loader(items, read, strong, weak):
    import torch

    class Views(torch.utils.data.Dataset):
        def __len__(self):
            return len(items)

        def __getitem__(self, index):
            image = read(items[index])
            return strong(image), weak(image)

    return torch.utils.data.DataLoader(
        Views(), BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
    )


def torchvision_views(size):
    """How it reads an item, and its strong and weak view, of Pillow's images as is the custom."""
    from PIL import Image
    from torchvision import transforms as t

    def read(item):
        return Image.open(item).convert("RGB") if isinstance(item, str) else Image.fromarray(item)

    last = [t.RandomHorizontalFlip(), t.ToTensor(), t.Normalize(*augmentation.IMAGENET)]
    crop = t.RandomResizedCrop(size, scale=(0.2, 1.0))
    color = [t.RandomApply([t.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8), t.RandomGrayscale(0.2)]
    blur = [t.RandomApply([t.GaussianBlur(23, (0.1, 2.0))], 0.5)] if size > 32 else []
    return read, t.Compose([crop, *color, *blur, *last]), t.Compose([crop, *last])


def albumentations_views(size):
    """The same by albumentations on OpenCV: in 8 bits, and crops without antialiasing."""
    import albumentations as a
    import cv2
    import torch

    def read(item):
        return cv2.cvtColor(cv2.imread(item), cv2.COLOR_BGR2RGB) if isinstance(item, str) else item

    def as_tensor(chain):
        def view(image):
            made = chain(image=image)["image"]
            return torch.from_numpy(np.ascontiguousarray(made.transpose(2, 0, 1)))

        return view

    last = [a.HorizontalFlip(p=0.5), a.Normalize(*augmentation.IMAGENET)]
    crop = a.RandomResizedCrop((size, size), scale=(0.2, 1.0))
    factor = (0.6, 1.4)
    color = [a.ColorJitter(factor, factor, factor, (-0.1, 0.1), p=0.8), a.ToGray(p=0.2)]
    blur = [a.GaussianBlur(23, (0.1, 2.0), p=0.5)] if size > 32 else []
    chains = a.Compose([crop, *color, *blur, *last]), a.Compose([crop, *last])
    return read, *map(as_tensor, chains)
