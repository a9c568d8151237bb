"""FaceGPT in one object: photos, descriptions, situations and conversations to faces and words.

It puts the parts of this folder together and keeps nothing between calls, so one object serves many
threads; what the model says does not depend on who else asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, overload

import torch

from facegpt.fitting.found import FoundFace
from facegpt.model.base_llm import Progress
from facegpt.model.nano import NANO_WEIGHTS
from facegpt.model.number_types import Quantise
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.registry import load_morphable_model
from facegpt.perception.detection import DlibDetector
from facegpt.perception.images import ImageSource, Photo, load_image
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.pipeline.chatting import ChatAnswer, Stream, converse, prepare_chat
from facegpt.pipeline.faces import ImaginedFace
from facegpt.pipeline.imagination import imagine
from facegpt.pipeline.network import (
    Conversation,
    Network,
    Speaking,
    Spoken,
    is_nano,
    weights_folder,
)
from facegpt.pipeline.photos import PhotoReader
from facegpt.pipeline.requests import user_turn, whole_sentences
from facegpt.pipeline.spread import Spread
from facegpt.reconstruction import FaceReconstruction

DESCRIBING_QUESTIONS = (
    "Can you describe the person's expression?",
    "Is the head turned to one side?",
    "What shape is the face?",
    "What is the skin tone?",
    "Where does the light come from?",
)
"""A description is the answers to these: single questions are what the model has learnt."""

_SENTENCES_TOKENS = 60


class FaceGPT:
    """A language model that sees, describes and makes faces."""

    def __init__(
        self,
        network: Network,
        *,
        name: str = "nano",
        model: MorphableModel | None = None,
        detector: LandmarkDetector | None = None,
        spread: Spread | None = None,
        licences: Sequence[str] = ("smollm2", "nano", "nano-tower"),
    ) -> None:
        """Put it together from parts; `from_pretrained` is the usual way.

        Args:
            name: What records call the method.
            model: The morphable model; by default the one that the weights were made for.
            detector: Finds faces in photos; dlib's by default.
            spread: How faces of one text differ; without it `imagine` gives the likeliest one.
            licences: Names of the assets that shape what the network says.
        """
        self.network = network
        self.name = name
        self.model = model or load_morphable_model(network.model.config.morphable_model)
        self.detector = detector or DlibDetector()
        self.spread = spread
        self.licences = tuple(licences)

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path = "nano",
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        quantise: Quantise = "none",
        base: str | None = None,
        progress: Progress | None = None,
    ) -> "FaceGPT":
        """Load a trained FaceGPT. Nothing is downloaded.

        Args:
            weights: "nano" for the shipped one, or a folder with weights.
            device: Where the network shall compute.
            dtype: Of the network; theta is float32 in any case.
            quantise: "8bit" or "4bit" holds the linear maps of the decoder so, by bitsandbytes; all
                that makes theta of a state stays as it is.
            base: For a folder that `facegpt train llava-7b` wrote: where the model lies that it was
                trained on, if not where the adapter says.
            progress: Is told what is being done, and how much of the whole is done, 0 to 1; the
                first start unpacks the language model, which takes some ten seconds.

        Raises:
            NanoWeightsError: There are no weights, they are damaged or of another base model.
            AssetMissingError: The base language model is not installed.
            BaseMissingError, AdapterMismatchError: The base of an adapter is missing, or another.
            QuantisationError: bitsandbytes is missing, or cannot compute on the device.
            WeightsError: The weights predict something else than the faces of a morphable model.
        """
        folder = weights_folder(weights)
        network = Network.load(
            folder, device=device, dtype=dtype, quantise=quantise, base=base, progress=progress
        )
        spread = Spread.load(folder or NANO_WEIGHTS)
        if is_nano(folder):
            return cls(network, spread=spread)
        return cls(network, name="facegpt", spread=spread, licences=("facegpt-weights",))

    @cached_property
    def reader(self) -> PhotoReader:
        """The method for photos."""
        return PhotoReader(self.network, self.model, self.detector, self.name, self.licences)

    @cached_property
    def refining_reader(self) -> PhotoReader:
        """The same, fitted to the photo afterwards."""
        return replace(self.reader, refine=True)

    @overload
    def reconstruct(
        self, images: ImageSource, refine: bool = False
    ) -> list[FaceReconstruction]: ...

    @overload
    def reconstruct(
        self, images: Sequence[ImageSource], refine: bool = False
    ) -> list[list[FaceReconstruction]]: ...

    def reconstruct(
        self, images: ImageSource | Sequence[ImageSource], refine: bool = False
    ) -> list[FaceReconstruction] | list[list[FaceReconstruction]]:
        """Every face of one image, or of each image of a list: largest first, none is an empty
        list.

        Args:
            images: Paths, bytes, PIL images, arrays or tensors.
            refine: Fit the prediction to the photo, which takes up to a second more per face.

        Raises:
            ImageError: An image cannot be read.
        """
        reader = self.refining_reader if refine else self.reader
        if isinstance(images, list | tuple):
            return reader.reconstruct_photos([load_image(image) for image in images])
        return reader.reconstruct(cast("ImageSource", images))

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo, largest first."""
        return self.reader.reconstruct_photos(photos)

    @overload
    def imagine(  # pyright: ignore[reportOverlappingOverload]  (a text is a sequence of texts, too)
        self,
        texts: str,
        samples: int = 1,
        seed: int | None = None,
        reason: bool | None = None,
    ) -> list[ImaginedFace]: ...

    @overload
    def imagine(
        self,
        texts: Sequence[str],
        samples: int = 1,
        seed: int | None = None,
        reason: bool | None = None,
    ) -> list[list[ImaginedFace]]: ...

    def imagine(
        self,
        texts: str | Sequence[str],
        samples: int = 1,
        seed: int | None = None,
        reason: bool | None = None,
    ) -> list[ImaginedFace] | list[list[ImaginedFace]]:
        """The faces of a description or a situation, or of each text of a list.

        Args:
            samples: Faces per text.
            seed: Of the draw. One sample without a seed is the likeliest face; all others are drawn
                around it, and a seed draws the same faces for a text in whatever company.
            reason: Let the model first say in words how such a face looks; None decides by the
                text.

        Raises:
            RequestError: A text is empty or too long.
            SpreadMissingError: Faces are to be drawn, and the weights come without a spread.
        """
        many = [texts] if isinstance(texts, str) else list(texts)
        made = imagine(
            many,
            self.network,
            self.reader,
            self.spread,
            samples=samples,
            seed=seed,
            reason=reason,
        )
        return made[0] if isinstance(texts, str) else made

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_new_tokens: int = 200,
        temperature: float = 0.0,
        seed: int = 0,
        stream: Stream | None = None,
    ) -> ChatAnswer:
        """The next turn of a conversation, with the faces that the model chose to make.

        A face that is made while a photo has been shown is that of the (last) photo.

        Args:
            messages: The whole conversation; it ends with the user. Parts of type "image" hold the
                picture under "image": whatever `reconstruct` takes, or what `look` gave. Append
                `message` of the answer to go on.
            temperature: 0 takes the likeliest words.
            seed: Of the words above temperature 0.
            stream: Hears the answer piece by piece.

        Raises:
            RequestError: The messages are no conversation, or longer than the model can read.
            NoFaceError: A photo shows no face.
        """
        speaking = Speaking(max_new_tokens, temperature, seed)
        chat = prepare_chat(messages, self.network, self.reader)
        return converse(chat, self.network, self.reader, speaking, stream)

    def look(self, image: ImageSource) -> FoundFace:
        """The largest face of a photo, to be shown in `chat` without being searched every turn.

        Raises:
            NoFaceError: There is none.
        """
        return self.reader.largest_face(image)

    def describe(
        self, image: ImageSource | FoundFace, questions: Sequence[str] = DESCRIBING_QUESTIONS
    ) -> str:
        """The largest face of a photo in words: expression, pose, shape, skin and light.

        Args:
            questions: What is asked about the face; the answers together are the description.

        Raises:
            NoFaceError: There is none.
        """
        face = image if isinstance(image, FoundFace) else self.look(image)
        [note] = self.reader.notes([face])
        asked = [
            Conversation(
                [user_turn(self.network.plain(question), image=True, note=note)],
                [face.aligned.crop],
            )
            for question in questions
        ]
        speaking = Speaking(_SENTENCES_TOKENS, may_make_faces=False)
        answers = [_in_sentences(said) for said in self.network.answer(asked, speaking)]
        return " ".join(answer for answer in answers if answer)


def _in_sentences(said: Spoken) -> str:
    """An answer that ends like a sentence, even if it was cut off."""
    text = said.text.strip()
    if not said.is_finished:
        text = whole_sentences(text) or text
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
