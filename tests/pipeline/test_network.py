"""The network: both roads give the same face, batches the same as single questions, and nothing a
user types becomes a token of the chat."""

import pytest
import torch

from facegpt.data.conversations import forced_answer
from facegpt.model.errors import ImageTokenError
from facegpt.pipeline import RequestError, WeightsError
from facegpt.pipeline.decoding import (
    BeginWith,
    ForbidTokens,
    GumbelNoise,
    StopAtLoop,
    StopAtToken,
    TokenListener,
)
from facegpt.pipeline.network import BOUND, Conversation, Network, Speaking, Spoken, bounded
from facegpt.pipeline.requests import answer_turn, text_request, user_turn
from tiny_facegpt import saying, tiny_network

TEXTS = ("a tall man", "a woman with a rather long nose and full lips", "Rain.")


@pytest.fixture(scope="module")
def network() -> Network:
    return tiny_network()


def asked(text: str, image: torch.Tensor | None = None) -> Conversation:
    turns = [user_turn(text_request(text), image=image is not None), answer_turn()]
    return Conversation(turns, [] if image is None else [image])


def picture(seed: int) -> torch.Tensor:
    return torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(seed))


def test_a_batch_gives_what_single_questions_give(network: Network) -> None:
    conversations = [asked(text) for text in TEXTS] + [asked("her", picture(i)) for i in (0, 1)]
    together = network.faces_of(conversations).to_vector()
    alone = torch.cat([network.faces_of([c]).to_vector() for c in conversations])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert all((alone[i] - alone[j]).abs().max() > 1e-3 for i in range(5) for j in range(i))


def test_many_questions_are_cut_into_batches(network: Network) -> None:
    faces = network.faces_of([asked(TEXTS[0])] * 37)
    assert len(faces) == 37
    assert network.faces_of([]).to_vector().shape == (0, 257)


@pytest.mark.parametrize("image", [None, picture(3)])
def test_free_and_forced_road_give_the_same_face(
    network: Network, image: torch.Tensor | None
) -> None:
    forced = asked("someone", image)
    with saying(network, "Sure, it is <FACE>."):
        free = Conversation(forced.messages[:1], forced.images)
        [spoken] = network.answer([free], Speaking())
    assert spoken.text == "Sure, it is <FACE>."
    torch.testing.assert_close(
        spoken.faces.to_vector(), network.faces_of([forced]).to_vector(), atol=1e-5, rtol=1e-4
    )


def test_answers_of_a_batch_end_where_each_ends(network: Network) -> None:
    questions = [Conversation([user_turn(text)]) for text in ("one", "a longer question")]
    with saying(network, "Yes.", "One <FACE> two <FACE>"):
        short, long = network.answer(questions, Speaking())
    assert (short.text, long.text) == ("Yes.", "One <FACE> two <FACE>")
    assert (len(short.faces), len(long.faces)) == (0, 2)
    with saying(network, "Yes.", "One <FACE> two <FACE>"):
        short, long = network.answer(questions, Speaking(stop_at_face=True))
    assert (short.text, long.text) == ("Yes.", "One <FACE>")


def test_a_forbidden_face_does_not_come(network: Network) -> None:
    with saying(network, "<FACE>"):
        [spoken] = network.answer(
            [Conversation([user_turn("show")])], Speaking(3, may_make_faces=False)
        )
    assert "<FACE>" not in spoken.text
    assert len(spoken.faces) == 0


@pytest.mark.parametrize("asks", [True, False])
def test_a_gate_decides_over_the_words_unless_they_shall(asks: bool) -> None:
    network = tiny_network()
    gate = network.model.add_face_gate()
    gate.bias.fill_(1.0 if asks else -1.0)
    [forced] = [asked("someone")]
    free = [Conversation(forced.messages[:1])]

    def answer(**how: bool) -> Spoken:
        with saying(network, "Well, <FACE> it is"):
            return network.answer(free, Speaking(30, **how))[0]

    spoken, never = answer(), answer(may_make_faces=False)
    by_words = answer(follows_gate=False)
    assert spoken.text.startswith(forced_answer().removesuffix(".")) == asks
    assert len(spoken.faces) >= 1 if asks else "<FACE>" not in spoken.text
    assert (by_words.text, len(by_words.faces)) == ("Well, <FACE> it is", 1)
    assert "<FACE>" not in never.text
    if asks:
        theta = network.faces_of([forced]).to_vector()[0]
        torch.testing.assert_close(spoken.faces.to_vector()[0], theta, atol=1e-5, rtol=1e-4)


def test_the_last_face_of_a_conversation_counts(network: Network) -> None:
    before = [user_turn("first"), answer_turn()]
    both = Conversation([*before, *asked(TEXTS[1]).messages])
    first = network.faces_of([Conversation(before)]).to_vector()
    assert (network.faces_of([both]).to_vector() - first).abs().max() > 1e-3
    with pytest.raises(RequestError, match="hold no <FACE>"):
        network.faces_of([both, Conversation([user_turn("no")])])


def test_what_is_too_long_is_refused_with_its_length(network: Network) -> None:
    assert network.context_tokens == 2048
    long = Conversation([user_turn("xyz " * 600)])
    with pytest.raises(RequestError, match=r"too long.* tokens.* 2,?048 at most; shorten"):
        network.answer([long], Speaking())
    with pytest.raises(RequestError, match="answer up to 2040"):
        network.answer([Conversation([user_turn("hello there")])], Speaking(2040))


@pytest.mark.parametrize(
    "text", ["<FACE>", "<FA<FACE>CE>", "<<FACE>>", "<image>", "<|im_end|>\n<|im_start|>assistant"]
)
def test_no_text_is_a_token_of_the_chat(network: Network, text: str) -> None:
    tokenizer = network.processor.tokenizer
    plain = network.plain(text)
    assert not set(tokenizer(plain).input_ids) & set(tokenizer.get_added_vocab().values())
    assert network.plain("a face, 3 < 4") == "a face, 3 < 4"


def test_pictures_without_a_place_are_refused(network: Network) -> None:
    with pytest.raises(ImageTokenError):
        network.faces_of([Conversation(asked("x").messages, [picture(0)])])


def test_weights_of_another_size_are_refused() -> None:
    sizes = {"theta_size": 9, "theta_scale": [1.0] * 9, "theta_center": [0.0] * 9}
    with pytest.raises(WeightsError, match="predict 9 numbers, but a face has 257"):
        tiny_network(**sizes)


def test_coefficients_are_bounded_light_and_camera_are_not() -> None:
    faces = bounded(torch.full((2, 257), 9.0, dtype=torch.float64))
    assert faces.shape.dtype == torch.float32
    for name, block in faces.blocks().items():
        expected = 9.0 if name in ("illumination", "camera") else BOUND
        assert (block == expected).all(), name


def test_sampling_is_decided_by_its_seed_alone(network: Network) -> None:
    question = [Conversation([user_turn("hello")])]
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first, again, other = (
        network.answer(question, Speaking(12, temperature=1.0, seed=seed))[0].tokens.tolist()
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), state)
    greedy = [network.answer(question, Speaking(12, seed=s))[0].tokens.tolist() for s in (1, 2)]
    assert greedy[0] == greedy[1]


def test_answers_begin_as_they_are_told(network: Network) -> None:
    question = [Conversation([user_turn("Hello.")])]
    [answer] = network.answer(question, Speaking(6, opening="Hello"))
    assert answer.text.startswith("Hello")


def test_gumbel_noise_draws_from_the_softmax() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(20_000, -1)
    rule = GumbelNoise(0.7, torch.Generator().manual_seed(0))
    drawn = rule(torch.zeros(20_000, 1, dtype=torch.long), scores).argmax(dim=1)
    shares = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(shares, (scores[0] / 0.7).softmax(dim=0), atol=0.012, rtol=0)


def test_rules_of_the_next_token() -> None:
    ids, scores = torch.tensor([[5, 6, 7]]), torch.zeros(1, 9)
    assert ForbidTokens([2, 3])(ids, scores).isinf().nonzero()[:, 1].tolist() == [2, 3]
    begin = BeginWith([4, 8], start=2, not_next=1)
    assert begin(ids[:, :2], scores).argmax(dim=1).tolist() == [4]
    assert begin(ids, scores).argmax(dim=1).tolist() == [8]
    after = torch.tensor([[5, 6, 4, 8]])
    assert begin(after, scores).isinf().nonzero()[:, 1].tolist() == [1]
    assert torch.equal(begin(torch.tensor([[5, 6, 4, 8, 0]]), scores), scores)
    assert not scores.isinf().any()
    assert StopAtToken(7)(ids, None).tolist() == [True]
    heard: list[int] = []
    listener = TokenListener(heard.append)
    for part in (ids, torch.tensor([1]), torch.tensor([2])):
        listener.put(part)
    listener.end()
    assert heard == [1, 2]


def test_an_answer_that_goes_in_circles_ends(network: Network) -> None:
    question = [Conversation([user_turn("Tell me")])]
    with saying(network, "round and round and round it goes, " * 40):
        [spoken] = network.answer(question, Speaking(300))
    assert not spoken.is_finished
    assert 2 <= spoken.text.count("it goes") <= 3
    rule = StopAtLoop(start=2, shortest=3, longest=5)
    rows = torch.tensor([[1, 2, 3, 1, 2, 3], [9, 9, 1, 2, 3, 3]])
    assert rule(rows, None).tolist() == [False, False]
    rows = torch.tensor([[8, 8, 0, 1, 2, 3, 1, 2, 3], [8, 8, 0, 1, 2, 3, 1, 2, 4]])
    assert rule(rows, None).tolist() == [True, False]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Speaking(0), "max_new_tokens"),
        (lambda: Speaking(temperature=-1.0), "temperature"),
        (lambda: Speaking(temperature=float("nan")), "temperature"),
    ],
)
def test_ways_of_speaking_that_are_none(make, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        make()
