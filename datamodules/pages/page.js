// Asks the server for items, puts its replies in their places, and turns keys into answers.
// `element` and `server` are given by Gradio; the functions of viewer.js stand above.

let number = null; // of the item that is shown
let item = null; // what the server calls it
let busy = false;
let changed = false; // answers that are not saved yet

const part = (name) => element.querySelector(`[data-part="${name}"]`);

async function ask(what, more = {}) {
  if (busy) return;
  busy = true;
  try {
    show(await server.ask({ do: what, number, item, ...more }));
  } catch (error) {
    noAnswer(error);
  } finally {
    busy = false;
  }
}

function noAnswer(error) {
  const message = element.querySelector(".message");
  message?.classList.add("mistake");
  if (message) message.textContent = "no answer from the program, nothing was saved; is it running? Then reload the page";
  console.error(error);
}

function show(reply) {
  if ("number" in reply) ({ number, item } = reply);
  for (const [name, html] of Object.entries(reply.parts)) part(name).innerHTML = html;
  if ("viewer" in reply.parts) openViewer();
  if ("form" in reply.parts) {
    changed = false;
    turnTo(firstOpen(cells()) || cells()[0]);
  }
  if (reply.focus) turnTo(cells().find((cell) => cell.dataset.question === reply.focus));
}

function values() {
  const form = element.querySelector("form.answers");
  return form ? Object.fromEntries(new FormData(form)) : { text: element.querySelector("textarea").value };
}

function save(verdict) {
  if (element.querySelector("form.answers, textarea")) ask("save", { values: { ...values(), verdict } });
}

function open(to) {
  if (!changed || confirm("Leave this item without saving it?")) ask("open", { number: to });
}

// ---- the form: a grid of questions; the current one is where the focus is

const cells = () => [...element.querySelectorAll("[data-question]")];
const answered = (cell) => Boolean(cell.querySelector("select")?.value || cell.querySelector(":checked[type=radio]"));
const firstOpen = (among) => among.find((cell) => !answered(cell));

function turnTo(cell) {
  if (!cell) return;
  (cell.querySelector("select") || cell.querySelector(":checked") || cell.querySelector("input")).focus();
}

function goOn(cell) {
  const all = cells();
  const next = firstOpen(all.slice(all.indexOf(cell) + 1)) || firstOpen(all);
  if (next) turnTo(next);
  else element.querySelector("[data-do=save]").focus();
}

function step(cell, key) {
  const [row, column] = [Number(cell.dataset.row), Number(cell.dataset.column)];
  const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
  const at = (r, c) => element.querySelector(`[data-row="${r}"][data-column="${c}"]`);
  turnTo(at(row + down, column + right) || (down && at(row + down, column - 1)));
}

// The next of a list's choices that begins with the letter.
function choose(select, letter) {
  const options = [...select.options];
  const from = select.selectedIndex + 1;
  const found = [...options.slice(from), ...options.slice(0, from)].find((o) => o.value.toLowerCase().startsWith(letter));
  if (found) {
    select.value = found.value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

function formKey(event, cell) {
  const select = cell.querySelector("select");
  const input = cell.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (event.ctrlKey || event.altKey || event.metaKey) return false;
  if (event.key.startsWith("Arrow")) step(cell, event.key);
  else if (input) {
    input.click();
    goOn(cell);
  } else if (select && /^[a-z]$/i.test(event.key)) choose(select, event.key.toLowerCase());
  else return false;
  return true;
}

// ---- events

document.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.("[data-question]");
  const text = event.target.matches?.("textarea");
  if (event.key === "Enter" && event.ctrlKey) save(event.shiftKey ? "reject" : "accept");
  else if (event.key === "PageUp") open(number - 1);
  else if (event.key === "PageDown") open(number + 1);
  else if (text && event.key === "Escape") event.target.blur();
  else if (text) return;
  else if (event.key === "Enter" && cell) goOn(cell);
  else if (!viewerKey(event) && !(cell && formKey(event, cell))) return;
  event.preventDefault();
});

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.zoom) ZOOM[button.dataset.zoom]();
  else if (button?.dataset.do === "save") save(button.dataset.verdict);
  else if (button?.dataset.do) open(number + (button.dataset.do === "next" ? 1 : -1));
});

element.addEventListener("change", (event) => {
  changed = true;
  const other = event.target.name === "a.texture" && element.querySelector('[name="b.texture"]');
  if (other && other.value === (other.dataset.copied || "")) { // A and B mostly show one scene
    other.value = other.dataset.copied = event.target.value;
  }
});

let typing = null;
element.addEventListener("input", (event) => {
  if (!event.target.matches("textarea")) return;
  changed = true;
  clearTimeout(typing);
  typing = setTimeout(check, 300);
});

// The text is read again by the parser; unlike `ask` it may run beside a save, and then comes too late to matter.
async function check() {
  const asked = number;
  const text = element.querySelector("textarea");
  try {
    const reply = await server.ask({ do: "check", number, item, values: values() });
    if (asked === number && text === element.querySelector("textarea")) show(reply);
  } catch (error) {
    noAnswer(error);
  }
}

addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });

ask("open");
