"""Data: sets that need no download, CIFAR on disk, image folders, files of arrays, and loaders of the user's own.

A data set is a function that returns a :class:`Dataset`. :func:`open_data` takes whatever a user calls data, by name or
place, and returns one :class:`Batch`. All take a seed and leave the global random generators alone; no file of data is
executed, and nothing is downloaded. scikit-learn, Pillow and safetensors are imported when what they read is asked for.
"""

from __future__ import annotations

from normscope.data.batch import Batch
from normscope.data.cifar import cifar10, cifar100
from normscope.data.dataset import Dataset
from normscope.data.handwriting import digits
from normscope.data.images import image_folder
from normscope.data.opening import DATASETS, load, open_data
from normscope.data.synthetic import gaussian, two_moons

__all__ = [
    "DATASETS",
    "Batch",
    "Dataset",
    "cifar10",
    "cifar100",
    "digits",
    "gaussian",
    "image_folder",
    "load",
    "open_data",
    "two_moons",
]
