// The images side by side under one zoom and one place, so that the same detail is seen in all of them.
// `element` is given by Gradio. A scale of 1 is one image pixel to one CSS pixel; 0 is the whole image in its pane.

const SCALES = [0, 1, 2, 3, 4, 6, 8];
const MIDDLE = { scale: 1, x: 0.5, y: 0.5 }; // x, y: the part of the image that is in the middle of the pane
const view = { ...MIDDLE };

const panes = () => [...element.querySelectorAll(".pane")];
// The pane of the largest image: its edges are those of the view, so that every part of every image can be reached.
const area = (pane) => pane.firstElementChild.naturalWidth * pane.firstElementChild.naturalHeight;
const leader = () => panes().sort((one, other) => area(other) - area(one))[0];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// An axis of a pane: where the image begins, in CSS pixels, and the middle that the pane's edges allow.
function axis(pane, image, middle) {
  if (image <= pane) return { start: Math.round((pane - image) / 2), middle: 0.5 };
  const start = Math.round(clamp(pane / 2 - middle * image, pane - image, 0));
  return { start, middle: clamp(middle, pane / 2 / image, 1 - pane / 2 / image) };
}

function scaleIn(pane) {
  const image = pane.firstElementChild;
  const whole = Math.min(pane.clientWidth / image.naturalWidth, pane.clientHeight / image.naturalHeight);
  return view.scale || Math.min(whole, 1);
}

function place() {
  for (const pane of panes()) {
    const image = pane.firstElementChild;
    if (!image.naturalWidth) continue; // not loaded yet
    const scale = scaleIn(pane);
    const x = axis(pane.clientWidth, image.naturalWidth * scale, view.x);
    const y = axis(pane.clientHeight, image.naturalHeight * scale, view.y);
    image.style.transform = `translate(${x.start}px, ${y.start}px) scale(${scale})`;
    image.style.imageRendering = scale < 1 ? "auto" : "pixelated";
    pane.closest("figure").querySelector("small").textContent = `${image.naturalWidth} × ${image.naturalHeight}`;
  }
  const first = leader();
  const output = element.querySelector(".zoom output");
  if (output) output.textContent = view.scale || !first ? `${view.scale || 1}×` : `fit ${scaleIn(first).toFixed(2)}×`;
}

// Keep the view inside the image, so that moving back answers at once.
function settle() {
  const pane = leader();
  if (!pane) return;
  const image = pane.firstElementChild;
  const scale = scaleIn(pane);
  view.x = axis(pane.clientWidth, image.naturalWidth * scale, view.x).middle;
  view.y = axis(pane.clientHeight, image.naturalHeight * scale, view.y).middle;
}

// `at`: {pane, x, y} in CSS pixels of the pane; what is there stays there.
function zoomTo(scale, at) {
  const pane = at ? at.pane : leader();
  if (!pane) return;
  const image = pane.firstElementChild;
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const old = scaleIn(pane);
  const [x, y] = at ? [at.x, at.y] : [pane.clientWidth / 2, pane.clientHeight / 2];
  const u = x - axis(pane.clientWidth, width * old, view.x).start;
  const v = y - axis(pane.clientHeight, height * old, view.y).start;
  view.scale = scale;
  const ratio = scaleIn(pane) / old;
  view.x = (u * ratio + pane.clientWidth / 2 - x) / (width * old * ratio);
  view.y = (v * ratio + pane.clientHeight / 2 - y) / (height * old * ratio);
  settle();
  place();
}

function zoomBy(step, at) {
  zoomTo(SCALES[clamp(SCALES.indexOf(view.scale) + step, 1, SCALES.length - 1)], at);
}

function move(dx, dy) {
  const pane = leader();
  if (!pane) return;
  const scale = scaleIn(pane);
  view.x -= dx / (pane.firstElementChild.naturalWidth * scale);
  view.y -= dy / (pane.firstElementChild.naturalHeight * scale);
  settle();
  place();
}

const ZOOM = {
  in: () => zoomBy(1),
  out: () => zoomBy(-1),
  one: () => zoomTo(1),
  fit: () => zoomTo(0),
};

function openViewer() {
  Object.assign(view, MIDDLE);
  for (const pane of panes()) {
    pane.firstElementChild.addEventListener("load", place);
    new ResizeObserver(place).observe(pane);
  }
  place();
}

// True where the key was the viewer's.
function viewerKey(event) {
  const step = { ArrowLeft: [64, 0], ArrowRight: [-64, 0], ArrowUp: [0, 64], ArrowDown: [0, -64] }[event.key];
  const zoom = { "+": "in", "=": "in", "-": "out", Home: "one", End: "fit" }[event.key];
  if (event.shiftKey && step) move(...step);
  else if (zoom && !event.ctrlKey && !event.metaKey) ZOOM[zoom]();
  else return false;
  return true;
}

let rolled = 0; // a touchpad sends many small steps
element.addEventListener("wheel", (event) => {
  const pane = event.target.closest(".pane");
  if (!pane || event.ctrlKey) return;
  event.preventDefault();
  rolled += event.deltaMode ? 30 * event.deltaY : event.deltaY; // lines, or pixels
  if (Math.abs(rolled) < 60) return;
  const box = pane.getBoundingClientRect();
  zoomBy(rolled < 0 ? 1 : -1, { pane, x: event.clientX - box.left, y: event.clientY - box.top });
  rolled = 0;
}, { passive: false });

element.addEventListener("pointerdown", (event) => {
  const pane = event.target.closest(".pane");
  if (!pane || event.button) return;
  pane.setPointerCapture(event.pointerId);
  let [x, y] = [event.clientX, event.clientY];
  pane.onpointermove = (moved) => {
    move(moved.clientX - x, moved.clientY - y);
    [x, y] = [moved.clientX, moved.clientY];
  };
  pane.onpointerup = pane.onpointercancel = () => { pane.onpointermove = null; };
});
