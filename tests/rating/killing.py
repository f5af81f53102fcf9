"""A rater, killed by SIGKILL at random moments until all is answered: `killing.py STUDY`.

Every try is a fork of this process, so that it starts in milliseconds, and says each answer once it was accepted.
Prints how many tries were killed, and for each how many answers it had accepted and how many were on disk after it.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from caplora.rating.answers import read_answers
from caplora.rating.design import Pair, pairs_of
from caplora.rating.seat import Seat
from caplora.sampling.samples import read_samples
from caplora.study.study import Study, read_study

QUESTIONS = ["words", "person"]
ANSWERS = ("left", "right", "equal")
MOST = 200  # tries


def pairs(study: Study) -> list[Pair]:
    return pairs_of({arm: read_samples(study.samples(arm)) for arm in ("baseline", "r4_a8")})


def answer_all(study: Study, own: list[Pair], accepted: int) -> None:
    """Answer without a pause; a byte goes to `accepted` for each answer once the seat has taken it."""
    seat = Seat(study, own, QUESTIONS, "Mina")
    for at in range(seat.done, len(seat.steps)):
        seat.answer(at, ANSWERS[at % 3], 1.0)
        os.write(accepted, b".")


def main(path: Path) -> None:
    study, rng, tries = read_study(path), random.Random(0), []
    own = pairs(study)
    for _ in range(MOST):
        reads, writes = os.pipe()
        before = len(read_answers(study))
        child = os.fork()
        if not child:  # it sits down, which takes a moment, and answers
            answer_all(study, own, writes)
            os._exit(0)
        os.close(writes)
        with open(reads, "rb", buffering=0) as pipe:
            said = before + sum(len(pipe.read(1)) for _ in range(rng.randint(1, 8)))
            time.sleep(rng.uniform(0, 0.004))  # into the midst of a later one
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            said += len(pipe.read())
        table = read_answers(study)
        right = table["answer"].tolist() == [ANSWERS[at % 3] for at in range(len(table))]
        tries.append((os.WIFSIGNALED(status), said, len(table), right))
        if not os.WIFSIGNALED(status):
            break
    print(json.dumps(tries))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
