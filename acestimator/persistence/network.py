"""A trained network as tensors and the name of its backbone, and back.

The tensors are put into a network that is built for them. It is built without memory where that is possible, so that a
file that lies about sizes costs none.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from acestimator import backbones
from acestimator.backbones import mlp
from acestimator.persistence.values import description
from acestimator.recipes import RecipeNetwork

_LARGEST_SIDE = 1 << 31
_TRIED = 2  # samples of the trial
_AGREEMENT = 1e-2  # of a trial's logits, relative to the largest: other machines round otherwise


def named(backbone: Any) -> dict[str, Any] | None:
    """What a backbone is rebuilt from, for JSON; None of one that is the user's own."""
    if isinstance(backbone, str):
        return {"name": backbone}
    if type(backbone) is RecipeNetwork:
        return {"dataset": backbone.dataset, "network": backbone.network}
    return None


def of_name(name: Mapping[str, Any]) -> str | RecipeNetwork:
    """The backbone that :func:`named` was given."""
    if "name" in name:
        return str(name["name"])
    return RecipeNetwork(str(name["dataset"]), str(name["network"]))


def is_built_in(backbone: Any) -> bool:
    """Whether a backbone's networks are this package's own, which do not change."""
    return type(backbone) is RecipeNetwork or (isinstance(backbone, str) and ":" not in backbone)


def belongs(network: nn.Module, backbone: Any, shape: tuple[int, ...], n_outputs: int, *, sparse: bool) -> bool:
    """Whether a network has the tensors of those that are built of a named backbone."""
    expected = {name: tensor.shape for name, tensor in _built(backbone, shape, n_outputs, sparse).state_dict().items()}
    return expected == {name: getattr(part, "shape", None) for name, part in network.state_dict().items()}


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Tensors of a network.

    Raises
    ------
    ValueError
        If it has a state of another kind: which part.
    """
    state = network.state_dict()
    for name, part in state.items():
        if not isinstance(part, Tensor):
            raise ValueError(
                f"the network's state {name!r} is {type(part).__name__}, and a file holds tensors alone: let "
                "get_extra_state return a tensor, or keep it in a buffer."
            )
    return dict(state)


def strides_of(state: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Strides of those tensors that do not lie in memory as their shape says, as images' kernels may.

    Convolutions round by how their kernels lie.
    """
    return {
        name: list(part.stride())
        for name, part in state.items()
        if part.stride() != _usual(part.shape) and _are_permuted(part.shape, part.stride())
    }


def rebuilt(
    backbone: Any,
    shape: tuple[int, ...],
    n_outputs: int,
    state: dict[str, Tensor],
    strides: Mapping[str, Any],
    *,
    sparse: bool = False,
) -> nn.Module:
    """The network that these tensors are of.

    Parameters
    ----------
    backbone : str, RecipeNetwork, nn.Module or callable
        A module is copied.
    shape : tuple of int
        Of one sample.
    n_outputs : int
    state : dict of str to Tensor
        Those of the network hereafter.
    strides : dict of str to list of int
        As of :func:`strides_of`.
    sparse : bool, default=False
        Whether the network takes sparse rows.

    Raises
    ------
    ValueError
        If the tensors are not of such a network: which are not.
    ImportError
        If the network is one of timm's or torchvision's, and the package cannot be imported.
    """
    if not (len(shape) in (1, 3) and all(type(side) is int and 0 < side < _LARGEST_SIDE for side in shape)):
        raise ValueError(f"a sample has shape {shape}")
    state = {name: _laid_out(tensor, strides.get(name)) for name, tensor in state.items()}
    network = _built(backbone, shape, n_outputs, sparse)
    _load(network, state)
    if any(part.is_meta for part in (*network.parameters(), *network.buffers())):  # it has what is in no state
        network = _built(backbone, shape, n_outputs, sparse, device="cpu").float()
        _load(network, state)
    return network.eval()


def trial(network: nn.Module, shape: tuple[int, ...]) -> Tensor | None:
    """Logits (2, C) of two samples that are always the same; None where there are none to rely on."""
    parameter = next((part for part in network.parameters() if part.is_floating_point()), torch.empty(0))
    samples = torch.cos(torch.arange(_TRIED * math.prod(shape), dtype=torch.float64).square_().add_(1.0))
    samples = samples.view(_TRIED, *shape).to(parameter.device, parameter.dtype)
    try:
        with torch.no_grad():
            first, second = network.eval()(samples), network(samples)
        if torch.isfinite(first).all() and torch.equal(first, second):
            return first.cpu()
    except Exception:  # whatever a user's module makes of samples that are not its own
        return None
    return None


def check_trial(network: nn.Module, shape: tuple[int, ...], expected: Tensor, name: str) -> None:
    """Raise ValueError if a network that was rebuilt computes something else than the one that was saved."""
    found = trial(network, shape)
    if found is None or found.shape != expected.shape:
        difference = math.inf
    else:
        difference = float((found.double() - expected.double()).abs().max() / expected.double().abs().max().clamp(1e-6))
    if not difference <= _AGREEMENT:
        raise ValueError(
            f"the tensors fit into the backbone ({name}), but it computes something else than the network that was "
            f"saved: its logits on two samples differ by {difference:.2g} of the largest. Give the same module in the "
            "same version."
        )


def _built(backbone: Any, shape: tuple[int, ...], n_outputs: int, sparse: bool, device: str | None = None) -> nn.Module:
    """A network with any numbers; without memory, unless a device is given or the backbone is the user's own."""
    if isinstance(backbone, nn.Module):
        return copy.deepcopy(backbone).cpu()
    own = named(backbone) is None
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device or ("cpu" if own else "meta")):
            network = _made(backbone, shape, n_outputs)
    except (NotImplementedError, RuntimeError):
        if own or device is not None:
            raise
        return _built(backbone, shape, n_outputs, sparse, device="cpu")  # some of timm's read their own numbers
    if sparse and not own:
        assert isinstance(network, nn.Sequential)
        network = mlp.taking_sparse_rows(network)
    return network.cpu() if own else network


def _made(backbone: Any, shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    network = backbones.build(backbone, shape, n_outputs) if isinstance(backbone, str) else backbone(shape, n_outputs)
    if not isinstance(network, nn.Module):
        raise ValueError(f"the backbone returned {type(network).__name__}, expected a torch.nn.Module.")
    return network


def _load(network: nn.Module, state: dict[str, Tensor]) -> None:
    try:
        network.load_state_dict(state, assign=True)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the tensors are not those of the network ({error})") from error


def _laid_out(tensor: Tensor, strides: Any) -> Tensor:
    """The same numbers, with these strides."""
    if strides is None:
        return tensor
    if not _are_permuted(tensor.shape, strides):
        raise ValueError(f"a tensor of shape {tuple(tensor.shape)} has strides {strides}")
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)


def _are_permuted(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether these strides are those of a tensor without gaps whose axes were permuted; of axes of size 1, any."""
    if len(strides) != len(shape) or not all(type(stride) is int and 0 <= stride < 1 << 62 for stride in strides):
        return False
    usual = 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1:
            if stride != usual:
                return False
            usual *= size
    return True


def _usual(shape: Sequence[int]) -> tuple[int, ...]:
    return torch.empty(tuple(shape), device="meta").stride()


def own_name(backbone: Any) -> str:
    """What a backbone is, in some words."""
    return backbone if isinstance(backbone, str) else description(backbone)
