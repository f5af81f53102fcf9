"""What each of two processes runs in `test_two_processes_train_what_one_does`."""

import sys
from pathlib import Path

from accelerate import Accelerator

from caplora.training.grid import claim
from caplora.training.packs import train_grid
from tests.training.test_grid import VARIANTS, grid_in

first = Accelerator(cpu=True)
assert first.num_processes == 2
grid = grid_in(Path(sys.argv[1]))
if first.is_main_process:
    claim(grid, VARIANTS)
first.wait_for_everyone()
for _ in train_grid(grid, [VARIANTS]):
    pass
first.end_training()
