"""The hierarchical VAE: bottom-up encoder, top-down decoder, likelihood (VDVAE, Child 2021)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu

from model.config import ModelConfig
from model.network import fourier
from model.network.blocks import TopDownBlock, conv
from model.network.cell import MarkovBlock
from model.network.gradient_checkpointing import checkpointed
from model.network.initial_scale import scale_decoder_block, scale_encoder, scale_posterior
from model.network.latent import Latent
from model.network.likelihood import Bernoulli, DiscretisedLogistics
from model.network.precision import in_own_precision
from model.network.residual import block_types
from model.network.sharing import unroll
from model.network.skip import skip_sources


@dataclass(frozen=True)
class HVAEOutput:
    """What one posterior pass gives, in nats per image (a `Bound` of generative_model.py)."""

    distortion_nats: Tensor  # [B], -log p(x | z)
    latents: Sequence[Latent]  # one per stochastic layer, top-down order
    noise: Sequence[Tensor]  # that the latents were drawn with

    @cached_property
    def rate_per_layer_nats(self) -> Tensor:
        """The KL of each layer [B, stochastic depth], computed where it is asked for."""
        return torch.stack([latent.rate_nats() for latent in self.latents], dim=1)

    @property
    def rate_nats(self) -> Tensor:  # [B]
        return self.rate_per_layer_nats.sum(dim=1)

    @property
    def nll_nats(self) -> Tensor:
        """The one-sample bound on the negative log-likelihood [B]: distortion + rate."""
        return self.distortion_nats + self.rate_nats

    def log_weight_nats(self) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x) [B], for the latents drawn."""
        pairs = zip(self.latents, self.noise, strict=True)
        ratios = [latent.log_ratio_nats(eps) for latent, eps in pairs]
        return torch.stack(ratios).sum(dim=0) - self.distortion_nats


class BottomUp(nn.Module):
    """The encoder: from the image to the activations that the decoder sees."""

    def __init__(self, config: ModelConfig, kept: Iterable[int]) -> None:
        super().__init__()
        in_channels = config.image_channels + fourier.num_features(
            config.fourier, config.fourier_exponents, config.image_channels
        )
        self.in_conv = conv(in_channels, config.width, 3)
        block_type, _ = block_types(config)
        blocks = [block_type(config, block) for block in config.bottom_up]
        self.blocks = nn.ModuleList(blocks)
        self.applied_blocks = unroll(blocks, config.bottom_up)  # repeats are the same module
        self.gradient_checkpointing = config.gradient_checkpointing
        self.kept = frozenset(kept)  # numbers of outputs, see model/network/skip.py

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Input [B, in_channels, H, W] -> the kept outputs [B, width, r, r], by their number."""
        # Every convolution and pooling after this one keeps the layout, which is faster.
        x = self.in_conv(x).to(x.dtype).contiguous(memory_format=torch.channels_last)
        activations = {0: x} if 0 in self.kept else {}
        for number, block in enumerate(self.applied_blocks, start=1):
            x = checkpointed(block, x) if self.gradient_checkpointing else block(x)
            if number in self.kept:
                activations[number] = x
        return activations


class TopDown(nn.Module):
    """The decoder: from the learnt initial states, through the latents, to the image's features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.width = config.width
        self.resolutions = sorted({block.resolution for block in config.top_down})
        _, block_type = block_types(config)
        blocks = [block_type(config, block) for block in config.top_down]
        self.blocks = nn.ModuleList(blocks)
        self.applied_blocks = unroll(blocks, config.top_down)
        self.gradient_checkpointing = config.gradient_checkpointing
        self.sources = skip_sources(
            config.bottom_up, config.top_down, config.image_size, config.skip
        )
        self.initial_states = nn.ParameterList(
            nn.Parameter(torch.zeros(1, config.width, resolution, resolution))
            for resolution in self.resolutions
            if resolution <= config.no_bias_above
        )
        self.gain = nn.Parameter(torch.ones(1, config.width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, config.width, 1, 1))

    def see(self, activations: Mapping[int, Tensor]) -> list[Tensor]:
        """What each applied block gets of the bottom-up outputs [B, middle, r, r].

        It is computed once for the repeats of a block that see the same output.
        """
        activated = {number: gelu(activation) for number, activation in activations.items()}
        seen: dict[tuple[TopDownBlock, int], Tensor] = {}
        pairs = [*zip(self.applied_blocks, self.sources, strict=True)]
        for block, source in pairs:
            if (block, source) not in seen:
                seen[block, source] = block.see(activated[source])
        return [seen[pair] for pair in pairs]

    def forward(
        self, seen: Sequence[Tensor], noise: Sequence[Tensor]
    ) -> tuple[Tensor, list[Latent]]:
        """Posterior pass; features [B, width, H, W] and the latents in top-down order."""
        states = self.initial(noise[0].shape[0])
        latents = []
        for block, of_image, eps in zip(self.applied_blocks, seen, noise, strict=True):
            inputs = block.mix_in(states), of_image, eps
            if self.gradient_checkpointing:
                states[block.resolution], latent = checkpointed(block, *inputs)
            else:
                states[block.resolution], latent = block(*inputs)
            latents.append(latent)
        return self.features(states), latents

    def generate(self, noise: Sequence[Tensor], temperature: float) -> Tensor:
        """Prior pass; features [B, width, H, W]."""
        states = self.initial(noise[0].shape[0])
        for block, eps in zip(self.applied_blocks, noise, strict=True):
            states[block.resolution] = block.generate(block.mix_in(states), eps, temperature)
        return self.features(states)

    def initial(self, num_images: int) -> dict[int, Tensor]:
        """The state [B, width, r, r] at each resolution r before the first block: learnt, or 0."""
        states = {
            resolution: self.gain.new_zeros(1, self.width, resolution, resolution)
            for resolution in self.resolutions
        }
        states.update({state.shape[-1]: state for state in self.initial_states})
        return {
            resolution: x.contiguous(memory_format=torch.channels_last).expand(
                num_images, -1, -1, -1
            )
            for resolution, x in states.items()
        }

    def features(self, states: dict[int, Tensor]) -> Tensor:
        """What the likelihood gets: the last state at the image's resolution, scaled."""
        return states[self.image_size] * self.gain + self.bias


class HVAE(nn.Module):
    """A hierarchical VAE of 8-bit images (binary ones hold 0 and 1), built from its config."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        top_down = TopDown(config)
        self.bottom_up = BottomUp(config, kept=top_down.sources)
        self.top_down = top_down
        self.likelihood: Bernoulli | DiscretisedLogistics = (
            Bernoulli(config) if config.likelihood == "bernoulli" else DiscretisedLogistics(config)
        )

    @torch.no_grad()
    def initialise(self, generator: Generator) -> None:
        """Draw all weights, as VDVAE does: PyTorch's default for convolutions, zero biases.

        The last convolution of each residual block and the latents' projections are scaled by
        sqrt(1 / applications of blocks in the tower): repeats count, since the variance of the
        residual state grows with how often something is added to it (not published; our choice).
        The prior's last convolution is 0.  Without a residual path initial_scale.py scales instead.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=sqrt(5), generator=generator)
                assert module.bias is not None
                module.bias.zero_()
        if self.config.residual_cells:
            for up in set(self.bottom_up.applied_blocks):
                up.residual.conv4.weight *= sqrt(1 / len(self.bottom_up.applied_blocks))
        else:
            repeats = Counter(self.bottom_up.applied_blocks)  # in order of application
            in_conv, size = self.bottom_up.in_conv, self.config.image_size
            scale_encoder(in_conv, repeats.items(), size, generator)
        for down in dict.fromkeys(self.top_down.applied_blocks):  # each once, in order
            down.prior.conv4.weight.zero_()
            if not self.config.residual_cells:
                scale_posterior(down)
            if isinstance(down, MarkovBlock):
                scale_decoder_block(down, generator)
            else:
                down.z_projection.weight *= sqrt(1 / len(self.top_down.applied_blocks))
                down.residual.conv4.weight *= sqrt(1 / len(self.top_down.applied_blocks))

    @property
    def num_parameters(self) -> int:
        """Number of weights, each shared one counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.top_down.gain.device

    @property
    def loss_dims(self) -> int:
        """The loss is nats per image over this number, see model/network/likelihood.py."""
        return self.likelihood.loss_dims

    @property
    def has_unused_parameters(self) -> bool:
        """Whether no top-down block sees the outputs of the last bottom-up blocks (skip.py)."""
        return max(self.top_down.sources) < len(self.bottom_up.applied_blocks)

    def draw_noise(self, generators: Iterable[Generator]) -> list[Tensor]:
        """Standard normal noise of one pass: a tensor [B, zdim, r, r] per stochastic layer."""
        shapes = [
            (block.zdim, block.resolution, block.resolution)
            for block in self.top_down.applied_blocks
        ]
        sizes = [torch.Size(shape).numel() for shape in shapes]
        dtype = self.top_down.gain.dtype
        rows = torch.stack(
            [
                torch.randn(sum(sizes), generator=generator, device=generator.device, dtype=dtype)
                for generator in generators
            ]
        )
        parts = zip(rows.split(sizes, dim=1), shapes, strict=True)
        return [
            part.view(-1, *shape).contiguous(memory_format=torch.channels_last)
            for part, shape in parts
        ]

    def forward(self, images: Tensor, noise: Sequence[Tensor]) -> HVAEOutput:
        """Posterior pass over images uint8 [B, C, H, W], with the noise of `draw_noise`."""
        return self.posterior_pass(images, self.encode(images), noise)

    def encode(self, images: Tensor) -> list[Tensor]:
        """What each applied top-down block sees of images; it serves any number of passes."""
        config = self.config
        mean, std = config.pixel_mean, config.pixel_std
        assert mean is not None
        assert std is not None, "with_pixel_moments gives both"
        x = (images.to(self.top_down.gain.dtype) - mean) / std
        if config.fourier != "none":
            extra = fourier.features(images, config.fourier, config.fourier_exponents)
            x = torch.cat([x, extra.to(x.dtype)], dim=1)  # [B, C + F, H, W]
        return self.top_down.see(self.bottom_up(x))

    def posterior_pass(
        self, images: Tensor, encoded: Sequence[Tensor], noise: Sequence[Tensor]
    ) -> HVAEOutput:
        """The top-down half of `forward`, for images that are encoded already."""
        features, latents = self.top_down(encoded, noise)
        with in_own_precision(features):
            distortion_nats = self.likelihood.distortion_nats(features, images)
        return HVAEOutput(distortion_nats=distortion_nats, latents=latents, noise=noise)

    @torch.inference_mode()
    def sample(
        self, noise: Sequence[Tensor], temperature: float, generators: Iterable[Generator]
    ) -> Tensor:
        """Unconditional samples, uint8 [B, C, H, W] in 0 ... 255, of the noise of `draw_noise`.

        `temperature` scales the prior's sigma in every layer; the generators draw the pixels.
        """
        return self.likelihood.decode(self.top_down.generate(noise, temperature), generators)
