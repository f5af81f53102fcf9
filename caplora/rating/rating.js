// Draws what `view` says and sends back what the rater does: of widget.py in a notebook, of the script in page.html where
// no kernel runs. Texts become text nodes, never HTML. It knows no arms: pictures are named by their hashes.

const KEYS = { ArrowLeft: "left", ArrowRight: "right", "=": "equal", ArrowDown: "equal", n: "skipped", u: "undo", Backspace: "undo" };
const SILENT = 4000; // milliseconds after which an answer that nobody has kept is told

function keyOf(event) {
  const letter = event.code.startsWith("Key") && event.key > "~" ? event.code[3].toLowerCase() : event.key; // a Hangul layout
  return letter.length === 1 ? letter.toLowerCase() : letter;
}

function render({ model, el }) {
  const urls = new Map(), asked = new Set();
  let waiting = 0; // a timer while an answer is on its way to the disk
  let since = 0; // when the pictures of this question were both there
  let drawn = ""; // the question on the screen

  const button = (label, key, does, attributes = {}) => node("button", { type: "button", onclick: does, ...attributes }, label, key ? node("kbd", {}, key) : null);
  const keyed = { left: () => answer("left"), right: () => answer("right"), equal: () => answer("equal"), skipped: () => answer("skipped"), undo };
  const clicked = (what) => (event) => event.detail < 2 && answer(what); // a double click is one answer

  // the start
  const name = node("input", { "aria-label": "your name", placeholder: "a first name or a letter", maxlength: 60, autocomplete: "off", required: "" });
  const begin = button("Begin", "", () => {
    name.value = name.value.trim();
    if (name.reportValidity()) model.send({ do: "begin", rater: name.value });
  }, { class: "rate-main" });
  const design = node("p", { class: "rate-small" });
  const asks = node("ol", { class: "rate-asks" });
  const start = node("div", { class: "rate-start" },
    node("h3", {}, "Which picture is better?"),
    node("p", {}, "Two pictures stand beside each other. Nothing tells which of them was drawn by what, and sides and order are by chance. Of each pair you are asked:"), asks,
    node("p", {}, "The first impression counts: about five seconds. Where you see no difference, say so. Stop whenever you like; with the same name you go on where you were."),
    node("p", { class: "rate-keys" }, node("kbd", {}, "←"), " left ", node("kbd", {}, "→"), " right ", node("kbd", {}, "="), " no difference ", node("kbd", {}, "n"), " next, without an answer ", node("kbd", {}, "u"), " takes back"),
    node("div", { class: "rate-row" }, name, begin), design);

  // a comparison
  const meter = node("div"), count = node("span"), who = node("span", { class: "rate-small rate-who" });
  const said = node("span", { class: "rate-said", role: "status", "aria-live": "polite" });
  const words = node("div", { class: "rate-words" });
  const question = node("div", { class: "rate-question", role: "heading", "aria-level": "3", "aria-live": "polite" });
  const image = { left: node("img", { alt: "the left picture", onclick: clicked("left") }), right: node("img", { alt: "the right picture", onclick: clicked("right") }) };
  const portraits = node("div", { class: "rate-portraits" });
  const person = node("div", { class: "rate-person" }, node("span", { class: "rate-small" }, "this person"), portraits);
  const back = button("take back", "u", undo);
  const leave = () => button("another rater", "", () => model.send({ do: "leave" }));
  const download = (attributes) => view().download ? button("Download your answers", "", () => model.send({ do: "download" }), attributes) : null;
  const pair = node("div", { class: "rate-pair" }, image.left, image.right);
  const compare = node("div", { class: "rate-compare" }, words, question, pair,
    node("div", { class: "rate-row rate-buttons" }, button("left", "←", clicked("left")), button("no difference", "=", clicked("equal")), button("right", "→", clicked("right")),
      button("next", "n", clicked("skipped"), { title: "go on without an answer", class: "rate-apart" }), back), person);
  const end = node("div", { class: "rate-end" }), another = leave(), keeps = node("span");
  const head = node("div", { class: "rate-head" }, node("div", { class: "rate-meter" }, meter), count, who, another, keeps, said);
  const root = node("div", { class: "caplora-rate", tabindex: "0", "data-lm-suppress-shortcuts": "true" }, head, start, compare, end);
  el.append(root);

  const view = () => model.get("view");
  const place = () => {
    const { steps, questions, done } = view(), at = Math.floor(done / questions.length);
    return { step: steps[at], question: questions[done % questions.length], at };
  };

  function send(message) {
    clearTimeout(waiting);
    waiting = setTimeout(() => tell("Not saved yet: nothing answers. Restart the kernel and run this cell again; all before this one is kept.", true), SILENT);
    model.send(message);
  }

  function answer(what) {
    const { steps, questions, done } = view();
    if (waiting || done >= steps.length * questions.length || (!since && what !== "skipped")) return; // both are to be seen first
    image[what]?.setAttribute("data-picked", "");
    send({ do: "answer", at: done, answer: what, seconds: since ? (performance.now() - since) / 1000 : 0 });
  }

  function undo() { if (!waiting && view().done) send({ do: "undo" }); }

  function tell(text, wrong) {
    said.textContent = text;
    said.classList.toggle("rate-wrong", Boolean(wrong));
  }

  function need(names) {
    const wanted = names.filter((key) => key && !asked.has(key));
    wanted.forEach((key) => asked.add(key));
    if (wanted.length) model.send({ do: "pictures", names: wanted });
  }

  function seen() { // both pictures are there, decoded, or one cannot be
    const parts = [image.left, image.right].filter((part) => part.src && part.complete);
    const there = parts.length === 2 && parts.every((part) => part.naturalWidth);
    if (parts.some((part) => !part.naturalWidth)) tell("A picture cannot be shown: go on with n.", true);
    if (there && !since) since = performance.now();
    root.dataset.ready = there && !waiting;
  }
  for (const part of [image.left, image.right]) for (const event of ["load", "error"]) part.addEventListener(event, seen);

  function put(part, key) {
    part.removeAttribute("data-picked");
    if (part.dataset.name === key && part.src) return;
    part.dataset.name = key;
    if (urls.has(key)) part.src = urls.get(key); else part.removeAttribute("src");
  }

  function drawPair() {
    const { steps, questions, done } = view(), { step, question: [asking, text], at } = place();
    if (drawn !== `${at} ${asking}`) since = 0;
    drawn = `${at} ${asking}`;
    words.textContent = `“${step.prompt}”`;
    question.textContent = text;
    root.dataset.question = asking;
    put(image.left, step.left);
    put(image.right, step.right);
    need([step.left, step.right, ...steps.slice(at + 1, at + 4).flatMap((next) => [next.left, next.right]), ...view().portraits]);
    person.style.visibility = asking === "person" ? "" : "hidden"; // whoever reads the words is not to think of the face
    person.style.display = questions.length > 1 ? "" : "none";
    count.textContent = `${at + 1} of ${steps.length}`;
    meter.style.width = `${(100 * done) / (steps.length * questions.length)}%`;
    seen();
  }

  function draw() {
    const { rater, steps, questions, done, portraits: shown, where } = view();
    clearTimeout(waiting);
    waiting = 0;
    const over = rater && done >= steps.length * questions.length;
    start.style.display = rater ? "none" : "";
    compare.style.display = rater && !over ? "" : "none";
    end.style.display = over ? "" : "none";
    head.style.display = rater || view().failed ? "" : "none";
    another.style.display = rater && !over ? "" : "none";
    if (!rater) name.value = "";
    keeps.replaceChildren(...[rater && !over ? download() : null].filter(Boolean));
    root.dataset.done = done;
    who.textContent = who.title = rater;
    back.disabled = !done;
    asks.replaceChildren(...questions.map(([, text]) => node("li", {}, text)));
    design.textContent = view().design;
    tell(view().said, view().failed);
    if (portraits.children.length !== shown.length) portraits.replaceChildren(...shown.map((key) => node("img", { alt: "the person", "data-name": key, src: urls.get(key) })));
    if (rater && !over) drawPair();
    else [root.dataset.ready, drawn, since] = [false, "", 0];
    if (over) {
      count.textContent = `${steps.length} of ${steps.length}`;
      meter.style.width = "100%";
      end.replaceChildren(node("h3", {}, `Thank you, ${rater}.`), node("p", {}, `All ${steps.length} comparisons are answered. ${where}`), node("div", { class: "rate-row" }, download({ class: "rate-main" }), button("take the last back", "u", undo), leave()));
    }
  }

  function received(message, buffers) {
    if (!message.pictures) return;
    message.pictures.forEach((key, i) => {
      urls.set(key, message.urls ? message.urls[i] : URL.createObjectURL(new Blob([buffers[i]], { type: "image/jpeg" })));
      for (const part of root.querySelectorAll("img[data-name]")) if (part.dataset.name === key) part.src = urls.get(key);
    });
  }

  root.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return event.stopPropagation();
    if (event.target === name) {
      if (event.key === "Enter") begin.click();
      return event.stopPropagation(); // or the notebook would take it for a command
    }
    const deed = keyed[KEYS[keyOf(event)]], command = event.ctrlKey || event.metaKey;
    if (command && keyOf(event) === "z") undo();
    else if (command || event.altKey || !deed || !view().rater) return;
    else if (!event.repeat) deed(); // a key held down answers once
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener("click", (event) => { if (event.target !== name) root.focus({ preventScroll: true }); });

  root.toggleAttribute("data-dark", document.body.dataset.jpThemeLight === "false");
  model.on("change:view", draw);
  model.on("msg:custom", received);
  draw();
  requestAnimationFrame(() => (view().rater ? root : name).focus({ preventScroll: true }));
  return () => {
    clearTimeout(waiting);
    model.off("change:view", draw);
    model.off("msg:custom", received);
    for (const url of urls.values()) if (url.startsWith("blob:")) URL.revokeObjectURL(url);
  };
}

export default { render };
