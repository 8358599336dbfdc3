"""Prepares, trains and predicts: parts of the samples, frozen features, one seeded loop, predictions.

Used by studies and forecasts alike. Names are imported when they are used, since a learner needs transformers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
