"""From chats to tokens: `<FACE>` survives, labels are the assistant's words and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers.processors import TemplateProcessing

from facegpt.model.errors import ChatError, ImageTokenError, PictureError
from facegpt.model.processing_facegpt import FaceGPTProcessor, as_pil
from tiny_vlm import FAMILIES, assistant, tiny_picture, tiny_tokenizer, tiny_vlm, user

VICUNA = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}"
    "{{ '<image>\n' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %} {% else %}ASSISTANT: {{ message['content'][0]['text'] }}<|im_end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
BREAKS = (
    "{% for message in messages %}{{ message['role'] }}\n\n"
    "{{ message['content'][-1]['text'] }}\n\n\n"
    "{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}"
)
"""Nothing closes a turn, and one line break of the generation prompt merges with the next."""
FORGETFUL = (
    "{% for message in messages %}{{ message['content'][0]['text'] if loop.last else '...' }}"
    "{% endfor %}"
)
STRICT = "{{ raise_exception('roles must alternate') }}"
STARTED = (
    "<|endoftext|>{% for message in messages %}{{ message['content'][0]['text'] }}{% endfor %}"
)

CHAT = [
    user("Who is it?", images=1),
    assistant("It is <FACE>."),
    user("And here?", images=1),
    assistant("Two: <FACE> and\n\n<FACE>"),
]
CHAT_ANSWERS = "It is <FACE>.<|im_end|>Two: <FACE> and\n\n<FACE><|im_end|>"


@pytest.fixture(params=FAMILIES)
def processor(request) -> FaceGPTProcessor:
    return FaceGPTProcessor(tiny_vlm(request.param)[1])


@pytest.fixture
def llava() -> FaceGPTProcessor:
    return FaceGPTProcessor(tiny_vlm()[1])


def learnt(processor: FaceGPTProcessor, batch, row: int = 0) -> str:
    labels = batch["labels"][row]
    return processor.tokenizer.decode(labels[labels != -100])


@pytest.mark.parametrize("side", ["left", "right"])
def test_labels_are_what_the_assistant_says(processor, side) -> None:
    pictures = [tiny_picture(0), tiny_picture(1)]
    short = [user("Hello"), assistant("No face.")]
    batch = processor.batch([short, CHAT], pictures, with_labels=True, padding_side=side)
    assert learnt(processor, batch, 0) == "No face.<|im_end|>"
    assert learnt(processor, batch, 1) == CHAT_ANSWERS
    kept = batch["labels"] != -100
    assert torch.equal(batch["labels"][kept], batch["input_ids"][kept])
    assert not (kept & ~batch["attention_mask"].bool()).any()
    assert len(processor.face_positions(batch["input_ids"])) == 3


@pytest.mark.parametrize(
    ("template", "answers"),
    [
        (VICUNA, " It is <FACE>.<|im_end|> Two: <FACE> and\n\n<FACE><|im_end|>"),
        (BREAKS, "\nIt is <FACE>.\nTwo: <FACE> and\n\n<FACE>"),
    ],
)
def test_labels_under_other_chat_templates(llava, template, answers) -> None:
    llava.processor.chat_template = template
    chat = CHAT if template is VICUNA else [{**m, "content": m["content"][-1:]} for m in CHAT]
    pictures = [tiny_picture(0), tiny_picture(1)] if template is VICUNA else []
    said = learnt(llava, llava.batch([chat], pictures, with_labels=True))
    # What merges with the words around an answer is learnt with it, white space at most.
    assert "".join(said.split()) == "".join(answers.split())


def test_a_template_that_rewrites_the_past_cannot_give_labels(llava) -> None:
    llava.processor.chat_template = FORGETFUL
    chat = [user("Hello"), assistant("Good day"), user("Who?"), assistant("I")]
    assert llava.batch([chat])["input_ids"].shape[0] == 1
    with pytest.raises(ChatError, match="changes earlier turns"):
        llava.batch([chat], with_labels=True)


def test_what_the_template_says_is_passed_on(llava) -> None:
    llava.processor.chat_template = STRICT
    with pytest.raises(ChatError, match=r"refuses this conversation .*roles must alternate"):
        llava.batch([[user("Hello")]])


def test_there_is_one_first_token_whoever_writes_it(llava) -> None:
    first = "<|endoftext|>"
    llava.tokenizer.bos_token = first
    number = llava.tokenizer.bos_token_id
    llava.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A", special_tokens=[(first, number)]
    )
    for template in (STARTED, STARTED.removeprefix(first)):
        llava.processor.chat_template = template
        tokens = llava.batch([[user("Hello")]])["input_ids"][0].tolist()
        assert tokens[0] == number
        assert tokens.count(number) == 1


def test_face_is_one_token_and_stays_in_the_text(processor) -> None:
    for text in ("<FACE>", "Sure, it is <FACE>.", "a<FACE>b <FACE><FACE>"):
        tokens = processor.tokenizer(text)["input_ids"]
        assert tokens.count(processor.face_token_id) == text.count("<FACE>")
        assert processor.decode(tokens) == text
        assert processor.decode(torch.tensor(tokens)) == text


def test_a_second_processor_adds_no_second_token(llava) -> None:
    again = FaceGPTProcessor(llava.processor)
    assert again.face_token_id == llava.face_token_id
    assert len(again.tokenizer) == len(tiny_tokenizer()) + 1


def test_a_chat_that_ends_with_the_user_is_made_ready(processor) -> None:
    chat = [user("Who?", images=1)]
    batch = processor.batch([chat], [tiny_picture()])
    assert processor.tokenizer.decode(batch["input_ids"][0]).endswith("<|im_start|>assistant\n")
    assert "labels" not in batch
    single = processor.encode_chat(chat, images=[tiny_picture()])
    assert single.keys() == batch.keys()
    for key in batch:
        assert torch.equal(single[key], batch[key])
    closed = processor.encode_chat(chat, add_generation_prompt=False, images=[tiny_picture()])
    assert closed["input_ids"].shape[1] < single["input_ids"].shape[1]


def test_generation_pads_on_the_left_and_training_on_the_right(llava) -> None:
    chats = [[user("A"), assistant("B")], [user("A much longer text"), assistant("B")]]
    pad = llava.tokenizer.pad_token_id
    assert llava.batch(chats)["input_ids"][0, 0] == pad
    labelled = llava.batch(chats, with_labels=True)
    assert labelled["input_ids"][0, -1] == pad
    assert labelled["attention_mask"][0, -1] == 0


def test_tensors_and_pil_pictures_are_the_same(processor) -> None:
    picture = tiny_picture()
    tensor = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) / 255
    chat = [user("Who?", images=1)]
    one, other = (processor.batch([chat], [p]) for p in (picture, tensor))
    assert torch.equal(one["pixel_values"], other["pixel_values"])
    assert one["pixel_values"].std() > 0.1
    assert np.array_equal(np.asarray(as_pil(tensor)), np.asarray(picture))
    assert as_pil(Image.new("L", (4, 5))).mode == "RGB"


def test_pictures_go_to_the_chats_that_ask_for_them(llava) -> None:
    pictures = [tiny_picture(seed) for seed in range(3)]
    chats = [[user("Who?", images=2)], [user("None")], [user("Who?", images=1)]]
    flat = llava.batch(chats, pictures)
    nested = llava.batch(chats, [pictures[:2], [], pictures[2:]])
    assert torch.equal(flat["pixel_values"], nested["pixel_values"])
    assert flat["pixel_values"].shape[0] == 3


@pytest.mark.parametrize(
    ("chats", "pictures", "words"),
    [
        ([[user("Who?", images=1)]], 0, "the conversations: 1 <image> parts but 0 pictures"),
        ([[user("Who?", images=1)]], 2, "the conversations: 1 <image> parts but 2 pictures"),
        ([[user("Who?")]], 1, "the conversations: 0 <image> parts but 1 pictures"),
        ([[user("Who?", images=2)], [user("I")]], [1, 1], "conversation 0: 2 <image> .* 1 pict"),
        ([[user("Who?", images=1)]], [1, 0], "2 lists of pictures for 1 conversations"),
    ],
)
def test_other_numbers_of_pictures_than_image_parts(processor, chats, pictures, words) -> None:
    if isinstance(pictures, int):
        given = [tiny_picture()] * pictures
    else:
        given = [[tiny_picture()] * count for count in pictures]
    with pytest.raises(ImageTokenError, match=words):
        processor.batch(chats, given)


def test_image_tokens_typed_as_text_are_refused(processor) -> None:
    mark = processor.processor.image_token
    with pytest.raises(ImageTokenError, match="0 image parts but its text has 1"):
        processor.batch([[user(f"Look: {mark}")]])


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (torch.full((3, 4, 4), 255.0), r"must be in \[0, 1\], got 255 to 255"),
        (torch.full((3, 4, 4), torch.nan), r"must be in \[0, 1\], got nan"),
        (torch.zeros(4, 4, 3), r"\(3, H, W\) tensor, got \(4, 4, 3\)"),
        (torch.zeros(1, 3, 4, 4), r"got \(1, 3, 4, 4\)"),
    ],
)
def test_tensors_that_are_no_pictures(picture, words) -> None:
    with pytest.raises(PictureError, match=words):
        as_pil(picture)


@pytest.mark.parametrize("name", ["llava-clip", "llava-siglip", "idefics3"])
def test_saving_and_loading_changes_nothing(name, tmp_path: Path) -> None:
    processor = FaceGPTProcessor(tiny_vlm(name)[1], face_token="<PERSON>")
    processor.save_pretrained(tmp_path)
    again = FaceGPTProcessor.from_pretrained(tmp_path)
    assert again.face_token == "<PERSON>"
    assert again.face_token_id == processor.face_token_id
    chat = [user("Who?", images=1), assistant("It is <PERSON>.")]
    one, other = (p.batch([chat], [tiny_picture()], with_labels=True) for p in (processor, again))
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key])


def test_a_tokenizer_without_padding_pads_with_its_end() -> None:
    plain = tiny_vlm()[1]
    plain.tokenizer.pad_token = None
    processor = FaceGPTProcessor(plain)
    batch = processor.batch(
        [[user("A"), assistant("B")], [user("A longer one"), assistant("B")]], with_labels=True
    )
    assert learnt(processor, batch, 0) == "B<|im_end|>"
