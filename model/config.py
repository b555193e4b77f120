"""Every hyperparameter, once: frozen dataclasses that check themselves.

This file imports no torch, so that a dry run of thousands of runs stays fast.  Fields without a
default must be given; fields with one are options, whose default is what the code did before they
were added (run_config.py says why).
"""

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from model.network import layout
from model.network.pooling import check_pooling
from model.network.resolutions import single_resolution
from model.network.sharing import repeat
from model.validation import NO_OTHER_KEYS
from model.validation import ConfigError as ConfigError  # where every command looks for it


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """An HVAE: its towers, its likelihood, and one field for each ablation."""

    __pydantic_config__ = NO_OTHER_KEYS

    image_size: int
    """height = width of the images, pixels"""
    image_channels: int
    """channels of the images"""
    likelihood: Literal["bernoulli", "discretised_logistics"]
    """of a pixel value: bernoulli (binary) or discretised_logistics (256 values)"""
    pixel_mean: float
    """the network's input is (pixel - pixel_mean) / pixel_std"""
    pixel_std: float
    """see pixel_mean"""
    encoder: str
    """bottom-up block string (model/network/layout.py)"""
    decoder: str
    """top-down block string (model/network/layout.py)"""
    width: int
    """channels of the residual state"""
    zdim: int
    """channels of each latent, before zdim_multiple"""
    zdim_multiple: int = 1
    """more latents at the same depth: each has zdim × zdim_multiple channels"""
    bottleneck_multiple: float = 0.25
    """channels inside a block / width"""
    num_mixtures: int = 10
    """mixture components of discretised_logistics"""
    no_bias_above: int = 64
    """no learnt initial state above this resolution, pixels"""
    likelihood_size: int | None = None
    """height = width of the central square that the likelihood scores, pixels; null: all"""
    blocks: int = 1
    """x1 ... x4: blocks with weights of their own per plain block of the layout"""
    repeats: int = 1
    """weight sharing, r1 ... r20: applications of each plain block (sharing.py)"""
    state_norm: Literal["none", "l2", "rms"] = "none"
    """normalisation of the residual state: none, l2, rms (state_norm.py)"""
    cell: Literal["vdvae", "nvae", "markov"] = "vdvae"
    """cell of the top-down blocks: vdvae, nvae, markov (cell.py)"""
    residual_cells: bool = True
    """whether the blocks of both towers add to the state that they get (residual.py)"""
    skip: Literal["last", "mirror"] = "last"
    """which bottom-up output a top-down block sees: last or mirror (skip.py)"""
    resolutions: Literal["multiple", "single"] = "multiple"
    """multiple, or single: all blocks at the image's resolution (resolutions.py)"""
    fourier: Literal["none", "value", "position"] = "none"
    """Fourier features at the input: none, of the pixels' value or position (fourier.py)"""
    fourier_exponents: tuple[int, ...] = (5, 6)
    """n of the Fourier features' frequencies 2^n, periods per range of values or per image"""
    pooling: str = "average"
    """between resolutions: average, or the low-pass of an orthonormal wavelet (pooling.py)"""
    gradient_checkpointing: bool = field(default=False, metadata={"affects_result": False})
    """whether the backward pass computes each block again: less memory, more time"""

    def __post_init__(self) -> None:
        _require_positive(self, "image_size", "image_channels", "pixel_std", "width", "zdim")
        _require_positive(self, "num_mixtures", "blocks", "repeats", "bottleneck_multiple")
        _require_positive(self, "zdim_multiple")
        if int(self.width * self.bottleneck_multiple) < 1:
            raise ConfigError(
                f"{self.bottleneck_multiple} leaves no channel of width {self.width}",
                "bottleneck_multiple",
                "width",
            )
        if self.likelihood == "discretised_logistics" and self.image_channels not in (1, 3):
            raise ConfigError(
                "discretised_logistics is for 1 channel, or for 3, each given the ones before, "
                f"not for image_channels: {self.image_channels}",
                "likelihood",
                "image_channels",
            )
        if self.likelihood_size is not None and not (
            0 < self.likelihood_size <= self.image_size
            and (self.image_size - self.likelihood_size) % 2 == 0
        ):
            raise ConfigError(
                f"{self.likelihood_size} is no centred part of image_size {self.image_size}",
                "likelihood_size",
                "image_size",
            )
        if self.cell != "vdvae" and not self.residual_cells:
            raise ConfigError(
                f"false makes every cell Markovian, so cell: {self.cell} has no meaning with it; "
                "leave one of them out",
                "residual_cells",
                "cell",
            )
        self._check_fourier()
        self._check_towers()

    def _check_towers(self) -> None:
        with _about("encoder", "image_size"):
            layout.check_bottom_up(self.bottom_up, self.image_size)
        resolutions = {b.resolution for b in self.bottom_up}
        resolutions |= {b.output_resolution for b in self.bottom_up}
        with _about("decoder", "encoder", "image_size"):
            layout.check_top_down(self.top_down, self.image_size, resolutions)
        with _about("pooling", "encoder", "decoder"):
            check_pooling(self.pooling, self.bottom_up, self.top_down)

    def _check_fourier(self) -> None:
        if self.fourier == "none":
            return
        if not self.fourier_exponents or min(self.fourier_exponents) < 0:
            raise ConfigError("must be a list of integers n >= 0", "fourier_exponents", "fourier")
        if self.fourier == "value" and self.likelihood == "bernoulli":
            raise ConfigError(
                "value is constant on binary data (likelihood bernoulli); use fourier: position",
                "fourier",
                "likelihood",
            )
        # 2^n periods over 256 values, or image_size pixels: fewer than half as many as samples. At
        # half, each cosine is that of pi (k + 1/2): 0 everywhere, a dead channel.
        samples = 256 if self.fourier == "value" else self.image_size
        too_high = [n for n in self.fourier_exponents if 2**n >= samples / 2]
        if too_high:
            raise ConfigError(
                f"{too_high} of {self.fourier} do not lie below the Nyquist limit: "
                f"2^n must be less than {samples // 2}",
                "fourier_exponents",
                "fourier",
                "image_size",
            )

    @cached_property
    def bottom_up(self) -> tuple[layout.Block, ...]:
        """The encoder's blocks, with `blocks`, `repeats` and `resolutions` applied."""
        with _about("encoder"):
            return self._tower(self.encoder)

    @cached_property
    def top_down(self) -> tuple[layout.Block, ...]:
        """The decoder's blocks, with `blocks`, `repeats` and `resolutions` applied."""
        with _about("decoder"):
            return self._tower(self.decoder)

    def _tower(self, text: str) -> tuple[layout.Block, ...]:
        blocks = repeat(layout.multiply(layout.parse(text), self.blocks), self.repeats)
        return (
            single_resolution(blocks, self.image_size) if self.resolutions == "single" else blocks
        )

    @property
    def latent_channels(self) -> int:
        """Channels of the latent of each stochastic layer."""
        return self.zdim * self.zdim_multiple

    @property
    def stochastic_depth(self) -> int:
        """Number of stochastic layers: applications of top-down blocks."""
        return sum(block.repeats for block in self.top_down)

    @property
    def num_latents(self) -> int:
        """Number of scalar latent variables of one image."""
        per_pixel = self.latent_channels
        return sum(block.repeats * per_pixel * block.resolution**2 for block in self.top_down)

    @property
    def likelihood_dims(self) -> int:
        """Number of pixel values of one image that the likelihood scores."""
        return self.image_channels * (self.likelihood_size or self.image_size) ** 2

    @property
    def unit(self) -> Literal["nats", "bits/dim"]:
        """The unit in which the literature reports this likelihood's NLL per image."""
        return "nats" if self.likelihood == "bernoulli" else "bits/dim"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The optimisation (openai/vdvae's, which the paper follows)."""

    __pydantic_config__ = NO_OTHER_KEYS

    iterations: int
    """batches to train on, whether their update is applied or skipped"""
    batch_size: int
    """images per update, over all GPUs"""
    learning_rate: float
    """of AdamW, after the warm-up"""
    weight_decay: float
    """of AdamW"""
    betas: tuple[float, float]
    """of AdamW"""
    warmup_iterations: int
    """iterations in which the learning rate rises linearly; then it stays"""
    ema_rate: float
    """of the averaged weights; warmed up as min(ema_rate, (1 + n) / (10 + n)) after n updates"""
    # The norms are of the gradient of the loss in nats per image (bernoulli) or nats per dimension
    # (discretised_logistics).
    gradient_clip: float
    """largest norm of the gradient (of nats per image; discretised_logistics: per dimension)"""
    skip_threshold: float
    """an update whose gradient norm, in the unit of gradient_clip, exceeds this is skipped"""
    diverged_after: int
    """so many skipped updates in a row end the run as diverged"""
    gpus: int = field(default=1, metadata={"affects_result": False})
    """processes that split each batch, one per GPU, or on the CPU"""
    validation_images: int
    """images of the validation split that are used: the first so many"""
    validate_every: int = field(metadata={"affects_result": False})
    """iterations between validations"""
    log_every: int = field(metadata={"affects_result": False})
    """iterations between rows of the training curve"""

    def __post_init__(self) -> None:
        _require_positive(self, "iterations", "batch_size", "learning_rate", "gradient_clip")
        _require_positive(self, "skip_threshold", "diverged_after", "validation_images")
        _require_positive(self, "validate_every", "log_every", "gpus")
        if self.gpus > self.batch_size:
            raise ConfigError(
                f"{self.gpus} cannot split a batch_size of {self.batch_size}",
                "gpus",
                "batch_size",
            )
        if not 0 <= self.ema_rate < 1:
            raise ConfigError(f"must be in [0, 1), not {self.ema_rate}", "ema_rate")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The evaluation on the whole test set; no part of a run's hash."""

    __pydantic_config__ = NO_OTHER_KEYS

    batch_size: int
    """images that are evaluated at a time"""
    importance_samples: int
    """samples K of the importance-weighted bound; 1 gives the one-sample bound"""

    def __post_init__(self) -> None:
        _require_positive(self, "batch_size", "importance_samples")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The samples whose statistics are compared with the test set's; no part of a run's hash."""

    __pydantic_config__ = NO_OTHER_KEYS

    num_samples: int
    """samples per temperature"""
    temperatures: tuple[float, ...]
    """factors on the prior's sigma in every layer, ascending"""

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise ConfigError(f"must be at least 2, not {self.num_samples}", "num_samples")
        if (
            not self.temperatures
            or self.temperatures[0] <= 0
            or list(self.temperatures) != sorted(set(self.temperatures))
        ):
            found = ", ".join(map(str, self.temperatures)) or "none"
            raise ConfigError(f"must be positive and ascending, not {found}", "temperatures")


def _require_positive(config: Any, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ConfigError(f"must be positive, not {getattr(config, name)}", name)


@contextmanager
def _about(*fields: str) -> Iterator[None]:
    """A ValueError inside is a mistake in these fields, in the first one above all."""
    try:
        yield
    except ConfigError:
        raise  # of another field, on the way to these
    except ValueError as error:
        raise ConfigError(str(error).removeprefix(f"{fields[0]}: "), *fields) from None


def descriptions(config: type) -> dict[str, str]:
    """What each field of a config dataclass means: the text below it, read from the source."""
    (definition,) = ast.parse(inspect.getsource(config)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(ast.literal_eval(text.value).split())
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
