"""Videos: sizes and counts read back, the same log gives the same frames, and what the strip says."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from logs import make_log, make_requests, straight_plan, with_fields
from PIL import Image
from run_fixtures import planned, plan, tables_of
from straight_worlds import *  # noqa: F403
