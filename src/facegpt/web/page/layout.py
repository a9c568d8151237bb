"""The page in Gradio: what stands where, and which button does what."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from facegpt.web.page import cards, panel
from facegpt.web.page.controls import MOST_DEVIATIONS, Controls
from facegpt.web.page.talk import ShownFace, Talk
from facegpt.web.page.talking import Listener, answer_to, turn
from facegpt.web.page.uploads import take_uploads

EXAMPLES = (
    "Show me an elderly man with a long thin face, grinning.",
    "She has just been told that her flight is cancelled.",
    "Imagine somebody who won the lottery a minute ago.",
    "What can you read from a photo of a face?",
)
_NOTE = (
    "Heads from words are plausible guesses and nobody's portrait; heads from photos are "
    "likenesses, no identification. [About](about)"
)
_NO_FACE = '<p class="empty">A face that you open is shown here.</p>'
_LAMP_DEGREES = (15, 20)
"""Where the lamp stands, as in head.js."""
_STATUS = '<p id="change-status" role="status"></p>'


class Page:
    """The components of the page, and what they do."""

    def __init__(self, listener: Listener, uploads: Path) -> None:
        """
        Args:
            uploads: The folder that Gradio writes uploaded files into.
        """
        self._listener = listener
        self._uploads = uploads
        self._controls = Controls(listener.engine.facegpt.model)

    def build(self) -> gr.Blocks:
        """The page."""
        with gr.Blocks(title="FaceGPT", analytics_enabled=False, fill_width=True) as blocks:
            self._talk = gr.State(_new_talk)
            gr.Markdown("# FaceGPT\nTalk about faces, and make them.", elem_id="title")
            with gr.Row(elem_id="columns"):
                with gr.Column(scale=6, min_width=320):
                    self._build_chat()
                with gr.Column(scale=5, min_width=320, elem_id="face-panel"):
                    self._build_panel()
            gr.Markdown(_NOTE, elem_id="note")
            self._connect_chat()
            self._connect_panel()
        return blocks

    def _build_chat(self) -> None:
        self._chat = gr.Chatbot(
            label="Conversation",
            show_label=False,
            height="68vh",
            min_height=420,
            buttons=[],
            feedback_options=None,
            group_consecutive_messages=False,
            latex_delimiters=[],
            elem_id="chat",
            placeholder="Describe a face, tell a situation, or drop a photo here.",
            examples=[{"text": text} for text in EXAMPLES],
        )
        self._box = gr.MultimodalTextbox(
            label="Your message",
            show_label=False,
            placeholder="Write, or attach photos …",
            file_types=["image"],
            file_count="multiple",
            sources=["upload"],
            elem_id="message",
            stop_btn=True,
            html_attributes=gr.InputHTMLAttributes(autocorrect="off", spellcheck=True),
        )
        self._keep_photos = gr.Checkbox(
            label="Keep my photos with their heads until these expire, so that heads get the skin "
            "of the photo. Otherwise photos stay in memory and go with this conversation.",
            elem_id="keep-photos",
        )
        with gr.Row():
            self._new = gr.Button("New conversation", size="sm")
            self._forget = gr.Button("Delete my faces and photos", size="sm", variant="stop")

    def _build_panel(self) -> None:
        self._choice = gr.Radio(
            choices=[], label="Faces of this conversation", visible=False, elem_id="face-choice"
        )
        self._head = gr.HTML(_NO_FACE, elem_id="panel-head")
        with gr.Tabs():
            with gr.Tab("Change"):
                self._build_sliders()
            with gr.Tab("Measured"):
                self._measured = gr.HTML()
            with gr.Tab("Compare"):
                self._other = gr.Dropdown(
                    choices=[], label="with", interactive=True, elem_id="other-face"
                )
                self._comparison = gr.HTML()
            with gr.Tab("Files"):
                self._files = gr.HTML()

    def _build_sliders(self) -> None:
        with gr.Column(elem_id="sliders"):
            self._build_meanings()
            self._build_expression()
        gr.HTML(_STATUS)
        with gr.Row():
            self._keep = gr.Button("Keep as a new face", variant="primary", size="sm")
            self._reset = gr.Button("Undo", size="sm")
            self._refine = gr.Button("Refine on the photo", size="sm")

    def _build_meanings(self) -> None:
        self._meanings: list[gr.Slider] = []
        for group in dict.fromkeys(s.group for s in self._controls.meanings):
            with gr.Accordion(group, open=group == "Face"):
                self._meanings += [
                    gr.Slider(
                        -MOST_DEVIATIONS,
                        MOST_DEVIATIONS,
                        0,
                        step=0.1,
                        label=slider.label,
                        elem_id=f"meaning-{slider.name}",
                        elem_classes="compact",
                    )
                    for slider in self._controls.meanings
                    if slider.group == group
                ]

    def _build_expression(self) -> None:
        with gr.Accordion("Expression: ARKit weights", open=False):
            self._arkit = [
                gr.Slider(
                    0, 1, 0, step=0.01, label=name, elem_id=f"arkit-{name}", elem_classes="compact"
                )
                for name in self._controls.arkit
            ]
        with gr.Accordion("Light and turn", open=False):
            self._light = [
                gr.Slider(-180, 180, _LAMP_DEGREES[0], step=1, label="light: around, in degrees"),
                gr.Slider(-90, 90, _LAMP_DEGREES[1], step=1, label="light: height, in degrees"),
            ]
            self._turn = [
                gr.Slider(-90, 90, 0, step=1, label="head: left … right, in degrees"),
                gr.Slider(-60, 60, 0, step=1, label="head: up … down, in degrees"),
            ]

    def _connect_chat(self) -> None:
        told = [self._chat, self._box, self._talk, self._choice, self._other]
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_limit": None,
            "api_visibility": "private",
        }
        asked = self._box.submit(
            self._ask, [self._box, self._talk, self._keep_photos], told, **quiet
        )
        tried = self._chat.example_select(self._try, self._talk, told, **quiet)
        self._box.stop(
            self._stopped, self._talk, [self._chat, self._box], cancels=[asked, tried], **quiet
        )
        everything = [self._chat, self._talk, self._choice, self._other, self._head]
        for pressed in (self._new.click, self._forget.click, self._chat.clear):
            pressed(
                self._begin_again,
                self._talk,
                everything,
                cancels=[asked, tried],
                api_visibility="private",
            )

    def _connect_panel(self) -> None:
        sliders = [*self._meanings, *self._arkit]
        shown = [self._head, self._measured, self._files, self._comparison]
        shown += [*sliders, *self._light, *self._turn]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        made = [self._chat, self._talk, self._choice, self._other]
        making: list[dict[str, Any]] = [
            self._keep.click(
                self._keep_face,
                [self._talk, self._choice, *sliders],
                made,
                show_progress_on=self._head,
                api_visibility="private",
            ),
            self._refine.click(
                self._refine_face,
                [self._talk, self._choice, self._keep_photos],
                made,
                show_progress_on=self._head,
                api_visibility="private",
            ),
        ]
        gr.on(
            [self._choice.change, self._reset.click],
            self._show,
            [self._talk, self._choice, self._other],
            shown,
            **quiet,
        )
        # The page stays the same, so the head would not notice.
        undo = "() => { facegpt.undo() }"
        self._reset.click(None, None, None, js=undo, cancels=making, **quiet)
        self._other.input(
            self._compare, [self._talk, self._choice, self._other], self._comparison, **quiet
        )
        names = [slider.name for slider in self._controls.meanings]
        reshape = f"(...values) => {{ facegpt.reshape({names}, values) }}"
        for slider in self._meanings:
            slider.input(None, self._meanings, None, js=reshape, **quiet)
        for name, slider in zip(self._controls.arkit, self._arkit, strict=True):
            slider.input(None, slider, None, js=f"(v) => {{ facegpt.morph('{name}', v) }}", **quiet)
        for pair, what in ((self._light, "light"), (self._turn, "turn")):
            for slider in pair:
                slider.input(None, pair, None, js=f"(a, b) => {{ facegpt.{what}(a, b) }}", **quiet)

    async def _ask(
        self, message: dict[str, Any], talk: Talk, keep_photos: bool
    ) -> AsyncIterator[tuple[Any, ...]]:
        """One turn, shown as it grows."""
        text, paths = str(message.get("text") or ""), list(message.get("files") or [])
        faces = len(talk.faces)
        yield talk.shown, _empty_box(busy=True), talk, gr.skip(), gr.skip()
        try:
            files = take_uploads(paths, self._uploads)
            steps = turn(self._listener, talk, text, files, keep_photos=keep_photos)
            async with aclosing(steps):
                async for _ in steps:
                    yield talk.shown, gr.skip(), talk, gr.skip(), gr.skip()
        except Exception as error:  # Gradio would log it with what was said
            talk.shown.append({"role": "assistant", "content": answer_to(error)})
        yield talk.shown, _empty_box(), talk, *_choices(talk, faces)

    async def _try(self, talk: Talk, example: gr.SelectData) -> AsyncIterator[tuple[Any, ...]]:
        async for shown in self._ask(example.value, talk, False):
            yield shown

    @staticmethod
    def _stopped(talk: Talk) -> tuple[Any, ...]:
        talk.shown = [m for m in talk.shown if m.get("metadata", {}).get("id") != "status"]
        talk.shown.append({"role": "assistant", "content": "Stopped."})
        return talk.shown, _empty_box()

    async def _begin_again(self, talk: Talk) -> tuple[Any, ...]:
        await panel.forget(self._listener, talk)
        new = Talk()
        return (
            new.shown,
            new,
            gr.Radio(choices=[], value=None, visible=False),
            gr.Dropdown(choices=[], value=None),
            _NO_FACE,
        )

    def _show(self, talk: Talk, name: str | None, other: str | None) -> list[Any]:
        face = talk.face(name)
        if face is None:
            return [_NO_FACE, "", "", "", *self._sliders(None)]
        measured = cards.measurement_table(face.record) + cards.arkit_table(face.record)
        return [
            f'<div class="panel-head">{cards.head(face)}</div>',
            measured,
            cards.files(face),
            self._compare(talk, name, other),
            *self._sliders(face),
        ]

    def _sliders(self, face: ShownFace | None) -> list[float]:
        still = [0.0] * len(self._controls.meanings)
        return [*still, *self._controls.weights_of(face), *_LAMP_DEGREES, 0, 0]

    @staticmethod
    def _compare(talk: Talk, name: str | None, other: str | None) -> str:
        one, two = talk.face(name), talk.face(other)
        if one is None or two is None:
            return '<p class="empty">Choose a second face.</p>'
        return cards.comparison(one, two)

    async def _keep_face(self, talk: Talk, name: str | None, *values: float) -> tuple[Any, ...]:
        face = _chosen(talk, name)
        count = len(self._controls.meanings)
        change = self._controls.change(face, values[:count], values[count:])
        return await self._added(talk, panel.keep_changed(self._listener, talk, face, change))

    async def _refine_face(self, talk: Talk, name: str | None, keep: bool) -> tuple[Any, ...]:
        face = _chosen(talk, name)
        return await self._added(talk, panel.refine(self._listener, talk, face, keep_photo=keep))

    @staticmethod
    async def _added(talk: Talk, making: Any) -> tuple[Any, ...]:
        faces = len(talk.faces)
        try:
            await making
        except Exception as error:
            raise gr.Error(answer_to(error), print_exception=False) from None
        return talk.shown, talk, *_choices(talk, faces)


def _new_talk() -> Talk:
    return Talk()


def _chosen(talk: Talk, name: str | None) -> ShownFace:
    face = talk.face(name)
    if face is None:
        raise gr.Error("Open a face first.", print_exception=False)
    return face


def _empty_box(*, busy: bool = False) -> Any:
    return gr.MultimodalTextbox(value=None, interactive=not busy)


def _choices(talk: Talk, faces_before: int) -> Sequence[Any]:
    """The faces to choose from; a new one is opened."""
    names = [face.name for face in talk.faces]
    if len(names) == faces_before:
        return gr.skip(), gr.skip()
    radio = gr.Radio(choices=names, value=names[-1], visible=True)
    return radio, gr.Dropdown(choices=names)
