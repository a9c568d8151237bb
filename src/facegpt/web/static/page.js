// What the page does without asking the server: sliders that move the head, buttons inside cards.
import "./head.js";

const panel = () => document.querySelector("#panel-head facegpt-head");
let asked = null; // the latest change that was wanted
let isAsking = false;

async function askForSurface() {
  if (isAsking) return;
  isAsking = true;
  while (asked) {
    const [head, id, semantics] = asked;
    asked = null;
    const body = JSON.stringify({ id, semantics });
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("v1/surface", { method: "POST", headers, body }).catch(() => null);
    const complaint = document.querySelector("#change-status");
    if (answer?.ok) {
      if (!asked) head.setSurface(await answer.arrayBuffer());
      if (complaint) complaint.textContent = "";
    } else if (complaint) {
      const said = await answer?.json().catch(() => null);
      complaint.textContent = said?.error?.message ?? "The server does not answer.";
    }
  }
  isAsking = false;
}

globalThis.facegpt = {
  morph: (name, weight) => panel()?.setMorph(name, weight),
  light: (azimuth, elevation) => panel()?.setLight(azimuth, elevation),
  turn: (yaw, pitch) => panel()?.setTurn(yaw, pitch),
  undo() {
    const head = panel();
    asked = null;
    head?.setLight(15, 20);
    head?.load();
  },
  reshape(names, values) {
    const head = panel();
    if (!head) return;
    const moved = names.map((name, i) => [name, values[i]]).filter(([, value]) => value !== 0);
    asked = [head, head.dataset.face, Object.fromEntries(moved)];
    askForSurface();
  },
};

// The radio buttons of the panel have the names of the faces.
function openFace(name) {
  const buttons = [...document.querySelectorAll("#face-choice input")];
  buttons.find((button) => button.value === name)?.click();
  document.querySelector("#face-panel")?.scrollIntoView({ behavior: "smooth", block: "nearest" });
}

// The field takes photos that are dropped on it; the conversation above says "drop a photo here".
function isOverConversation(event) {
  return event.target.closest?.("#chat") && event.dataTransfer?.types.includes("Files");
}

document.addEventListener("dragover", (event) => isOverConversation(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  const field = document.querySelector("#message input[type=file]");
  if (!field || !isOverConversation(event)) return;
  event.preventDefault();
  field.files = event.dataTransfer.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
});

async function savePicture() {
  const picture = await panel()?.picture();
  if (!picture) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(picture);
  link.download = "face-as-shown.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy)?.textContent ?? "";
  const before = button.textContent;
  // Browsers give no clipboard to pages that came over an open network: then it is selected.
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => (button.textContent = before), 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-open], button[data-copy], button[data-picture]");
  if (!button) return;
  if (button.dataset.open) openFace(button.dataset.open);
  else if (button.dataset.copy) copy(button);
  else savePicture();
});
