"""sharing.py: a batch that the cores share out is the same batch."""

from collections.abc import Iterator

import pytest
import torch

from caplora.lora.adapter import NOTHING
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.sampling.drawing import draw_batch
from caplora.sampling.sharing import on_all_cores, shares_of
from caplora.study.sampling_settings import Sampling
from tests.tiny import tiny_pipeline, trained_like

PROMPTS = ("an ink drawing of a woman", "a photo", "a lake")
SETTINGS = Sampling(development=("a",), test=("b", "c"), num_inference_steps=3, guidance_scale=3.0)


@pytest.fixture
def two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_cores")
def test_shares_are_all_the_items_in_order_and_at_most_one_a_core() -> None:
    cpu = torch.device("cpu")
    assert shares_of(range(5), cpu) == [(0, 1), (2, 3, 4)] and shares_of([7], cpu) == [(7,)]
    assert shares_of(range(5), torch.device("cuda")) == [(0, 1, 2, 3, 4)]


@pytest.mark.usefixtures("two_cores")
def test_each_share_has_its_part_of_the_cores_and_they_are_given_back() -> None:
    assert on_all_cores(lambda x: (x, torch.get_num_threads()), ["a", "b"]) == [("a", 1), ("b", 1)]
    assert on_all_cores(lambda x: (x, torch.get_num_threads()), ["a"]) == [("a", 2)]
    with pytest.raises(ZeroDivisionError):
        on_all_cores(lambda x: 1 / x, [1, 0])
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_cores")
def test_arms_draw_side_by_side_what_they_draw_one_prompt_after_another() -> None:
    pipeline = tiny_pipeline()
    Pack(parts_of(pipeline), [NOTHING, trained_like(parts_of(pipeline), 4, 8)]).lay()
    together = draw_batch(pipeline, 2, PROMPTS, [0, 5, 7], SETTINGS)
    one_by_one = [draw_batch(pipeline, 2, [p], [n], SETTINGS) for p, n in zip(PROMPTS, (0, 5, 7), strict=True)]
    torch.testing.assert_close(together, torch.cat(one_by_one, 1), rtol=1e-4, atol=1e-4)
    assert not together.requires_grad
