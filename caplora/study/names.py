"""The name of every metric, and whether more or less of it is better: for figures and sentences alike."""

from typing import NamedTuple


class Metric(NamedTuple):
    """A metric as people read it."""

    name: str  # over a column or a panel
    unit: str  # what its differences are differences of
    said: str  # at the start of a sentence
    better: str = "more"  # or "less"; empty: nobody knows

    @property
    def arrow(self) -> str:
        """↑ where more is better, ↓ where less is."""
        return {"more": "↑", "less": "↓"}.get(self.better, "")


REAL = "held-out portraits"
METRICS = {
    "clip_score": Metric("CLIPScore", "CLIPScore", "CLIPScore"),
    "clip_cosine": Metric("CLIP cosine", "cosine", "The cosine of image and prompt"),
    "ref_clip_score": Metric("RefCLIPScore", "RefCLIPScore", f"RefCLIPScore, with the captions of {REAL},"),
    "clip_i": Metric("CLIP-I", f"cosine to {REAL}", f"CLIP-I, the CLIP cosine to the {REAL},"),
    "identity": Metric("identity", f"cosine to {REAL}", f"The cosine to the {REAL}"),
    "face_similarity": Metric(
        "face", f"cosine to the mean of {REAL}", f"The cosine of the face to the mean of {REAL} (0: no face)"
    ),
    "face_nearest": Metric(
        "nearest face", f"cosine to the nearest of {REAL}", f"The cosine of the face to the nearest of {REAL}"
    ),
    "face_found": Metric("face found", "share of samples", "The share of samples in which a face was found"),
    "judge": Metric("attributes shown", "share of those named", "The share of the named attributes that samples show"),
    "memorisation": Metric(
        "nearest trained", "cosine to the nearest training image", "The cosine to the nearest training image", "less"
    ),
    "replication": Metric(
        "memorisation", "cosine to the image of the caption", "The cosine to the image of the caption", "less"
    ),
    "memorised": Metric(
        "memorised", "share of samples", f"The share of samples nearer to a training image than 95 % of {REAL}", "less"
    ),
    "diversity": Metric(
        "diversity", "distance within a prompt", "Diversity, the mean distance between the samples of a prompt,"
    ),
    "diversity_ratio": Metric("diversity", "share of the baseline’s", "Diversity over the baseline’s"),
    "drift": Metric(
        "drift",
        "distance from the baseline’s sample",
        "Drift, the distance to the baseline’s samples of unrelated prompts,",
        "less",
    ),
    "pick_score": Metric("PickScore", "PickScore", "PickScore"),
    "vqa": Metric("VQA score", "mean P(yes)", "The VQA score, how surely a model sees what each phrase names,"),
    "quality": Metric("quality", "MUSIQ, 0 to 100", "The quality of the picture by itself (MUSIQ)"),
    "kid": Metric("KID", f"distance to {REAL}", f"KID, the distance to the {REAL},", "less"),
    "cmmd": Metric("CMMD", f"distance to {REAL}", f"CMMD, the CLIP distance to the {REAL},", "less"),
}


def metric_of(name: str) -> Metric:
    """What is known of a metric; one that is not known goes by its own name."""
    return METRICS.get(name, Metric(name, name, name.replace("_", " "), ""))


def towards(metric: Metric) -> str:
    """Which way is better, as print has it: `more is better →`; empty where it is not known."""
    return {"more": "more is better →", "less": "← less is better"}.get(metric.better, "")


CAPTIONS = {  # kind of captions → its name
    "none": "no caption",
    "subject": "class word",
    "machine": "raw machine",
    "reviewed": "reviewed",
    "shuffled": "shuffled",
}
