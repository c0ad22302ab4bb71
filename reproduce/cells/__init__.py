"""The cells of the papers' tables: YAML files, one a paper, and what reads them."""

from common.results.published import PUBLISHED, Reference
from reproduce.cells.files import DATA_DIR, DEMO, EVIDENCE, PAPERS, ROOT
from reproduce.cells.load import load_tables, select
from reproduce.cells.table import Cell, Cost, Stage, Table

__all__ = [
    "DATA_DIR",
    "DEMO",
    "EVIDENCE",
    "PAPERS",
    "PUBLISHED",
    "ROOT",
    "Cell",
    "Cost",
    "Reference",
    "Stage",
    "Table",
    "load_tables",
    "select",
]
