"""The mapping: port-app-config files, and JQ evaluated closed and bounded."""

from tidegate.mapping.checks import check_blueprints, check_expressions
from tidegate.mapping.file import MappingFile, parse_mapping, read_mapping, read_mapping_text
from tidegate.mapping.mapper import JqMapper, MappingProblem
from tidegate.mapping.process import MapperLimits

__all__ = [
    "JqMapper",
    "MapperLimits",
    "MappingFile",
    "MappingProblem",
    "check_blueprints",
    "check_expressions",
    "parse_mapping",
    "read_mapping",
    "read_mapping_text",
]
