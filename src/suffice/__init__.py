"""How many samples are enough? The loss surface of a model as the data set grows."""

from suffice import closed_form
from suffice.errors import InputError
from suffice.landscape import Convergence, Ledger, Probes, record
from suffice.problem import Problem
from suffice.results import SufficientSize

__all__ = ["Convergence", "InputError", "Ledger", "Probes", "Problem", "SufficientSize", "closed_form", "record"]
__version__ = "0.1.0"
