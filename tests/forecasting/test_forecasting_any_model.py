"""What a forecast takes from every kind of classifier, or one line that says why it cannot be taken."""

import numpy as np
import pytest
from small_models import SAMPLES, SOUND, WRONG_GRADIENT, fourier

from suffice import InputError
from suffice.curvature import tangent_kernel
from suffice.forecasting.fine_tuned import measure_problem

pytestmark = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # reentrant checkpoints

CLASSIFIERS = SOUND.keys() - {"regression", "own_loss"}


def evidence_of(problem):
    """Every training on other folds is said to end where the model is."""
    return measure_problem(problem, None, lambda rows: problem.model.state_dict(), "auto", None)


@pytest.mark.parametrize("kind", sorted(CLASSIFIERS))
def test_losses_of_folds_and_the_descent_along_the_gradient(kind):
    problem = SOUND[kind]()
    before = problem.center()
    evidence = evidence_of(problem)
    losses = problem.losses(problem.batch(slice(None))).detach().numpy()
    assert evidence.own.losses == pytest.approx(losses, rel=1e-9)
    assert evidence.folds.losses == pytest.approx(losses, rel=1e-9)
    assert 0 < evidence.descent < losses.mean()  # none of these models is trained
    assert all((value == before[name]).all() for name, value in problem.center().items())


@pytest.mark.filterwarnings("ignore:SUF010")  # of parameters that forward leaves out
@pytest.mark.parametrize("kind", sorted(CLASSIFIERS))
def test_the_tangent_kernel_is_that_of_the_rows_of_the_jacobian(kind):
    problem = SOUND[kind]()
    kernel = tangent_kernel(problem, 0.1, share=0)
    assert len(kernel.kernel) == SAMPLES * (problem.all_outputs().shape[1] - 1)
    assert np.isfinite(kernel.kernel).all()
    assert 0 < kernel.df2() < kernel.effective_dimension() < len(kernel.kernel)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (WRONG_GRADIENT["reentrant_checkpoint"], "autograd cannot differentiate this model: When use_reentrant=True"),
        (fourier, "the parameter 'frequencies' is complex"),
    ],
)
def test_a_model_without_derivatives_is_refused_in_one_line(build, message):
    with pytest.raises(InputError, match=message) as refusal:
        evidence_of(build())
    assert "\n" not in str(refusal.value)
