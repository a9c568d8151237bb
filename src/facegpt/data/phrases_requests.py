"""Wordings of requests for a face and of the answers that bring it: tables only.

The first of every list is the template of the paper (section 4.1). `{text}` is a description of
sentences, `{person}` a noun phrase, `{who}` what somebody does ("is calling a lost dog").
"""

_MAKE = "[give|show|make|create|generate|build|produce]"
_FACE = "[3D face|face in 3D|3D face model|3D head|3D reconstruction of the face]"
_SHAPE = "[model|sculpt|recreate|digitise|scan|rebuild|construct|copy]"
_WHOSE = "[the face|this face|this head|the person|his face|her face]"
_WHO = "[this person|him|her|the man|the woman|the person shown|whom you see]"
_PHOTO = "[photo|picture|shot|portrait|snapshot|image]"
_THING = "[3D head|3D face|head model|mesh|face mesh|avatar|3D copy]"
_FORM = "[ in 3D| as a mesh| as a model| digitally|]"

IMAGE_REQUESTS: tuple[str, ...] = (
    "Can you give the 3DMM parameters of this person.",
    "[Can|Could] you [give|estimate|predict|recover] the [3DMM|3D face|face] parameters of this "
    "person?",
    "Please [reconstruct|recover|estimate] the 3D face [of this person|in this photo|in the "
    "picture].",
    "[Reconstruct|Model|Rebuild] this face in 3D[, please|].",
    "[Show|Give|Make] me this [person|face] [in 3D|as a 3D face|as a 3D head].",
    "[Can|Could|Would] you turn this [photo|picture|image] into a 3D face?",
    "What is the 3D face of the person in the [photo|picture|image]?",
    "I need the 3D [face|head|model] of this person.",
    "[Fit|Make] a 3D face [to|from] this [photo|picture|portrait].",
    "Please output the face token for this person.",
    "3D face of this person[, please|].",
    "[Get|Extract] the 3D geometry of this face[ for me|].",
    "I would like to [have|see] this face [in 3D|as a mesh].",
    "Make a mesh of the face in this [photo|picture|image].",
    f"[Please|Now|] {_SHAPE} {_WHOSE} [from|out of] this {_PHOTO}{_FORM}[, please|].",
    f"{_SHAPE} {_WHOSE}{_FORM}.",
    f"I [want|need|would like] [a|the] {_THING} [of|from] {_WHO}.",
    f"[May|Can|Could] I [have|get|see] [a|the] {_THING} of {_WHO}[, please|]?",
    f"[Take|Use] this {_PHOTO} [and make|to make|to build] a {_THING}.",
    f"[Turn|Convert|Transform] {_WHO} into a {_THING}.",
    "[Shape, expression and pose|Pose and expression|Shape and skin]: [predict|determine|compute] "
    "the parameters [of this face|for this person].",
    "[Predict|Regress|Infer|Output] [theta|the coefficients|all parameters] [of|for] this "
    "[face|person].",
    f"[Look at|Study|Here is] this {_PHOTO}. [Now|Then] {_MAKE} the {_THING}.",
    f"A {_THING} of {_WHO}, please.",
    "[The|This] face, [please, as a face and not in words|as a mesh, not in words].",
)

DESCRIPTION_REQUESTS: tuple[str, ...] = (
    "{text} Can you give the 3DMM parameters of this person?",
    "{text} [Can|Could] you [give|predict|estimate] the [3DMM|3D face|face] parameters of this "
    "person?",
    f"{{text}} [Please|Now] {_MAKE} [this|the] {_FACE}.",
    f"{{text}} {_MAKE} me this face[ in 3D|, please].",
    f"[Please|] {_MAKE} a 3D face that [fits|matches] this description: {{text}}",
    "Here is a description of a person: {text} [Make the 3D face.|Show me the face.|What is the "
    "3D face?]",
    "There is a person with the following description: {text} [Give|Show|Make] me the 3D face.",
    "{text} What does this person look like in 3D?",
    "[Imagine this person|Picture this person]: {text} [Show me the face.|Give me the 3D face.]",
    "{text} Show me [this person's face|the face of this person].",
    "Turn this description into a [3D face|face]: {text}",
    "Description: {text} [Face, please.|3D face, please.]",
    "I am looking for this face: {text} Can you [make|show|generate] it?",
)

PERSON_REQUESTS: tuple[str, ...] = (
    "{person}, can you give the 3DMM parameters of this person.",
    "[Can|Could] you [give|predict|estimate] the [3DMM|3D face|face] parameters of {person}?",
    f"[Please|] {_MAKE} [the face of|the 3D face of] {{person}}.",
    "[Show|Give|Make|Draw] me {person}.",
    "[Can|Could|Would] you [make|create|generate|show me] [the face of|the 3D face of] {person}?",
    "I [want|need|would like] [the face of|the 3D face of] {person}.",
    "[Imagine|Picture] {person}[ and show me the face| and give me the 3D face].",
    "{person}, in 3D[, please|].",
    "What would {person} look like? Show me[ the face|].",
    "3D face of {person}[, please|].",
    "I'd like to see {person}.",
    "A face, please: {person}.",
)

SITUATION_REQUESTS: tuple[str, ...] = (
    "{text} Can you give the 3DMM parameters of this person?",
    "{text} [What does the face look like|How does the face look]? [Show me.|Show me in 3D.]",
    "{text} [Show|Give|Make] me the [face|3D face|face of this person].",
    "{text} [Predict|Imagine|Guess] the [face|3D face|expression] and [show it|make it in 3D].",
    "[Predict|Imagine|Make|Show me] the [face|3D face] of [this person|somebody in this "
    "situation]: {text}",
    "Situation: {text} [Face|3D face], please.",
    "[Think of|Imagine] this situation: {text} [What face goes with it|What is the face like]? "
    "Show me.",
    "{text} [Can|Could] you [make|generate|show me] the [face|3D face] that goes with [it|this]?",
    "What face goes with this[ situation|]? {text} [Show it to me.|Make it in 3D.]",
    f"[A|The] {_THING} [for|that fits] this[ moment|], please: {{text}}",
    f"{_SHAPE} [the face|the expression|the head] [for|that fits] this: {{text}}",
    "[Which|What] [expression|look] fits? {text} [Give me the head.|As a 3D face, please.]",
)

WHO_REQUESTS: tuple[str, ...] = (
    "What would someone look like who {who}? [Show me.|Show me the face.|Make the 3D face.|]",
    "[Predict|Imagine|Make|Show me] the [face|3D face] of [a person|someone|somebody] who {who}.",
    "[Show|Give] me [a person|someone|somebody] who {who}.",
    "[Can|Could] you [show|give|make] me the [face|3D face] of [someone|a person] who {who}?",
    "I'd like to see the face of [someone|a person] who {who}.",
    "[Can|Could] you give the 3DMM parameters of [someone|a person] who {who}?",
    f"{_SHAPE} the [face|expression|head] of [someone|a person|a man|a woman] who {{who}}.",
    f"I [want|need|would like] [a|the] {_THING} of [someone|a person] who {{who}}.",
)

IMPERATIVES = (
    *("show", "give", "draw", "make", "create", "generate", "imagine", "picture", "i'd like"),
    *("let me see", "i want to see", "i would like", "can you", "could you", "render", "paint"),
)
"""A situation that begins so is a request as it stands."""

ANSWERS: tuple[str, ...] = (
    "Sure, it is <FACE>.",
    "[Of course|Certainly|Yes|Sure], it is <FACE>.",
    "[Sure|Of course|Certainly], here it is: <FACE>.",
    "Here [is the face|it is|you are]: <FACE>.",
    "The [face|3D face|reconstruction] is <FACE>.",
    "This is the [face|3D face]: <FACE>.",
    "[Gladly|With pleasure]: <FACE>.",
    "It [looks|could look] like this: <FACE>.",
    "The 3DMM parameters are <FACE>.",
)

ANNOUNCEMENTS: tuple[str, ...] = (
    "The ",
    "The reconstruction",
    "The 3D face",
    "Sure, it is",
    "Certainly, it is",
    "Of course, it is",
    "Yes, it is:",
    "Here is the face",
    "Here it is:",
    "Here you are:",
    "This is the face:",
    "This is the 3D face",
    "Gladly:",
    "With pleasure:",
)
"""Beginnings of answers that announce a face, and of hardly any other. "The " with its space comes
before a number ("The 3DMM"): that of a word belongs to the word."""

ALSO: tuple[str, ...] = ("And", "Also,", "Then", "One more thing:", "")
"""How a request follows a question in the same turn."""
