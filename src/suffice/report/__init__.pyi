from .writing import write_comparison as write_comparison
from .writing import write_live as write_live
from .writing import write_report as write_report
