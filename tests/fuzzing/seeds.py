"""Valid inputs of each parser, small ones: what is changed by `mutations` starts from them."""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from random import Random
from typing import Any

import yaml
from PIL import Image, ImageCms

from caplora.captions.ledger import COLUMNS, Row
from tests.fuzzing.formats import filled, safetensors_of, with_texts

LAYERS = (
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
    "up_blocks.1.attentions.2.proj_in", "down_blocks.0.resnets.0.conv1",
)  # fmt: skip
ROW = Row("a.png", "a woman, smiling", "a woman", "edited", "train", "a.jpg", "a photo of a woman", "why", "blurry")


def images() -> list[bytes]:
    """A picture in each way that people's files have it."""
    grey, rgb = Image.linear_gradient("L").resize((12, 9)), Image.new("RGB", (12, 9), (200, 90, 60))
    rgb.paste(grey, (0, 0))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = Image.frombytes("I;16", (12, 9), bytes(range(216)))
    as_png = [grey, rgb, deep, *(rgb.convert(mode) for mode in ("1", "LA", "P", "RGBA"))]
    made = [_saved(image, "PNG") for image in as_png]
    made += [_saved(rgb, "PNG", exif=exif, icc_profile=icc), _saved(rgb, "PNG", transparency=(200, 90, 60))]
    made += [_saved(rgb, "PNG", save_all=True, append_images=[grey.convert("RGB")])]
    made += [
        _saved(rgb, "JPEG", exif=exif),
        _saved(rgb.convert("CMYK"), "JPEG"),
        _saved(grey, "JPEG", progressive=True),
    ]
    made += [_saved(rgb.convert("RGBA"), "WEBP", lossless=True), _saved(rgb, "GIF"), _saved(rgb, "BMP")]
    made += [_saved(rgb.convert(mode), "TIFF") for mode in ("RGB", "CMYK", "LAB", "F", "YCbCr")]
    made += [_saved(deep, "TIFF"), _saved(rgb, "TIFF", compression="tiff_lzw"), _saved(rgb, "ICO"), _saved(rgb, "PPM")]
    return [*made, _saved(rgb, "TGA"), _saved(rgb, "PCX"), _saved(rgb, "JPEG2000")]


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def ledgers() -> list[bytes]:
    """The ledger of two images, in full and with the columns that must be."""
    head, *cells = ",".join(COLUMNS), ROW.file_name, *list(asdict(ROW).values())[1:]
    second = ["b.png", "two, lines\r\nof “words”", *[""] * 1, "pending", "held_out", *[""] * (len(COLUMNS) - 5)]
    rows = [",".join(f'"{cell}"' for cell in row) for row in (cells, second)]
    full = "\r\n".join([head, *rows, ""])
    return [b"\xef\xbb\xbf" + full.encode(), b"file_name,text\na.png,a woman\nb.png,\n"]


def captions() -> dict[str, list[bytes]]:
    """Captions of two images as files of each kind."""
    said = {"a.png": "a woman, smiling", "b": "가 나"}
    kohya = {"a.png": {"caption": "a woman", "tags": "smiling, red"}, "b.png": {"caption": None, "tags": ["x", "y"]}}
    records = [{"file_name": name, "text": text} for name, text in said.items()]
    other = [{"image": "x\\a.png", "caption": "one", "blip": "two", "status": "kept"}]
    tables = [
        "file_name,text\na.png,one\nb.png,two\n",
        'image;caption\na;"x; y"\n',
        "path\tblip\tprompt\nx/b.png\t1\t2\n",
    ]
    return {
        "json": [json.dumps(tree).encode() for tree in (said, kohya, records, other)],
        "jsonl": [_lines(records), _lines([asdict(ROW), *other])],
        "csv": [*(table.encode() for table in tables), "file,text\na.png,가\n".encode("cp949"), *ledgers()],
    }


def _lines(trees: Iterable[Any]) -> bytes:
    return "".join(json.dumps(tree, ensure_ascii=False) + "\n" for tree in trees).encode()


def histories() -> list[bytes]:
    """What was done to the ledger of `ledgers()[1]`: found, changed, taken back and done again."""
    found = {name: [None, asdict(Row(name, text))] for name, text in (("a.png", "a woman"), ("b.png", ""))}
    change = {"a.png": [{"text": "a woman"}, {"text": "a man", "status": "edited"}]}
    back = {"a.png": [{"text": "a man", "status": "edited"}, {"text": "a woman", "status": "pending"}]}
    common = {"time": "2026-01-01T00:00:00Z", "who": "Mina", "why": "typed"}
    first = {"number": 1, "rows": found, "kind": "change", "of": None} | common | {"who": "another hand"}
    steps = [{"number": 2, "rows": change}, {"number": 3, "rows": back, "kind": "undo", "of": 2}]
    return [_lines([first]), _lines([first, *(common | step for step in steps)])]


def studies() -> list[bytes]:
    """A study with every kind of value in it, and one that is like it (base.yaml)."""
    small = (
        "name: x\nimages: {folder: own, resolution: 64, accept: [a.png], curation: {cast: {flag: 45, refuse: null}}}\n"
        "base: {path: owner/name, revision: abc}\ntraining:\n  steps: 20\n  keep: [10]\n  learning_rate: 1e-4\n"
        "  targets: attn2\\.to_q$\nsampling: {development: [a], test: [b, c], seeds: [0, 1], scales: [0.5]}\n"
        "scoring: {clips: [{name: ViT-B-32}], extra: [vqa]}\nclaims: {margin: {kid: 0.1}}\n"
    )
    like = "like: base.yaml\nname: x\ntraining: {steps: 70, prior: {prompt: a}}\nscoring: null\nbase: {path: own}\n"
    return [small.encode(), like.encode()]


def variants() -> list[bytes]:
    """Files of variants."""
    every = "variants:\n- {rank: 4, alpha: 8.5, use_rslora: true, learning_rate: 1e-3, images: 10, epochs: 2}\n"
    return [
        b"variants:\n  - {rank: 4, alpha: 4}\n  - {rank: 8, alpha: 16, targets: qkvo}\n",
        b"variants: [{rank: 4, alpha: 8}]\nseeds: [0, 1, 2]\n",
        (every + "- {rank: 2, alpha: 1, targets: 'to_(q|k)$', captions: shuffled, seed: 3}\n").encode(),
    ]


def adapters() -> list[bytes]:
    """Adapters in the forms of diffusers, kohya and LyCORIS, with and without alphas and metadata."""
    rng = Random(0)
    stated = json.dumps({f"unet.{key}": value for key, value in config().items()})
    one, two, three, conv = LAYERS
    diffusers = {f"unet.{one}.lora_A.weight": (2, 4), f"unet.{one}.lora_B.weight": (4, 2)}
    kohya = {}
    for rank, layer in ((2, two), (4, three)):
        stem = f"lora_unet_{layer.replace('.', '_')}"
        kohya |= {f"{stem}.lora_down.weight": (rank, 4), f"{stem}.lora_up.weight": (4, rank), f"{stem}.alpha": ()}
    stem = f"lora_unet_{conv.replace('.', '_')}"
    middle = {f"{stem}.lora_down.weight": (2, 4, 1, 1), f"{stem}.lora_mid.weight": (2, 2, 3, 3)}
    middle |= {f"{stem}.lora_up.weight": (4, 2, 1, 1), f"{stem}.alpha": ()}
    text = {f"text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_{x}.weight": (2, 2) for x in "AB"}
    bare = {f"base_model.model.{one}.lora_{x}.weight": (2, 2) for x in "AB"}
    shapes = [(diffusers, None), (diffusers, {"lora_adapter_metadata": stated}), (kohya, {"ss_network_alpha": "4"})]
    shapes += [(middle, {"format": "pt"}), (text, None), (bare, None)]
    return [safetensors_of({k: filled("F32", s, rng) for k, s in own.items()}, said) for own, said in shapes]


def config() -> dict[str, Any]:
    """What peft states of an adapter of rank 2."""
    return {
        "peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": {"attn2.to_q": 4, r"^x\.\d+": 3},
        "alpha_pattern": {"mid_block": 1.5}, "use_rslora": False, "bias": "none", "target_modules": ["to_q"],
        "init_lora_weights": True, "lora_dropout": 0.1,
    }  # fmt: skip


def configs() -> list[bytes]:
    """Peft's settings as a file has them."""
    return [json.dumps(config()).encode()]


def pictures() -> list[bytes]:
    """Pictures that say how they were drawn: a sample, one of the playground, a grid of it, and A1111's."""
    png = _saved(Image.new("RGB", (2, 2)), "PNG")
    sampling = {"num_inference_steps": 3, "guidance_scale": 2.0, "solver": "euler"}
    worn = {"name": "r4_a8", "scale": 0.5, "sha256": "0" * 64}
    made = {"adapter": worn, "adapters": [worn], "sampling": sampling, "model": "m", "pixels": 32, "base": {}}
    sample = {"arm": "r4_a8", "prompt": "a woman", "seed": 0, "noise": 5, "flag": "", "split": "test", "made": made}
    recipe = {"prompt": "a", "negative": "b", "seed": 3, "solver": "euler", "steps": 2, "guidance": 2.0}
    played = sample | {"recipe": recipe, "together": [2, 1]}
    grid = {"recipe": recipe, "x": {"setting": "seed", "values": [1, 2]}, "y": {"setting": "scale", "values": [0.5]}}
    words = (
        "a (red:1.2) cat <lora:ink:0.8>\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, Schedule type: Karras, CFG"
        ' scale: 7, Seed: 42, Size: 512x512, Model: x, RNG: CPU, Lora hashes: "ink: 0123", Version: v1'
    )
    told = [{"caplora": json.dumps(said), "parameters": words} for said in (sample, played, grid)]
    return [with_texts(png, texts) for texts in (*told, {"parameters": words}, {"caplora": "{}"})]


FILTERS = (
    'status:pending tokens:>75 flag:blurry "long hair"', "(smiling OR laughing) NOT glasses", "-glasses AND words:<=3",
    'file:a.png OR -(split:train lint:empty) text:"a b"', "agreement:<0.2 -machine:x reason:why", "",
)  # fmt: skip


def answers(plan: str, order: int = 0) -> list[bytes]:
    """A rater's file: answers to `plan`, one of them taken back."""
    first = {
        "rater": "Mina", "time": "2026-01-01T00:00:00.000+00:00", "plan": plan, "order": order, "question": "words",
        "answer": "left", "seconds": 1.5, "kind": "pair", "split": "test", "prompt": "a woman", "seed": 0,
        "left": "baseline", "right": "r4_a8", "left_picture": "0123456789abcdef", "right_picture": "x", "expected": "",
    }  # fmt: skip
    second = first | {"order": order + 1, "answer": "equal", "prompt": "a man", "seconds": 2}
    undo = {key: first[key] for key in ("rater", "time", "plan", "order")} | {"undo": "words"}
    return [_lines([first, second]), _lines([first, undo, second]), _lines([first | {"simulated": True}])]


def tags() -> tuple[str, ...]:
    """The keys of settings, for YAML."""
    said = yaml.safe_load(studies()[0])
    return (*said, *said["images"], *said["training"], *said["sampling"], "prior", "seeds", "variants", "rank", "alpha")
