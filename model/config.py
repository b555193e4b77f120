"""Every hyperparameter, once: frozen dataclasses that check themselves.

This file imports no torch, so that a dry run of thousands of runs stays fast.  Fields without a
default must be given; fields with one are options, whose default is what the code did before they
were added (run_config.py says why).
"""

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from model.limits import Between, Channels, Count, Positive, check_ranges
from model.network import layout
from model.network.pooling import check_pooling
from model.network.resolutions import single_resolution
from model.network.sharing import repeat
from model.validation import NO_OTHER_KEYS
from model.validation import ConfigError as ConfigError  # where every command looks for it

MAX_IMAGE_VALUES = 2**24
MAX_LATENT_CHANNELS = 2**16
Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """An HVAE: its towers, its likelihood, and one field for each ablation."""

    __pydantic_config__ = NO_OTHER_KEYS

    image_size: Annotated[int, Between(1, 2048)]
    """height = width of the images, pixels"""
    image_channels: Annotated[int, Between(1, 64)]
    """channels of the images"""
    likelihood: Literal["bernoulli", "discretised_logistics"]
    """of a pixel value: bernoulli (binary) or discretised_logistics (256 values)"""
    pixel_mean: Annotated[float | None, Between(-1000, 1000)] = field(
        default=None, metadata={"from_data": True}
    )
    """the network's input is (pixel - pixel_mean) / pixel_std; null: mean of the training images"""
    pixel_std: Annotated[float | None, Between(1e-6, 1e6)] = field(
        default=None, metadata={"from_data": True}
    )
    """see pixel_mean; null: standard deviation of the training images"""
    encoder: str
    """bottom-up block string (model/network/layout.py)"""
    decoder: str
    """top-down block string (model/network/layout.py)"""
    width: Channels
    """channels of the residual state"""
    zdim: Channels
    """channels of each latent, before zdim_multiple"""
    zdim_multiple: Channels = 1
    """more latents at the same depth: each has zdim × zdim_multiple channels"""
    bottleneck_multiple: Annotated[float, Between(0, 64, without_low=True)] = 0.25
    """channels inside a block / width"""
    num_mixtures: Annotated[int, Between(1, 1000)] = 10
    """mixture components of discretised_logistics"""
    no_bias_above: Annotated[int, Between(0, 65_536)] = 64
    """no learnt initial state above this resolution, pixels"""
    likelihood_size: Annotated[int | None, Between(1, 2048)] = None
    """height = width of the central square that the likelihood scores, pixels; null: all"""
    blocks: Annotated[int, Between(1, 1000)] = 1
    """x1 ... x4: blocks with weights of their own per plain block of the layout"""
    repeats: Annotated[int, Between(1, 1000)] = 1
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
    fourier_exponents: Annotated[tuple[int, ...], Between(0, 30)] = (5, 6)
    """n of the Fourier features' frequencies 2^n, periods per range of values or per image"""
    pooling: Annotated[str, Field(max_length=40)] = "average"
    """between resolutions: average, or the low-pass of an orthonormal wavelet (pooling.py)"""
    gradient_checkpointing: bool = field(default=False, metadata={"affects_result": False})
    """whether the backward pass computes each block again: less memory, more time"""

    def __post_init__(self) -> None:
        check_ranges(self)
        self._check_sizes()
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
        if (self.pixel_mean is None) != (self.pixel_std is None):
            raise ConfigError("give both or neither", "pixel_mean", "pixel_std")
        if self.cell != "vdvae" and not self.residual_cells:
            raise ConfigError(
                f"false makes every cell Markovian, so cell: {self.cell} has no meaning with it; "
                "leave one of them out",
                "residual_cells",
                "cell",
            )
        self._check_fourier()
        self._check_towers()

    def _check_sizes(self) -> None:
        if (values := self.image_size**2 * self.image_channels) > MAX_IMAGE_VALUES:
            raise ConfigError(
                f"images of {values:,} values; at most {MAX_IMAGE_VALUES:,} can be",
                "image_size",
                "image_channels",
            )
        if self.latent_channels > MAX_LATENT_CHANNELS:
            raise ConfigError(
                f"latents of {self.latent_channels:,} channels; at most {MAX_LATENT_CHANNELS:,} "
                "can be",
                "zdim",
                "zdim_multiple",
            )

    def with_pixel_moments(self, mean: float, std: float) -> "ModelConfig":
        """This config with the moments of the training images (0 ... 255), if it leaves them out.

        Binarised images hold 0 and 1: a grey level is then the probability of a 1.
        """
        if self.pixel_mean is not None:
            return self
        if self.likelihood == "bernoulli":
            mean = mean / 255
            std = (mean * (1 - mean)) ** 0.5
        return replace(self, pixel_mean=mean, pixel_std=std if std > 0 else 1.0)

    def _check_towers(self) -> None:
        with _about("encoder", "image_size"):
            layout.check_bottom_up(self.bottom_up, self.image_size)
        resolutions = {b.resolution for b in self.bottom_up}
        resolutions |= {b.output_resolution for b in self.bottom_up}
        with _about("decoder", "encoder", "image_size"):
            layout.check_top_down(self.top_down, self.image_size, resolutions)
        with _about("pooling", "encoder", "decoder"):
            check_pooling(self.pooling, self.bottom_up, self.top_down)

    def require_steps(self) -> None:
        """Raise ConfigError if a block adds nothing to its state: there is no step to change.

        See model/network/refinement.py.
        """
        for name, value, needed in (
            ("residual_cells", self.residual_cells, True),
            ("cell", self.cell, "vdvae"),
            ("state_norm", self.state_norm, "none"),
        ):
            if value != needed:
                reason = f"{value} leaves no step whose size could change; a refinement needs"
                raise ConfigError(f"{reason} {needed}", name)

    @property
    def repeats_of_plain_blocks(self) -> int | None:
        """How often each plain block of both towers is applied; None if some more than others."""
        found = {block.repeats for block in (*self.bottom_up, *self.top_down) if block.is_plain}
        return found.pop() if len(found) == 1 else None

    def _check_fourier(self) -> None:
        if self.fourier == "none":
            return
        if not self.fourier_exponents or len(set(self.fourier_exponents)) < len(
            self.fourier_exponents
        ):
            raise ConfigError("must be different integers", "fourier_exponents", "fourier")
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
        return self._tower("encoder")

    @cached_property
    def top_down(self) -> tuple[layout.Block, ...]:
        """The decoder's blocks, with `blocks`, `repeats` and `resolutions` applied."""
        return self._tower("decoder")

    def _tower(self, name: str) -> tuple[layout.Block, ...]:
        with _about(name):
            parsed = layout.parse(getattr(self, name))
        with _about(name, "blocks", "repeats"):
            blocks = layout.multiply(parsed, self.blocks)
            layout.check_depth(blocks, self.repeats)
        blocks = repeat(blocks, self.repeats)
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

    iterations: Count
    """batches to train on, whether their update is applied or skipped"""
    batch_size: Annotated[int, Between(1, 1_000_000)]
    """images per update, over all GPUs"""
    learning_rate: Annotated[float, Between(0, 1000, without_low=True)]
    """of AdamW, after the warm-up"""
    weight_decay: Annotated[float, Between(0, 1000)]
    """of AdamW"""
    betas: Annotated[tuple[float, float], Between(0, 1, without_high=True)]
    """of AdamW"""
    warmup_iterations: Annotated[int, Between(0, 1_000_000_000)]
    """iterations in which the learning rate rises linearly; then it stays"""
    kl_warmup_iterations: Annotated[int, Between(0, 1_000_000_000)] = 0
    """iterations in which the weight of the rate in the loss rises linearly to 1 (warmup.py)"""
    ema_rate: Annotated[float, Between(0, 1, without_high=True)]
    """of the averaged weights; warmed up as min(ema_rate, (1 + n) / (10 + n)) after n updates"""
    precision: Precision = "fp32"
    """of convolutions in training: fp32, tf32 (on a GPU), bf16 (the towers'); evaluation is fp32"""
    # The norms are of the gradient of the loss in nats per image (bernoulli) or nats per dimension
    # (discretised_logistics).
    gradient_clip: Positive
    """largest norm of the gradient (of nats per image; discretised_logistics: per dimension)"""
    skip_threshold: Positive
    """an update whose gradient norm, in the unit of gradient_clip, exceeds this is skipped"""
    diverged_after: Count
    """so many skipped updates in a row end the run as diverged"""
    gpus: Annotated[int, Between(1, 4096)] = field(default=1, metadata={"affects_result": False})
    """processes that split each batch, one per GPU, or on the CPU"""
    cuda_graph: bool = field(default=False, metadata={"affects_result": False})
    """whether one GPU is sent the whole step as one CUDA graph, which saves the host's time"""
    validation_images: Count
    """images of the validation split that are used: the first so many"""
    validate_every: Count = field(metadata={"affects_result": False})
    """iterations between validations"""
    log_every: Count = field(metadata={"affects_result": False})
    """iterations between rows of the training curve"""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.gpus > self.batch_size:
            raise ConfigError(
                f"{self.gpus} cannot split a batch_size of {self.batch_size}",
                "gpus",
                "batch_size",
            )
        if self.cuda_graph and self.gpus > 1:
            raise ConfigError(
                f"is for one GPU, and gpus is {self.gpus}: leave one of them out",
                "cuda_graph",
                "gpus",
            )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The evaluation on the whole test set; no part of a run's hash."""

    __pydantic_config__ = NO_OTHER_KEYS

    batch_size: Annotated[int, Between(1, 1_000_000)]
    """images that are evaluated at a time"""
    importance_samples: Annotated[int, Between(1, 1_000_000)]
    """samples K of the importance-weighted bound; 1 gives the one-sample bound"""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The samples whose statistics are compared with the test set's; no part of a run's hash."""

    __pydantic_config__ = NO_OTHER_KEYS

    num_samples: Annotated[int, Between(2, 1_000_000)]
    """samples per temperature"""
    temperatures: Annotated[tuple[float, ...], Between(0, 1000, without_low=True)]
    """factors on the prior's sigma in every layer, ascending"""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.temperatures or list(self.temperatures) != sorted(set(self.temperatures)):
            found = ", ".join(map(str, self.temperatures)) or "none"
            raise ConfigError(f"must be one number or more, ascending, not {found}", "temperatures")


@dataclass(frozen=True, kw_only=True)
class RefineConfig:
    """The evaluation of a trained model at other step sizes; no part of a run's hash."""

    __pydantic_config__ = NO_OTHER_KEYS

    num_images: Count = 1000
    """images of the test set that are evaluated: the first so many"""
    num_noises: Annotated[int, Between(1, 1000)] = 3
    """passes over each image, each with noise of its own"""

    def __post_init__(self) -> None:
        check_ranges(self)


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
