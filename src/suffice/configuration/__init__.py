"""The settings of each command: read from YAML and flags, checked, and written back so that a run can be repeated."""

from suffice.configuration.base import NO_FLAGS, WRITTEN, Config
from suffice.configuration.data import CheckConfig, DataConfig
from suffice.configuration.forecast import ForecastConfig
from suffice.configuration.hessian import HessianConfig
from suffice.configuration.measured import AnalyzeConfig, CurvatureConfig, MeasuredConfig
from suffice.configuration.mlp import MLPConfig
from suffice.configuration.model import ModelConfig
from suffice.configuration.reading import COMMANDS, read_analysis, read_configuration
from suffice.configuration.scores import CurveConfig, MonitorConfig
from suffice.configuration.stored import read_settings, settings_in
from suffice.configuration.study import StudiedConfig, StudyConfig
from suffice.configuration.training import FineTunedConfig, TrainingConfig
from suffice.configuration.values import at_commas, in_one_spelling

__all__ = [
    "COMMANDS",
    "NO_FLAGS",
    "WRITTEN",
    "AnalyzeConfig",
    "CheckConfig",
    "Config",
    "CurvatureConfig",
    "CurveConfig",
    "DataConfig",
    "FineTunedConfig",
    "ForecastConfig",
    "HessianConfig",
    "MLPConfig",
    "MeasuredConfig",
    "ModelConfig",
    "MonitorConfig",
    "StudiedConfig",
    "StudyConfig",
    "TrainingConfig",
    "at_commas",
    "in_one_spelling",
    "read_analysis",
    "read_configuration",
    "read_settings",
    "settings_in",
]
