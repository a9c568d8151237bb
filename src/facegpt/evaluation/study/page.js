// The page of a study: welcome, one question after the other, thanks. The server knows which
// questions are answered, so a reload goes on where the participant was.

const SHOW_CHOICE_MS = 300;

const element = (id) => document.getElementById(id);
const sections = ["welcome", "question", "thanks"].map(element);

let study = null;
let current = 0;
// While pictures load or a choice is being saved, there is nothing to choose and nowhere to go.
let busy = false;

async function ask(path, body) {
  const options =
    body === undefined
      ? {}
      : {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
        };
  const response = await fetch(path, options);
  if (!response.ok) {
    const reason = await response.json().catch(() => ({}));
    throw new Error(reason.detail ?? `the server answers ${response.status}`);
  }
  return response;
}

function show(section, heading) {
  for (const other of sections) other.hidden = other !== section;
  element("problem").hidden = true;
  window.scrollTo(0, 0);
  // Screen readers begin at the new heading.
  element(heading).focus({ preventScroll: true });
}

function complain(text) {
  element("problem-text").textContent = text;
  element("problem").hidden = false;
}

async function load() {
  try {
    study = await (await ask("/api/study")).json();
  } catch (error) {
    complain(`The study cannot be loaded (${error.message}).`);
    return;
  }
  document.title = study.title;
  if (study.questions.length === 0) showWelcome();
  else showQuestion(firstUnanswered());
}

function showWelcome() {
  element("welcome-title").textContent = study.title;
  element("welcome-task").textContent = study.task;
  element("welcome-count").textContent =
    study.count === 1 ? "one question" : `${study.count} questions`;
  show(element("welcome"), "welcome-title");
}

async function begin() {
  try {
    await ask("/api/participants", {});
  } catch (error) {
    complain(`The study cannot begin (${error.message}).`);
    return;
  }
  await load();
}

/** Number of the first question without an answer; the number of questions if there is none. */
function firstUnanswered() {
  const found = study.questions.findIndex((question) => !(question.id in study.answers));
  return found < 0 ? study.questions.length : found;
}

function showQuestion(number) {
  if (number >= study.questions.length) {
    show(element("thanks"), "thanks-title");
    return;
  }
  current = number;
  const question = study.questions[number];
  const count = study.questions.length;
  element("question-number").textContent = `Question ${number + 1} of ${count}`;
  element("progress").max = count;
  element("progress").value = Object.keys(study.answers).length;
  element("task").textContent = study.task;
  showStimulus(question);
  element("choices").dataset.count = question.alternatives.length;
  element("choices").replaceChildren(
    ...question.alternatives.map((image, place) => choiceButton(question, image, place)),
  );
  element("hint").textContent = `You can also press 1 to ${question.alternatives.length}.`;
  element("back").disabled = number === 0;
  element("next").disabled = !(question.id in study.answers);
  show(element("question"), "question-number");
  revealWhenLoaded();
}

/** All faces appear at the same time, or the first one would have an advantage. */
async function revealWhenLoaded() {
  const images = [...element("choices").querySelectorAll("img")];
  setBusy(true);
  element("question").classList.add("loading");
  try {
    await Promise.all(images.map((image) => image.decode()));
  } catch {
    complain("A picture did not load.");
    return;
  }
  element("question").classList.remove("loading");
  setBusy(false);
  if (current + 1 < study.questions.length) preload(study.questions[current + 1]);
}

function setBusy(value) {
  busy = value;
  element("question").setAttribute("aria-busy", String(value));
}

function showStimulus(question) {
  const text = element("text");
  text.textContent = question.text;
  text.hidden = question.text === "";
  const photo = element("photo");
  photo.hidden = question.photo === null;
  element("comparison").classList.toggle("with-photo", question.photo !== null);
  if (question.photo !== null) {
    photo.onerror = () => complain("The photo did not load.");
    photo.src = imagePath(question.photo);
  }
}

function imagePath(name) {
  return `/images/${name}`;
}

function choiceButton(question, name, place) {
  const image = document.createElement("img");
  image.alt = `Computer-made face ${place + 1}`;
  image.src = imagePath(name);
  const label = document.createElement("span");
  label.textContent = String(place + 1);
  // The picture says it already.
  label.setAttribute("aria-hidden", "true");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "choice";
  button.setAttribute("aria-pressed", String(study.answers[question.id] === name));
  button.append(image, label);
  button.addEventListener("click", () => busy || choose(name));
  return button;
}

function preload(question) {
  for (const name of question.alternatives) new Image().src = imagePath(name);
}

function press(name) {
  const { alternatives } = study.questions[current];
  [...element("choices").children].forEach((button, place) => {
    button.setAttribute("aria-pressed", String(alternatives[place] === name));
  });
}

async function choose(name) {
  setBusy(true);
  const question = study.questions[current];
  press(name);
  try {
    const seen = new Promise((done) => setTimeout(done, SHOW_CHOICE_MS));
    await ask("/api/answers", { question: question.id, choice: name });
    study.answers[question.id] = name;
    await seen;
  } catch (error) {
    press(study.answers[question.id]);
    complain(`Your choice was not saved (${error.message}). Choose again, or reload the page.`);
    setBusy(false);
    return;
  }
  goOn();
}

function goOn() {
  const isLast = current + 1 === study.questions.length;
  showQuestion(isLast ? firstUnanswered() : current + 1);
}

function goBack() {
  showQuestion(current - 1);
}

function onKey(event) {
  const isQuestion = study !== null && !element("question").hidden;
  if (!isQuestion || busy) return;
  if (event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
  const chosen = study.questions[current].alternatives[Number(event.key) - 1];
  if (chosen !== undefined) choose(chosen);
  else if (event.key === "ArrowLeft" && !element("back").disabled) goBack();
  else if (event.key === "ArrowRight" && !element("next").disabled) goOn();
}

element("begin").addEventListener("click", begin);
element("back").addEventListener("click", () => busy || goBack());
element("next").addEventListener("click", () => busy || goOn());
element("review").addEventListener("click", () => showQuestion(study.questions.length - 1));
element("retry").addEventListener("click", () => location.reload());
document.addEventListener("keydown", onKey);
load();
