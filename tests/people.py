"""Ids of people, workspaces and channels in the stand-in for Slack."""

from __future__ import annotations

ACME = "T0ACME0001"
BETA = "T0BETA0001"
GRID = "E0GRID0001"
NORTH = "T0GLBX0001"
SOUTH = "T0GLBX0002"

ANN = "U0ANN00001"
BEN = "U0BEN00001"
PLAIN = "U0PAT00001"
BEA = "U0BEA00001"
ANN_AT_BETA = "U0ANN00002"
WES = "W0WES00001"

GENERAL = "C0ACME0001"
