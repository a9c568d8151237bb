// Shows head.glb, and moves it between its neutral face and the ARKit weights of face.json.

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const SECONDS_THERE_AND_BACK = 4;

const view = document.getElementById("view");
const status = document.getElementById("status");
const blend = document.getElementById("blend");
const play = document.getElementById("play");
const sliders = new Map();

const renderer = new THREE.WebGLRenderer({ canvas: view, antialias: true });
renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
const scene = new THREE.Scene();
scene.background = new THREE.Color("#34373d");
const camera = new THREE.PerspectiveCamera(25, 1, 0.01, 10);
const controls = new OrbitControls(camera, view);
controls.enableDamping = true;

// The texture has no light in it: a key from the upper left, a cool fill, a rim, and the sky.
for (const [colour, strength, x, y, z] of [
  ["#fff2e5", 2.4, -0.8, 0.8, 1.6],
  ["#e8eeff", 1.2, 1.2, 0.1, 1.2],
  ["#ffffff", 0.8, 0.8, 1, -1.5],
]) {
  const light = new THREE.DirectionalLight(colour, strength);
  light.position.set(x, y, z);
  scene.add(light);
}
scene.add(new THREE.HemisphereLight("#f4f6ff", "#8a7a70", 1.3));

function resize() {
  const { clientWidth: width, clientHeight: height } = view;
  renderer.setSize(width, height, false);
  camera.aspect = width / height;
  camera.updateProjectionMatrix();
}

function lookAt(object) {
  const box = new THREE.Box3().setFromObject(object, true);
  const centre = box.getCenter(new THREE.Vector3());
  const height = box.getSize(new THREE.Vector3()).y;
  const distance = (0.62 * height) / Math.tan(THREE.MathUtils.degToRad(camera.fov / 2));
  controls.target.copy(centre);
  camera.position.copy(centre).add(new THREE.Vector3(0.2, 0.05, 1).setLength(distance));
}

// A glTF mesh with several materials becomes several three.js meshes with the same weights.
function setWeight(head, name, value) {
  head.traverse((mesh) => {
    const number = mesh.morphTargetDictionary?.[name];
    if (number !== undefined) mesh.morphTargetInfluences[number] = value;
  });
  sliders.get(name).value = value;
}

function namesOf(head) {
  const names = new Set();
  head.traverse((mesh) => Object.keys(mesh.morphTargetDictionary ?? {}).forEach((n) => names.add(n)));
  return [...names].sort();
}

function addSlider(name, onInput) {
  const label = document.createElement("label");
  const slider = document.createElement("input");
  label.className = "weight";
  label.append(Object.assign(document.createElement("span"), { textContent: name }), slider);
  Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.01 });
  slider.addEventListener("input", () => onInput(slider.valueAsNumber));
  sliders.set(name, slider);
  document.getElementById("weights").append(label);
}

async function fetched(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
}

async function start() {
  const record = await (await fetched("face.json")).json();
  const { scene: head } = await new GLTFLoader().loadAsync("head.glb");
  scene.add(head);
  document.getElementById("title").textContent = record.source?.text ?? "A head from a photo";

  let started = null; // when the play began, or null while it stands still
  const show = (share) => {
    blend.value = share;
    for (const name of sliders.keys()) setWeight(head, name, share * (record.arkit[name] ?? 0));
  };
  const pause = () => {
    started = null;
    play.textContent = "Play";
  };
  const begin = () => {
    started = performance.now();
    play.textContent = "Pause";
  };
  for (const name of namesOf(head)) {
    addSlider(name, (value) => {
      pause();
      setWeight(head, name, value);
    });
  }
  blend.addEventListener("input", () => {
    pause();
    show(blend.valueAsNumber);
  });
  play.addEventListener("click", () => (started === null ? begin() : pause()));

  show(1);
  lookAt(head);
  new ResizeObserver(resize).observe(view);
  resize();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) begin();
  renderer.setAnimationLoop((now) => {
    if (started !== null) {
      const turns = Math.max(0, now - started) / 1000 / SECONDS_THERE_AND_BACK;
      show((1 + Math.cos(2 * Math.PI * turns)) / 2);
    }
    controls.update();
    renderer.render(scene, camera);
  });
  status.textContent = "Drag to turn, wheel to come closer.";
}

start().catch((error) => {
  status.textContent = `The head cannot be shown: ${error.message}`;
});
