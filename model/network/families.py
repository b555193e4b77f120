"""The families of models, by what a config asks for; the HVAE is the only one so far."""

from model.config import ModelConfig
from model.network.generative_model import GenerativeModel
from model.network.hvae import HVAE


def build_model(config: ModelConfig) -> GenerativeModel:
    """The model of a config, on the CPU, with weights that mean nothing yet."""
    return HVAE(config)
