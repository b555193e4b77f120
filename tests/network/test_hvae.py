"""The model against the reference implementation: parameter counts, NLL, names, sampling."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples import BINARY, MULTIPLE_32, RGB, posterior_pass, tiny_config, tiny_model

from model.config import ModelConfig
from model.network.hvae import HVAE
from model.network.openai import export_openai, import_openai, openai_name

MNIST_VDVAE = {
    "encoder": "32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3",
    "decoder": "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21",
}
IMAGENET32 = {
    "encoder": "32x15,32d2,16x9,16d2,8x8,8d2,4x6,4d4,1x6",
    "decoder": "1x2,4m1,4x4,8m4,8x9,16m8,16x19,32m16,32x40",
}
IMAGENET64 = {
    "encoder": "64x11,64d2,32x20,32d2,16x9,16d2,8x8,8d2,4x7,4d4,1x5",
    "decoder": "1x2,4m1,4x3,8m4,8x7,16m8,16x15,32m16,32x31,64m32,64x12",
}
MNIST_SHARED = {  # WS 232k of table 1, as proposed in the docs
    "encoder": "32x7,32d2,16x4,16d2,8x4,8d2,4x2,4d4,1x2",
    "decoder": "1x1,4m1,4x2,8m4,8x5,16m8,16x5r3,32m16,32x10r3",
}
MNIST = {"image_size": 32, **BINARY, "width": 32, "zdim": 8}
CIFAR10 = {"image_size": 32, **RGB, "width": 384, "zdim": 16}
LARGE = {**RGB, "width": 512, "zdim": 16}


@pytest.mark.parametrize(
    ("config", "parameters", "depth"),
    [
        ({**MNIST, **MULTIPLE_32}, 106_689, 9),
        ({**MNIST, **MULTIPLE_32, "blocks": 2}, 139_713, 14),
        ({**MNIST, **MULTIPLE_32, "blocks": 3}, 172_737, 19),
        ({**MNIST, **MULTIPLE_32, "blocks": 4}, 205_761, 24),
        ({**MNIST, **MULTIPLE_32, "repeats": 20}, 106_689, 104),
        ({**MNIST, **MNIST_VDVAE}, 339_857, 43),
        ({**MNIST, **MNIST_SHARED}, 232_417, 57),
        ({**MNIST, "encoder": "32x32", "decoder": "32x42"}, 327_793, 42),
        ({**CIFAR10, **MULTIPLE_32}, 8_744_356, 9),
        ({**CIFAR10, **MULTIPLE_32, "blocks": 2}, 13_022_052, 14),
        ({**CIFAR10, **MULTIPLE_32, "blocks": 3}, 17_299_748, 19),
        ({**CIFAR10, **MULTIPLE_32, "blocks": 4}, 21_577_444, 24),
        ({**CIFAR10, **MNIST_VDVAE}, 39_145_700, 43),
        ({**CIFAR10, "encoder": "32x33", "decoder": "32x42"}, 39_167_812, 42),
        ({"image_size": 32, **LARGE, **IMAGENET32}, 119_280_868, 78),
        ({"image_size": 32, **LARGE, "encoder": "32x47", "decoder": "32x76"}, 119_232_996, 76),
        ({"image_size": 64, **LARGE, **IMAGENET64}, 125_005_860, 75),
    ],
)
def test_parameter_counts_of_the_paper(config: dict[str, Any], parameters: int, depth: int) -> None:
    with torch.device("meta"):
        model = HVAE(ModelConfig(**config))
    assert model.num_parameters == parameters
    assert model.config.stochastic_depth == len(model.top_down.applied_blocks) == depth


def golden_weights(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """The weights of the golden case, by the formula in its file."""
    weights = {}
    for i, (name, shape) in enumerate(shapes.items()):
        k = np.arange(np.prod(shape), dtype=np.float64)
        fan = np.prod(shape[1:]) if len(shape) >= 2 else 16
        values = np.sin(0.37 * k + 1.7 * i + 0.11) * np.cos((0.013 * k * k) % 6.283 + 0.5 * i)
        weights[name] = torch.from_numpy((values * 0.9 / np.sqrt(max(fan, 1))).reshape(shape))
    return weights


def test_nll_equals_the_reference_implementations() -> None:
    """NLL, rate and distortion of openai/vdvae in float64, with its weights and noise."""
    golden = json.loads((Path(__file__).parents[1] / "golden/vdvae_tiny.json").read_text())
    case = golden["cases"]["tiny"]
    reference = case["config"]
    size = reference["image_size"]
    model = HVAE(
        ModelConfig(
            image_size=size,
            **RGB,
            encoder=reference["enc_blocks"],
            decoder=reference["dec_blocks"],
            width=reference["width"],
            zdim=reference["zdim"],
            num_mixtures=reference["num_mixtures"],
        )
    ).double()
    assert model.num_parameters == case["n_params"]
    import_openai(model, golden_weights(case["shapes"]))

    pixels = np.floor((np.sin(0.05 * np.arange(2 * size * size * 3)) * 0.5 + 0.5) * 255.999)
    pixels[:7] = [0, 255, 0, 255, 1, 254, 128]
    images = torch.from_numpy(pixels.astype(np.uint8)).reshape(2, size, size, 3).permute(0, 3, 1, 2)
    noise = []
    for k, block in enumerate(model.top_down.applied_blocks):
        shape = (2, block.zdim, block.resolution, block.resolution)
        j = np.arange(np.prod(shape), dtype=np.float64)
        noise.append(torch.from_numpy(np.sqrt(2) * np.sin(0.7 * k + 1.3 * j + 0.2)).reshape(shape))
    assert len(noise) == case["n_stochastic"]

    output = model(images, noise)

    dims = model.config.likelihood_dims
    for ours, theirs in [
        (output.distortion_nats / dims, "distortion_nats_per_dim"),
        (output.rate_nats / dims, "rate_nats_per_dim"),
        (output.nll_nats / dims, "nll_nats_per_dim"),
        (output.rate_per_layer_nats.T, "rate_per_layer_nats"),
    ]:
        expected = torch.tensor(case[theirs], dtype=torch.float64)
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_openai_names_round_trip() -> None:
    source, target = HVAE(tiny_config()), HVAE(tiny_config())
    source.initialise(torch.Generator().manual_seed(1))
    target.initialise(torch.Generator().manual_seed(2))
    import_openai(target, export_openai(source))
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name


def test_openai_names_refuse_what_does_not_fit() -> None:
    checkpoint = export_openai(HVAE(tiny_config()))
    with pytest.raises(KeyError, match="unknown"):
        import_openai(HVAE(tiny_config()), {**checkpoint, "unknown": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        import_openai(HVAE(tiny_config(width=16)), checkpoint)
    with pytest.raises(KeyError):
        openai_name("optimiser.step")


def test_initial_distribution_follows_vdvae() -> None:
    model = tiny_model(repeats=3)
    block = model.top_down.blocks[0]
    applications = len(model.top_down.applied_blocks)
    assert applications == 2 + 3 * 3
    assert block.prior.conv4.weight.abs().max() == 0
    bound = (1 / model.config.zdim) ** 0.5 * applications**-0.5
    assert 0.5 * bound < block.z_projection.weight.abs().max() <= bound
    assert all(m.bias.abs().max() == 0 for m in model.modules() if isinstance(m, torch.nn.Conv2d))


def sampling_model(**differences: Any) -> HVAE:
    """A model whose priors are not the zeros of the initialisation."""
    model = tiny_model(**differences)
    generator_ = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for block in model.top_down.blocks:
            block.prior.conv4.weight.normal_(0, 0.5, generator=generator_)
    return model


def test_sampling_at_temperature_zero_takes_the_prior_means() -> None:
    model = sampling_model()
    noise = model.draw_noise([torch.Generator().manual_seed(3)] * 4)
    cold = model.sample(noise, 0.0, [torch.Generator()] * 4)
    assert cold.shape == (4, 1, 8, 8)
    assert cold.dtype == torch.uint8
    assert all(torch.equal(cold[0], image) for image in cold)
    warm = model.sample(noise, 1.0, [torch.Generator()] * 4)
    assert not torch.equal(warm[0], warm[1])


@pytest.mark.parametrize("rgb", [False, True])
def test_the_prior_pass_with_the_posteriors_latents_reconstructs(rgb: bool) -> None:
    """With the noise that makes the prior draw the posterior's latents, the states are the same."""
    model = sampling_model(**(RGB if rgb else {})).double()
    images = torch.randint(0, 256 if rgb else 2, (2, 3 if rgb else 1, 8, 8), dtype=torch.uint8)
    noise = model.draw_noise([torch.Generator().manual_seed(5)] * 2)
    with torch.no_grad():
        features, latents = model.top_down(model.encode(images), noise)
        of_prior = [(q.z - q.prior_mean) / q.prior_log_sigma.exp() for q in latents]
        generated = model.top_down.generate(of_prior, 1.0)
    torch.testing.assert_close(generated, features)


def test_no_learnt_initial_state_above_no_bias_above() -> None:
    model = HVAE(tiny_config(no_bias_above=4))
    assert [state.shape[-1] for state in model.top_down.initial_states] == [1, 4]
    output = posterior_pass(model, torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert output.nll_nats.shape == (2,)
    assert output.rate_per_layer_nats.shape == (2, 5)
