"""Forecasting: how test loss and accuracy should go on with more samples, from one training, curve fits or scores.

Names are imported when they are used, since a curve through scores needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
