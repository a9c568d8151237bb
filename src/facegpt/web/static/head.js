// <facegpt-head src="head.glb" alt="...">: a 3D head that turns, with blendshapes, light and shape
// that can be set at once. One WebGL context draws all heads of a page: browsers allow few.
import * as THREE from "./vendor/three/three.module.min.js";
import { GLTFLoader } from "./vendor/three/addons/loaders/GLTFLoader.js";
import { OrbitControls } from "./vendor/three/addons/controls/OrbitControls.js";

const SWAY = 0.55; // radians to each side: the face stays in view
const SWAY_SPEED = 0.7;
const MOST_FILES = 24;
const FIELD_OF_VIEW = 24;
const LAMP = 2.1;
const SKY = 1.5;

const STYLE = `
  :host { display: block; position: relative; width: 100%; }
  canvas {
    display: block; width: 100%; aspect-ratio: 1; border-radius: 12px; cursor: grab; outline-offset: 2px;
    background: radial-gradient(circle at 50% 35%, var(--head-light, #f1efec), var(--head-dark, #cfcac4));
  }
  canvas:active { cursor: grabbing; }
  canvas:focus-visible { outline: 3px solid var(--primary-500, #14b8a6); }
  p {
    position: absolute; inset: auto 8px 8px; margin: 0; text-align: center; font: 0.85rem system-ui, sans-serif;
    pointer-events: none; color: var(--head-ink, #1c1917);
  }
  :host([busy]) canvas { animation: busy 1.4s ease-in-out infinite alternate; }
  @keyframes busy { to { opacity: 0.55; } }
  @media (prefers-reduced-motion: reduce) { :host([busy]) canvas { animation: none; } }
`;

const files = new Map(); // address -> promise of bytes, the latest used last
const heads = new Set();
let renderer = null;
let loopRuns = false;

function sharedRenderer() {
  if (!renderer) {
    renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
    renderer.setClearColor(0x000000, 0);
  }
  return renderer;
}

function bytesOf(address, body) {
  const key = `${address} ${body ?? ""}`;
  const known = files.get(key);
  files.delete(key);
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body } : {};
  const bytes =
    known ?? fetch(address, options).then((answer) => (answer.ok ? answer.arrayBuffer() : refused(answer)));
  files.set(key, bytes);
  bytes.catch(() => files.delete(key));
  while (files.size > MOST_FILES) files.delete(files.keys().next().value);
  return bytes;
}

async function refused(answer) {
  const said = await answer.json().catch(() => null);
  throw new Error(said?.error?.message ?? `the server answered ${answer.status}`);
}

function runLoop() {
  if (loopRuns) return;
  loopRuns = true;
  requestAnimationFrame(frame);
}

function frame(time) {
  let anybodyMoves = false;
  for (const head of heads) anybodyMoves = head.draw(time) || anybodyMoves;
  loopRuns = anybodyMoves;
  if (anybodyMoves) requestAnimationFrame(frame);
}

class FaceGptHead extends HTMLElement {
  static observedAttributes = ["src"];

  connectedCallback() {
    if (!this.canvas) this.build();
    heads.add(this);
    this.watcher.observe(this);
    this.sizes.observe(this);
    if (this.hasAttribute("src") && !this.model) this.load();
    runLoop();
  }

  disconnectedCallback() {
    heads.delete(this);
    this.watcher.disconnect();
    this.sizes.disconnect();
  }

  attributeChangedCallback(name, before, after) {
    // When an element becomes ours its attributes come before it is connected.
    if (this.canvas && before !== after) this.load();
  }

  build() {
    // A root of its own: whoever renews the page around us would take our children away.
    const root = this.attachShadow({ mode: "open" });
    const style = new CSSStyleSheet();
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.status = document.createElement("p");
    this.status.setAttribute("role", "status");
    root.append(this.canvas, this.status);
    this.pen = this.canvas.getContext("2d");
    this.scene = new THREE.Scene();
    this.turn = new THREE.Group();
    this.sky = new THREE.HemisphereLight(0xffffff, 0x9a9088, SKY);
    this.lamp = new THREE.DirectionalLight(0xffffff, LAMP);
    this.scene.add(this.turn, this.sky, this.lamp);
    this.setLight(15, 20);
    this.camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 10);
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.enablePan = false;
    this.controls.enableDamping = false;
    this.controls.addEventListener("start", () => (this.sways = false));
    this.controls.addEventListener("change", () => this.redraw());
    // The page shall scroll under a finger or a wheel that only passes by.
    this.canvas.style.touchAction = "pan-y";
    this.controls.enableZoom = false;
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.sways = !this.hasAttribute("still") && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.phase = performance.now() / 1000;
    this.isSeen = false;
    this.isStale = true;
    this.watcher = new IntersectionObserver(([entry]) => {
      this.isSeen = entry.isIntersecting;
      this.redraw();
    });
    this.sizes = new ResizeObserver(() => this.redraw());
  }

  async load() {
    const address = this.getAttribute("src");
    this.canvas.setAttribute("aria-label", `${this.getAttribute("alt") ?? "A 3D head"}; arrow keys turn it`);
    this.say("Making the head …");
    try {
      const bytes = await bytesOf(address);
      const file = await new GLTFLoader().parseAsync(bytes.slice(0), "");
      if (address !== this.getAttribute("src")) return;
      this.show(file.scene);
      await this.showExactly(address);
      this.say("");
    } catch (error) {
      if (address === this.getAttribute("src")) this.say(`The head cannot be shown: ${error.message}`);
    }
  }

  // Blendshapes cannot say all of an expression; the server knows the rest.
  async showExactly(address) {
    const id = this.dataset.face;
    if (!id) return;
    const surface = await bytesOf("v1/surface", JSON.stringify({ id })).catch(() => null);
    if (surface && address === this.getAttribute("src")) this.setSurface(surface.slice(0));
  }

  say(text) {
    this.status.textContent = text;
    this.toggleAttribute("busy", text.endsWith("…"));
  }

  show(model) {
    this.forget();
    this.model = model;
    model.traverse((part) => {
      if (part.isMesh) this.mesh = part;
    });
    // Not setFromObject: that reserves room for every blendshape at its widest.
    const box = new THREE.Box3().setFromBufferAttribute(this.mesh.geometry.attributes.position);
    const centre = box.getCenter(new THREE.Vector3());
    model.position.sub(centre);
    this.turn.add(model);
    const size = box.getSize(new THREE.Vector3());
    this.reach = (0.5 * size.y) / Math.tan((FIELD_OF_VIEW * Math.PI) / 360) + 0.3 * size.z;
    this.camera.position.set(0, 0, this.reach);
    this.controls.update();
    this.redraw();
    this.dispatchEvent(new CustomEvent("head-shown", { bubbles: true }));
  }

  forget() {
    if (!this.model) return;
    this.turn.remove(this.model);
    this.mesh.geometry.dispose();
    this.mesh.material.map?.dispose();
    this.mesh.material.dispose();
    this.model = this.mesh = null;
  }

  redraw() {
    this.isStale = true;
    runLoop();
  }

  draw(time) {
    const moves = this.sways && this.model && this.isSeen;
    if (!this.isSeen || !(this.isStale || moves)) return Boolean(moves);
    this.isStale = false;
    if (moves) this.turn.rotation.set(0, SWAY * Math.sin(SWAY_SPEED * (time / 1000 - this.phase)), 0);
    this.paint();
    return Boolean(moves);
  }

  paint() {
    const scale = Math.min(devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    this.pen.clearRect(0, 0, width, height);
    if (!this.model) return;
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    const shared = sharedRenderer();
    shared.setSize(width, height, false);
    shared.render(this.scene, this.camera);
    this.pen.drawImage(shared.domElement, 0, 0);
  }

  key(event) {
    const turns = { ArrowLeft: [0, -0.12], ArrowRight: [0, 0.12], ArrowUp: [-0.12, 0], ArrowDown: [0.12, 0] };
    if (event.key === "Home") this.setTurn(0, 0);
    else if (event.key in turns) {
      const [pitch, yaw] = turns[event.key];
      this.sways = false;
      this.turn.rotation.x += pitch;
      this.turn.rotation.y += yaw;
      this.redraw();
    } else return;
    event.preventDefault();
  }

  // Degrees, signs as everywhere in facegpt: yaw to the right of the picture, pitch downwards.
  setTurn(yaw, pitch) {
    this.sways = false;
    this.camera.position.set(0, 0, this.reach ?? 1);
    this.turn.rotation.set((pitch * Math.PI) / 180, (yaw * Math.PI) / 180, 0);
    this.controls.update();
    this.redraw();
  }

  // Degrees: 0 from the viewer, 90 from the right of the picture; above the horizontal.
  setLight(azimuth, elevation) {
    const [a, e] = [(azimuth * Math.PI) / 180, (elevation * Math.PI) / 180];
    this.lamp.position.set(Math.sin(a) * Math.cos(e), Math.sin(e), Math.cos(a) * Math.cos(e));
    this.redraw();
  }

  morphs() {
    if (!this.mesh) return {};
    const weights = this.mesh.morphTargetInfluences ?? [];
    return Object.fromEntries(Object.entries(this.mesh.morphTargetDictionary ?? {}).map(([k, i]) => [k, weights[i]]));
  }

  setMorph(name, weight) {
    const index = this.mesh?.morphTargetDictionary?.[name];
    if (index === undefined) return;
    this.mesh.morphTargetInfluences[index] = weight;
    this.redraw();
  }

  // What /v1/surface answers: positions, normals and factors of colour of the vertices.
  setSurface(buffer) {
    const geometry = this.mesh?.geometry;
    const corners = geometry?.attributes.position.count;
    if (!corners || buffer.byteLength !== corners * 36) return;
    ["position", "normal", "color"].forEach((name, place) => {
      const values = new Float32Array(buffer, place * corners * 12, corners * 3);
      geometry.setAttribute(name, new THREE.BufferAttribute(values, 3));
    });
    if (!this.mesh.material.vertexColors) {
      this.mesh.material.vertexColors = true;
      this.mesh.material.needsUpdate = true;
    }
    this.redraw();
  }

  // What the canvas shows, as a PNG.
  picture() {
    this.paint();
    return new Promise((give) => this.canvas.toBlob(give, "image/png"));
  }
}

customElements.define("facegpt-head", FaceGptHead);
