"""Questions about a photo that no measurement of the face can answer, and how to say so: tables
only, in the language of `grammar.py`.

A model that has only ever been asked what it can measure answers such a question with the next
likely thing, which is a face that nobody asked for. An honest sentence is better.
"""

_ONLY = (
    "I [read|measure|see] only the face [itself|]: shape, expression, pose, light and skin",
    "I know only the shape, the expression, the pose, the light and the skin of the face",
    "what I measure is the face alone: its shape, expression, pose, light and skin",
)

UNMEASURED: dict[str, tuple[tuple[str, ...], str]] = {
    "age": (
        (
            "[About how|How] old is [this person|the person|she|he]?",
            "How old [would you say this person is|does the man look|does the woman look]?",
            "[Guess|Estimate] [the|this person's] age.",
            "Is this a young or an old person?",
            "Which age group does this face belong to?",
            "Is [he|she] older than forty?",
        ),
        "the age",
    ),
    "hair": (
        (
            "How is [the person's|the] hair styled?",
            "What colour is the hair?",
            "Is the hair long or short?",
            "Is this person bald?",
            "Describe the [hair|hairstyle|haircut].",
        ),
        "the hair",
    ),
    "clothes": (
        (
            "What is the person wearing?",
            "What kind of clothes does [he|she|this person] wear?",
            "Does this person wear a [hat|cap|scarf|tie]?",
            "Which colour is the [shirt|jacket|dress]?",
            "Describe the [clothes|outfit].",
        ),
        "the clothes",
    ),
    "glasses": (
        (
            "Does [this person|he|she] wear glasses?",
            "Are there sunglasses on the nose?",
            "Does the person wear [any|] [jewellery|earrings|make-up]?",
            "Can you see [a piercing|lipstick|a necklace]?",
        ),
        "glasses, jewellery or make-up",
    ),
    "place": (
        (
            "What is in the background?",
            "Where was this [photo|picture] taken?",
            "Is there any indication of where this person might be?",
            "Is the person indoors or outdoors?",
            "What [colours dominate|colors dominate] this image?",
            "What else is in the [photo|picture]?",
            "Is anybody else in the picture?",
        ),
        "what is around the face",
    ),
    "who": (
        (
            "Who is this?",
            "What is the name of this person?",
            "Do you [know|recognise] [him|her|this person]?",
            "Is this somebody famous?",
            "[Give|Find] a name [for|that suits] this person.",
        ),
        "who this is",
    ),
    "life": (
        (
            "What is [her|his|this person's] [job|profession]?",
            "What might this person do for a living?",
            "Is [he|she|this person] married?",
            "[Where does|Which country does] this person come from?",
            "What [languages|hobbies] might this person have?",
            "Is this person [rich|clever|honest|nice|trustworthy]?",
            "Would you trust [him|her|this person]?",
            "What kind of person is this?",
            "Is this person [attractive|good-looking|healthy]?",
        ),
        "the life or the character of a person",
    ),
    "thoughts": (
        (
            "What [might|could] this person be thinking[ about|]?",
            "What has [he|she|this person] just [seen|done|said]?",
            "Why does [he|she|the person] look like that?",
            "What happened [before|just before|after] this [photo|picture] was taken?",
            "Based on the attire and styling, can you infer anything about the event or occasion "
            "for this photo?",
            "What is the occasion?",
            "What would [he|she|this person] say now?",
            "[Who|What] is the person looking at?",
        ),
        "thoughts, reasons or what happened",
    ),
    "photo": (
        (
            "Is [the photo|this picture] [sharp|blurred|old|recent]?",
            "Is this photo in colour or in black and white?",
            "Which camera was used?",
            "Is this [a painting or a photo|a selfie]?",
            "Who took this [picture|photo]?",
            "Is the [photo|picture] good enough for [my CV|a visa|a poster]?",
            "Which format does the picture have?",
            "How could the photo be better?",
        ),
        "the photo itself",
    ),
    "body": (
        (
            "How tall is this person?",
            "Is [he|she|the person] standing or sitting?",
            "What are the hands doing?",
            "How much does this person weigh?",
            "Are the ears pierced?",
            "What colour are the eyes?",
            "Are the teeth visible?",
        ),
        "anything but the face",
    ),
}
"""Subject -> questions, and what cannot be told."""

UNMEASURED_ANSWERS: tuple[str, ...] = (
    *(f"I cannot say anything about {{what}}; {only}." for only in _ONLY),
    f"About {{what}} I can say nothing: {_ONLY[0]}.",
    f"[Sorry, I|I] do not know anything about {{what}}; {_ONLY[1]}.",
    f"That does not show in the face; {_ONLY[0]}.",
    "I cannot tell that from the face alone.",
    "[I am afraid|Sorry,] the face alone does not tell anything about {what}.",
)
"""How to say so."""
