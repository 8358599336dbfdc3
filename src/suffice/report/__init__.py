"""From a result to what people look at: figures, tables, ``report.html`` and ``report.md``.

Needs no torch and no model. Names are imported when they are used, since a table needs nothing that draws.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
