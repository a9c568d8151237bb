"""Questions about a face that its measurements can answer, and how to answer: tables only.

An answer is looked up under the fact that decides it. `{mouth}`, `{pose}` ... are sentences made
elsewhere.
"""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "expression": (
        "Can you describe the person's expression?",
        "[What|Which] expression does the face show?",
        "How would you describe the [facial expression|expression][ of this person|]?",
        "Describe the [facial expression|expression][ of this person|].",
        "What is the person doing with [their|the] face?",
        "What does the face [express|show]?",
        "What [expression|look] does this person have?",
    ),
    "smile": (
        "Is the person smiling?",
        "[Does the person smile|Do you think the person smiles]?",
        "Is there a smile on the face?",
        "Can you see a smile?",
        "Are they smiling?",
        "Would you call this a smile?",
    ),
    "mouth": (
        "Is the mouth open or closed?",
        "Is the mouth open?",
        "Is the mouth closed?",
        "What is the mouth doing?",
        "Are the lips together or apart?",
    ),
    "turned": (
        "[Which way|Where] is the head turned?",
        "Is the head turned to [a|one] side?",
        "Is the person facing the camera?",
        "In which direction does the face point?",
        "How is the head [posed|held|oriented]?",
        "Is the head frontal, or turned to the left or right?",
    ),
    "nod": (
        "Is the head raised or lowered?",
        "Is the chin up, down or level?",
        "Does the person look up or down?",
        "Is the head tilted up or down?",
    ),
    "light": (
        "Where does the light come from?",
        "How is the face lit?",
        "What is the lighting like?",
        "Describe the lighting[, please|].",
        "From which side [is the face lit|does the light fall]?",
        "Is the light soft or hard?",
    ),
    "skin": (
        "What is the skin tone?",
        "How would you describe the skin?",
        "What skin [colour|tone] does this person have?",
        "Is the skin light or dark?",
        "Describe the complexion.",
    ),
    "shape": (
        "What shape is the face?",
        "What is the shape of the face like?",
        "Describe the face shape.",
        "How would you describe the shape of the face?",
        "Is the face long or broad?",
    ),
    "nose": (
        "What is the nose like?",
        "Describe the nose.",
        "How would you describe the nose of this person?",
    ),
    "lips": ("What are the lips like?", "Are the lips thin or full?", "Describe the lips."),
    "eyes": (
        "What are the eyes like?",
        "Describe the eyes.",
        "How are the eyes set in the face?",
    ),
    "lids": (
        "Are the eyes open?",
        "Are the eyes open or closed?",
        "Are the eyes narrowed or wide?",
    ),
    "brows": (
        "What are the eyebrows doing?",
        "Are the brows raised or lowered?",
        "Describe the brows.",
    ),
    "jaw": (
        "What about jaw and chin?",
        "Describe the lower part of the face.",
        "How would you describe the jaw and the chin?",
    ),
    "beard": ("Does this person have a beard?", "Is there any stubble?", "Can you see a beard?"),
    "mood": (
        "How does this person [seem to feel|feel]?",
        "What [mood|emotion] does the face show?",
        "What emotion do you see?",
        "Which feeling does this face convey?",
        "Does this person look happy[| or sad]?",
        "What [mood|feeling] does the [picture|photo] convey?",
        "Does this person [look|seem] [friendly|angry|relaxed|worried|tired]?",
    ),
    "whole": (
        "[Please describe|Describe|Can you describe] this face.",
        "What does this person look like?",
        "[Describe|Tell me about] the [person|face] in the [picture|photo].",
        "How would you describe this person's face[ in a sentence or two|]?",
        "What [stands out|is notable] about this face?",
        "[Write|Give me|Suggest] a caption for this [picture|photo].",
        "[Describe|Sum up] [the|this] [picture|photo] in [one|a] sentence.",
        "What do you see [here|in this photo|in the picture]?",
    ),
}
"""Topic -> questions."""

SMILE_ANSWERS: dict[str, tuple[str, ...]] = {
    "none": (
        "No, [there is no smile|the person is not smiling|they are not smiling][; {mouth}|].",
        "No[, not at all|]; {mouth}.",
        "No smile can be seen; {mouth}.",
        "Not at all: {mouth}.",
    ),
    "less than a trace": (
        "No, hardly: there is only [a hint|a trace] of a smile.",
        "No, at most [a hint|a trace] of one.",
        "No, not really; [a hint|a trace] of a smile at most.",
    ),
    "trace": (
        "Yes, but [only very faintly|barely]: it is [a hint|a trace] of a smile.",
        "Yes, though it is only [a faint one|the faintest of smiles].",
        "Yes, [very faintly|just a trace].",
    ),
    "slight": (
        "Yes, [slightly|a little]; {mouth}.",
        "Yes, it is a [slight|mild|faint] smile.",
        "Yes, [but only slightly|a little].",
    ),
    "clear": (
        "Yes, [clearly|they are smiling][; {mouth}|].",
        "Yes, it is a [clear|friendly|pleasant] smile.",
        "Yes; {mouth}.",
    ),
    "broad": (
        "Yes, [broadly|very much so][; {mouth}|].",
        "Yes, it is a [broad|wide|big] smile.",
        "Yes; {mouth}.",
    ),
}
MOUTH_ANSWERS: dict[str, tuple[str, ...]] = {
    "closed": (
        "The mouth is [closed|shut].",
        "It is closed, the lips [together|touching].",
        "The lips are closed.",
    ),
    "parted": (
        "The lips are [slightly parted|a little apart].",
        "It is open just a little.",
        "Slightly open: the lips are a little apart.",
    ),
    "open": (
        "The mouth is open.",
        "It is open[, and some teeth may show|].",
        "Open, the lips clearly apart.",
    ),
    "wide": ("The mouth is wide open.", "It is wide open.", "Wide open, the jaw dropped."),
}
TURN_ANSWERS: dict[str, tuple[str, ...]] = {
    "none": (
        "The head is turned neither left nor right; it is frontal.",
        "The head faces the camera[ directly|].",
        "It is frontal: the person faces the camera.",
        "The person faces the camera.",
    ),
    "trace": (
        "It is almost frontal, with a [hint of a turn|very slight turn] to the {side}.",
        "Nearly frontal, a touch to the {side}.",
    ),
    "slight": (
        "The head is turned slightly to the {side}.",
        "Slightly to the {side} of the picture.",
        "It is turned a little to the {side}.",
    ),
    "clear": (
        "The head is turned to the {side}.",
        "It is turned to the {side} of the picture.",
        "The person faces the {side} of the picture.",
    ),
    "strong": (
        "The head is turned far to the {side}.",
        "Strongly to the {side}, almost in half profile.",
        "It is turned far to the {side} of the picture.",
    ),
}
NOD_ANSWERS: dict[str, tuple[str, ...]] = {
    "": ("The head is level.", "Neither: the head is held level.", "It is held level."),
    "up": (
        "The chin is {strength}raised.",
        "The head is {strength}raised, so the person looks up a bit.",
        "{strength}up: the chin is lifted.",
    ),
    "down": (
        "The head is {strength}lowered.",
        "The chin is {strength}lowered, so the person looks down a bit.",
        "{strength}down: the head is bent forward.",
    ),
}
LID_ANSWERS: dict[str, tuple[str, ...]] = {
    "closed": ("The eyes are closed.", "They are closed."),
    "half": ("Only half open; the lids are lowered.", "They are half closed."),
    "narrow": ("They are open but narrowed.", "Open, but a little narrowed."),
    "normal": ("They are open normally.", "They are open, neither wide nor narrowed."),
    "wide": ("They are wide open.", "They are opened wide."),
    "wink": ("One is open and one is closed.", "Only one of them; it looks like a wink."),
}
BEARD_ANSWERS: dict[str, tuple[str, ...]] = {
    "none": ("No, there is no beard.", "No, the skin around the mouth looks clear."),
    "shadow": ("There is a faint shadow of stubble.", "Only a hint of stubble."),
    "stubble": ("Yes, there is stubble on chin and jaw.", "There is dark stubble."),
    "beard": (
        "Yes, the chin and jaw are dark with a beard.",
        "Yes, it seems so: chin and jaw are dark.",
    ),
}
