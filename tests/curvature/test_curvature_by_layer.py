"""Curvature layer by layer: which parameters a layer has, and the blocks against the dense Hessian."""

import numpy as np
import pytest
import torch
from small_models import SOUND

from suffice.curvature import Hessian, by_layer, layers

NAMES = {
    "vit": ["vit.embeddings", "vit.layers.0", "vit.layers.1", "vit.layernorm", "classifier"],
    "bert": ["bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1", "bert.pooler", "classifier"],
    "norm_mlp": ["0", "1", "3"],
    "linear": ["model"],
    "transformer_layer": ["body.self_attn", "body.linear1", "body.linear2", "body.norm1", "body.norm2", "head"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_numbered_module_is_a_layer(kind):
    moving = list(SOUND[kind]().moving)
    groups = layers(moving)
    assert list(groups) == NAMES[kind]
    assert [name for group in groups.values() for name in group] == moving


@pytest.mark.parametrize("each_parameter", [False, True])
def test_blocks_are_those_of_the_dense_hessian(each_parameter):
    problem = SOUND["norm_mlp"]()
    operator = Hessian(problem)
    matrix = operator @ torch.eye(operator.shape[0], dtype=torch.float64)
    blocks = {name: [name] for name in operator.names} if each_parameter else None
    found = by_layer(operator, count=2, draws=100, tolerance=1e-6, blocks=blocks)
    assert [block.name for block in found] == (list(problem.moving) if each_parameter else NAMES["norm_mlp"])
    start = 0
    for block in found:
        part = matrix[start : start + block.parameters, start : start + block.parameters]
        values = torch.linalg.eigvalsh(part).numpy()
        largest = values[np.argsort(-np.abs(values))][:2]
        assert block.trace == (pytest.approx(float(part.trace()), rel=1e-9), 0)
        assert np.allclose(block.eigenvalues, largest, rtol=1e-5)
        assert (block.residuals <= 1e-5 * np.abs(largest)).all()
        start += block.parameters
    assert start == operator.shape[0]
    total = sum(block.trace.value for block in found)
    assert total == pytest.approx(float(matrix.trace()), rel=1e-9)


def test_few_draws_have_an_error_bar():
    operator = Hessian(SOUND["transformer_layer"]())
    for block in by_layer(operator, draws=20):
        exact = float((operator.block(f"{block.name}*") @ torch.eye(block.parameters).double()).trace())
        assert abs(block.trace.value - exact) <= 5 * block.trace.error + 1e-9 * abs(exact)
