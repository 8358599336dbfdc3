"""How many samples are enough? The loss surface of a model as the data set grows.

What can be imported from here is in the stub beside this file; each name is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
