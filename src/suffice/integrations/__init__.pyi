from . import transformers as transformers
from .recorder import Recorder as Recorder
from .samples import sample_losses as sample_losses
