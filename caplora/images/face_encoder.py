"""A face that was found → 128 numbers by SFace in OpenCV (Zhong et al. 2021): near for the faces of one person.

The face is first laid on a pattern of 112 × 112 pixels by its five landmarks, as the network was trained. The network
is one file of 39 MB, which a study names and pins by its hash as it does the detector's. This file does not know who
is who.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from caplora.images.faces import Face
from caplora.images.pinned import Absent, Pinned, Source, open_pinned
from caplora.study import Study

SOURCE = Source(  # the OpenCV Zoo's own copy; Apache-2.0
    "opencv/face_recognition_sface", "3d7082438a6e4551e840c9b2bb60b71e8da4b524", "face_recognition_sface_2021dec.onnx"
)
SIDE = 112  # pixels of an aligned face
WIDE = 3  # the face is made smaller by area to at most so many times the pattern first: warping alone would alias


class FaceEncoder:
    """SFace, or another network that OpenCV's FaceRecognizerSF can run, from the bytes of its file.

    `label` is its name in tables, `weights` the first twelve characters of the file's SHA-256, and `fingerprint` a hash
    of everything beside a picture and its landmarks that decides an embedding.
    """

    def __init__(self, onnx: bytes, label: str = "sface") -> None:
        weights, nothing = np.frombuffer(onnx, np.uint8), np.empty(0, np.uint8)
        self._network = cv2.FaceRecognizerSF.create("onnx", weights, nothing)
        self.label, self.weights = label, hashlib.sha256(onnx).hexdigest()[:12]
        self.versions = f"opencv {cv2.__version__}"
        said = f"{hashlib.sha256(onnx).hexdigest()} {self.versions} {SIDE} {WIDE}"
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()[:32]

    def aligned(self, image: Image.Image, face: Face) -> UInt8[np.ndarray, "112 112 3"]:
        """The face of an RGB picture, turned, moved and scaled so that its landmarks lie as the network knows them."""
        scale = min(1.0, WIDE * SIDE / max(face.box.width, face.box.height, 1.0))
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        pixels = np.asarray(image.convert("RGB"))[..., ::-1]  # BGR
        small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return self._network.alignCrop(np.ascontiguousarray(small), _row(face, scale))[..., ::-1].copy()

    def embedding(self, aligned: UInt8[np.ndarray, "112 112 3"]) -> Float[np.ndarray, " 128"]:
        """The embedding of one aligned face, of unit length: the product of two is their cosine."""
        made = self._network.feature(np.ascontiguousarray(aligned[..., ::-1])).astype(np.float64).ravel()
        return made / max(float(np.linalg.norm(made)), 1e-12)


def open_face_encoder(study: Study) -> FaceEncoder | Absent:
    """The study's encoder of faces, fetched first if the study asks for it; or the reason why there is none."""
    encoder = study.images.faces.encoder
    path = study.path(encoder.model)
    pinned = Pinned(path, encoder.sha256, "images.faces.encoder.sha256", SOURCE)
    return open_pinned(pinned, study.images, lambda onnx: FaceEncoder(onnx, Path(path).stem))


def _row(face: Face, scale: float) -> Float[np.ndarray, "1 15"]:
    """A face as FaceDetectorYN says it: box, the person's right eye first, nose, mouth, confidence."""
    points = (face.left_eye, face.right_eye, face.nose, face.left_mouth, face.right_mouth)
    numbers = np.array([*face.box, *(value for point in points for value in point)], np.float32) * np.float32(scale)
    return np.append(numbers, np.float32(face.confidence))[None]
