"""Every hyperparameter, once: frozen dataclasses that check themselves, and the config's hash.

This file imports no torch, so that a dry run of thousands of runs stays fast.  Fields without a
default must be given; fields with one are options, and an option at its default is no part of the
hash: adding an option to the code never retrains a finished run.
"""

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from model.network import layout
from model.network.pooling import check_pooling
from model.network.resolutions import single_resolution
from model.network.sharing import repeat

T = TypeVar("T")
_STRICT = ConfigDict(extra="forbid")


class ConfigError(ValueError):
    """A mistake of the user's in the configuration; its text is one line."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """An HVAE: its towers, its likelihood, and one field for each ablation."""

    __pydantic_config__ = _STRICT

    image_size: int  # pixels, height = width
    image_channels: int
    likelihood: Literal["bernoulli", "discretised_logistics"]
    pixel_mean: float  # the network's input is (pixel - pixel_mean) / pixel_std
    pixel_std: float
    encoder: str  # bottom-up block string, see model/network/layout.py
    decoder: str  # top-down block string
    width: int  # channels of the residual state
    zdim: int  # channels of each latent
    zdim_multiple: int = 1  # more latents at the same depth: each has zdim x zdim_multiple channels
    bottleneck_multiple: float = 0.25  # channels inside a block / width
    num_mixtures: int = 10  # of discretised logistics
    no_bias_above: int = 64  # no learnt initial state above this resolution
    # Height = width of the central pixels that the likelihood covers (28 for MNIST); None: all.
    likelihood_size: int | None = None
    # x1 ... x4: blocks with weights of their own per plain block of the layout
    blocks: int = 1
    # weight sharing, r1 ... r20: applications of each plain block (sharing.py)
    repeats: int = 1
    # normalised residual state (state_norm.py)
    state_norm: Literal["none", "l2", "rms"] = "none"
    # of the top-down blocks (cell.py)
    cell: Literal["vdvae", "nvae", "markov"] = "vdvae"
    # false: no "x +" in the blocks of both towers (residual.py)
    residual_cells: bool = True
    # from bottom-up to top-down blocks (skip.py)
    skip: Literal["last", "mirror"] = "last"
    resolutions: Literal["multiple", "single"] = "multiple"  # resolutions.py
    # features at the input (fourier.py), and their frequencies 2^n per value range or image
    fourier: Literal["none", "value", "position"] = "none"
    fourier_exponents: tuple[int, ...] = (6, 7)
    # or an orthonormal wavelet: haar, db2, ... (pooling.py)
    pooling: str = "average"
    # less memory, more time (gradient_checkpointing.py)
    gradient_checkpointing: bool = field(default=False, metadata={"affects_result": False})

    def __post_init__(self) -> None:
        _require_positive(self, "image_size", "image_channels", "pixel_std", "width", "zdim")
        _require_positive(self, "num_mixtures", "blocks", "repeats", "bottleneck_multiple")
        _require_positive(self, "zdim_multiple")
        if int(self.width * self.bottleneck_multiple) < 1:
            raise ConfigError(
                f"bottleneck_multiple {self.bottleneck_multiple} leaves no channel of "
                f"width {self.width}"
            )
        if self.likelihood == "discretised_logistics" and self.image_channels != 3:
            raise ConfigError(
                "likelihood discretised_logistics is for 3 channels, each given the ones before, "
                f"not for image_channels: {self.image_channels}"
            )
        if self.likelihood_size is not None and not (
            0 < self.likelihood_size <= self.image_size
            and (self.image_size - self.likelihood_size) % 2 == 0
        ):
            raise ConfigError(
                f"likelihood_size {self.likelihood_size} is no centred part of "
                f"image_size {self.image_size}"
            )
        if self.cell != "vdvae" and not self.residual_cells:
            raise ConfigError(
                f"residual_cells: false makes every cell Markovian, so cell: {self.cell} has no "
                "meaning with it; leave one of them out"
            )
        self._check_fourier()
        try:
            layout.check_bottom_up(self.bottom_up, self.image_size)
            resolutions = {b.resolution for b in self.bottom_up}
            resolutions |= {b.output_resolution for b in self.bottom_up}
            layout.check_top_down(self.top_down, self.image_size, resolutions)
            check_pooling(self.pooling, self.bottom_up, self.top_down)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def _check_fourier(self) -> None:
        if self.fourier == "none":
            return
        if not self.fourier_exponents or min(self.fourier_exponents) < 0:
            raise ConfigError("fourier_exponents must be a list of integers n >= 0")
        if self.fourier == "value" and self.likelihood == "bernoulli":
            raise ConfigError(
                "fourier: value is constant on binary data (likelihood bernoulli); "
                "use fourier: position"
            )
        # 2^n periods over 256 values, or over image_size pixels: at most half as many as samples.
        samples = 256 if self.fourier == "value" else self.image_size
        too_high = [n for n in self.fourier_exponents if 2**n > samples / 2]
        if too_high:
            raise ConfigError(
                f"fourier_exponents {too_high} of {self.fourier} lie above the Nyquist limit: "
                f"2^n may be at most {samples // 2}"
            )

    @cached_property
    def bottom_up(self) -> tuple[layout.Block, ...]:
        """The encoder's blocks, with `blocks`, `repeats` and `resolutions` applied."""
        return self._tower(self.encoder)

    @cached_property
    def top_down(self) -> tuple[layout.Block, ...]:
        """The decoder's blocks, with `blocks`, `repeats` and `resolutions` applied."""
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

    __pydantic_config__ = _STRICT

    iterations: int  # number of batches, whether their update is applied or skipped
    batch_size: int  # images per update, over all GPUs
    learning_rate: float
    weight_decay: float
    betas: tuple[float, float]
    warmup_iterations: int  # the learning rate rises linearly, then stays
    ema_rate: float  # of the averaged weights; warmed up as min(ema_rate, (1 + n) / (10 + n))
    # The loss is in nats per image (Bernoulli) or nats per dimension (discretised logistics);
    # gradient norms are of that loss.
    gradient_clip: float  # the gradient is scaled to at most this norm
    skip_threshold: float  # an update whose gradient norm exceeds this is skipped
    diverged_after: int  # so many skipped updates in a row end the run as diverged
    gpus: int = field(
        default=1, metadata={"affects_result": False}
    )  # or CPU processes; split a batch
    validation_images: int  # the first so many images of the validation split
    validate_every: int = field(metadata={"affects_result": False})  # iterations
    log_every: int = field(metadata={"affects_result": False})  # iterations

    def __post_init__(self) -> None:
        _require_positive(self, "iterations", "batch_size", "learning_rate", "gradient_clip")
        _require_positive(self, "skip_threshold", "diverged_after", "validation_images")
        _require_positive(self, "validate_every", "log_every", "gpus")
        if self.gpus > self.batch_size:
            raise ConfigError(f"gpus: {self.gpus} cannot split a batch_size of {self.batch_size}")
        if not 0 <= self.ema_rate < 1:
            raise ConfigError(f"ema_rate must be in [0, 1), not {self.ema_rate}")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The evaluation on the whole test set; no part of a run's hash."""

    __pydantic_config__ = _STRICT

    batch_size: int
    importance_samples: int  # K of the importance-weighted bound; 1 gives the one-sample bound

    def __post_init__(self) -> None:
        _require_positive(self, "batch_size", "importance_samples")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The samples whose statistics are compared with the test set's; no part of a run's hash."""

    __pydantic_config__ = _STRICT

    num_samples: int  # per temperature
    temperatures: tuple[float, ...]  # factors on the prior's sigma in every layer, ascending

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise ConfigError(f"num_samples must be at least 2, not {self.num_samples}")
        if (
            not self.temperatures
            or self.temperatures[0] <= 0
            or list(self.temperatures) != sorted(set(self.temperatures))
        ):
            raise ConfigError(
                "temperatures must be positive and ascending, not "
                f"{', '.join(map(str, self.temperatures)) or 'none'}"
            )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, fully resolved: what `results/{study}/runs/{run}/config.yaml` holds."""

    __pydantic_config__ = _STRICT

    dataset: str
    variant: str
    seed: int
    model: ModelConfig
    train: TrainConfig

    @classmethod
    def load(cls, path: Path) -> "RunConfig":
        """Read a run's config.yaml; raises ConfigError, one line, for unknown or missing keys."""
        try:
            return from_mapping(cls, yaml.safe_load(path.read_text()))
        except (OSError, ConfigError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: {error}") from None

    def dump(self) -> str:
        """The YAML text of this run, without the options that are at their default.

        So an option that is added to the code changes no file of a run that does not use it, and
        no job of such a run starts again.
        """
        return yaml.safe_dump(_plain(self), sort_keys=False)

    @property
    def hash(self) -> str:
        """Identifies the result: equal hash, equal weights."""
        return self._digest(without=())

    @property
    def hash_without_length(self) -> str:
        """Identifies the trajectory: a longer `iterations` continues it."""
        return self._digest(without=("iterations",))

    def _digest(self, without: tuple[str, ...]) -> str:
        content = {
            "dataset": self.dataset,
            "seed": self.seed,
            "model": _hashed_fields(self.model),
            "train": {k: v for k, v in _hashed_fields(self.train).items() if k not in without},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _hashed_fields(config: Any) -> dict[str, Any]:
    """The fields that can change a result and are not at their default."""
    return {
        f.name: getattr(config, f.name)
        for f in dataclasses.fields(config)
        if f.metadata.get("affects_result", True) and getattr(config, f.name) != f.default
    }


def _plain(value: Any) -> Any:
    """Dataclasses and tuples as the dicts and lists that YAML and JSON know; no defaults."""
    if dataclasses.is_dataclass(value):
        fields = [(f, getattr(value, f.name)) for f in dataclasses.fields(value)]
        return {f.name: _plain(content) for f, content in fields if content != f.default}
    return list(value) if isinstance(value, tuple) else value


def _require_positive(config: Any, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ConfigError(f"{name} must be positive, not {getattr(config, name)}")


def from_mapping(cls: type[T], mapping: Mapping[str, Any]) -> T:
    """Build a config dataclass from parsed YAML; raises ConfigError, one line, at a mistake."""
    try:
        return TypeAdapter(cls).validate_python(mapping)
    except ValidationError as error:
        # An unknown key first: it is why another one seems to be missing.
        unknown = ("unexpected_keyword_argument", "extra_forbidden")
        first = min(error.errors(), key=lambda e: e["type"] not in unknown)
        *parents, key = [str(part) for part in first["loc"]] or ["config"]
        place = f"{'.'.join(parents)}: " if parents else ""
        if first["type"] in unknown:
            known = _field_names(cls, parents)
            raise ConfigError(f"{place}unknown key {key!r}{nearest(key, known)}") from None
        if "error" in first.get("ctx", {}):  # raised by a __post_init__ of ours
            place = "".join(f"{part}: " for part in first["loc"])
            raise ConfigError(f"{place}{first['ctx']['error']}") from None
        if first["type"] in ("missing", "missing_argument"):
            raise ConfigError(f"{place}{key} is missing") from None
        raise ConfigError(f"{place}{key}: {first['msg']}, found {first['input']!r}") from None


def _field_names(cls: Any, path: Iterable[str]) -> list[str]:
    for part in path:
        cls = next(f.type for f in dataclasses.fields(cls) if f.name == part)
    return [f.name for f in dataclasses.fields(cls)]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known name nearest to a misspelt one, or all of them."""
    known = sorted(known)
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else f"; known are {', '.join(known)}"
