// Draws what `view` of playground.py says, and sends back what the person does. Texts become text nodes, never HTML.

const FILE = "a file …"; // stands for an adapter by its path
const SMALL = 96, MIDDLE = 320, WHOLE = 0; // pixels of a picture; the file itself

const options = (pairs) => pairs.map(([value, title]) => node("option", { value }, title));

function render({ model, el }) {
  const urls = new Map(), asked = new Set(); // "side name" → address of a picture; what the kernel was asked for
  let set = -1, looking = 0, picked = "";

  const named = (title, part, more = null) => node("label", { class: "play-field" }, node("span", { class: "play-label" }, title, more), part);
  const field = (name, attributes = {}) => node("input", { "aria-label": name, ...attributes });
  const select = (name, pairs, changed) => node("select", { "aria-label": name, onchange: changed }, ...options(pairs));
  const button = (title, does, attributes = {}) => node("button", { type: "button", onclick: does, ...attributes }, title);

  // An adapter: one of the variants, none, or a file by its path, and its scale as a slider and a number.
  function adapter(name, none) {
    const pairs = [["", none], ...model.get("view").variants.map((v) => [v, v]), [FILE, FILE]];
    const path = field(`${name} file`, { placeholder: "path of a .safetensors file" });
    const slide = field(`${name} scale slider`, { type: "range", min: 0, max: 2, step: 0.05 });
    const scale = field(`${name} scale`, { type: "number", step: 0.05 });
    const kind = select(name, pairs, () => { show(); look(); });
    const show = () => {
      path.style.display = kind.value === FILE ? "" : "none";
      slide.disabled = scale.disabled = !kind.value;
    };
    slide.addEventListener("input", () => { scale.value = slide.value; look(); });
    scale.addEventListener("input", () => { slide.value = scale.value; });
    return {
      part: node("div", { class: "play-field" }, node("span", { class: "play-label" }, name), node("div", { class: "play-adapter" }, kind, slide, scale), path),
      value: () => (kind.value === FILE ? path.value : kind.value),
      scale: () => scale.value,
      put: (value, number) => {
        const known = [...kind.options].some((option) => option.value === value && value !== FILE);
        kind.value = known ? value : FILE;
        path.value = known ? "" : value;
        scale.value = slide.value = number;
        show();
      },
    };
  }

  function axis(name) {
    const kind = select(`${name} setting`, [["", "none"], ...model.get("view").axes], () => look());
    const values = node("textarea", { "aria-label": `${name} values`, rows: 1, spellcheck: "false", oninput: () => look() });
    return { part: node("div", { class: "play-axis" }, node("span", { class: "play-label" }, name), kind, values), value: () => [kind.value, values.value], put: ([setting, text]) => { kind.value = setting; values.value = text; } };
  }

  const tokens = { prompt: node("span", { class: "play-count" }), negative: node("span", { class: "play-count" }) };
  const prompt = node("textarea", { "aria-label": "prompt", rows: 3 }), negative = node("textarea", { "aria-label": "negative prompt", rows: 2 });
  const seed = field("seed", { type: "number", min: 0, step: 1 });
  const dice = button("⚄ any", () => { seed.value = Math.floor(Math.random() * 2 ** 32); look(); }, { title: "any seed", "aria-label": "dice" });
  const next = button("next", () => { seed.value = Number(seed.value) + 1; look(); }, { title: "the next seed", "aria-label": "next seed" });
  const solver = select("scheduler", model.get("view").solvers, () => look());
  const steps = field("steps", { type: "number", min: 1, max: 150, step: 1 }), guidance = field("guidance", { type: "number", min: 1, max: 30, step: 0.5 });
  const first = adapter("variant", "baseline"), second = adapter("blended with", "no other");
  const beside = field("baseline beside it", { type: "checkbox" });
  const draw = button("Draw", () => ask("draw"), { class: "play-draw", title: "Ctrl+Enter" });
  const stop = button("Stop", () => model.send({ do: "stop" }), { class: "play-stop" });
  const x = axis("across"), y = axis("down");
  const plan = node("div", { class: "play-plan", role: "status" }), grid = button("Draw the grid", () => ask("grid"));
  const path = field("picture", { placeholder: "path of a picture" });
  const recall = button("Recall", () => model.send({ do: "recall", path: path.value }));
  const corners = node("details", { ontoggle: () => look() }, node("summary", {}, "Grid"), x.part, y.part, plan, grid);

  const told = node("div", { class: "play-told", role: "status" });
  const said = node("span", { class: "play-said", role: "status", "aria-live": "polite" });
  const meter = node("div"), left = node("span", { class: "play-label" });
  const bar = node("div", { class: "play-bar" }, node("div", { class: "play-meter" }, meter), left);
  const notes = node("ul", { class: "play-notes" });
  const shown = node("div", { class: "play-shown" }), words = node("div", { class: "play-words" });
  const strip = node("div", { class: "play-strip", role: "listbox", "aria-label": "saved pictures" });

  const root = node("div", { class: "caplora-play", tabindex: "0", "data-lm-suppress-shortcuts": "true" }, told,
    node("div", { class: "play-main" },
      node("div", { class: "play-form" },
        named("prompt", prompt, tokens.prompt), named("negative prompt", negative, tokens.negative),
        first.part, second.part,
        named("seed", node("div", { class: "play-seed" }, seed, dice, next)),
        node("div", { class: "play-how" }, named("scheduler", solver), named("steps", steps), named("guidance", guidance)),
        node("label", { class: "play-check" }, beside, "baseline beside it, from the same noise"),
        node("div", { class: "play-row" }, draw, stop),
        corners,
        node("details", {}, node("summary", {}, "Recall a picture from its file"), node("div", { class: "play-recall" }, path, recall))),
      node("div", { class: "play-side" }, node("div", { class: "play-head" }, bar, said), notes, shown, words,
        node("div", { class: "play-label" }, "saved pictures, the newest first: a click takes all settings over"), strip)));
  el.append(root);

  function form() {
    return {
      recipe: {
        prompt: prompt.value, negative: negative.value, seed: seed.value, solver: solver.value, steps: steps.value, guidance: guidance.value,
        variant: first.value(), scale: first.scale(), second: second.value(), second_scale: second.scale(),
      },
      beside: beside.checked, x: x.value(), y: y.value(),
    };
  }

  const ask = (what) => { picked = ""; model.send({ do: what, ...form() }); };
  function look() { clearTimeout(looking); looking = setTimeout(() => model.send({ do: "look", grid: corners.open, ...form() }), 150); }

  root.addEventListener("input", () => look());
  root.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      if (!draw.disabled) ask(event.target.closest("details") === corners ? "grid" : "draw");
      event.preventDefault();
      event.stopPropagation();
    } else if (event.target === path && event.key === "Enter") recall.click();
    if (typing) event.stopPropagation(); // or the notebook would take it for a command
  });

  function put({ recipe, beside: both, x: across, y: down }) {
    prompt.value = recipe.prompt;
    negative.value = recipe.negative;
    [seed.value, solver.value, steps.value, guidance.value] = [recipe.seed, recipe.solver, recipe.steps, recipe.guidance];
    first.put(recipe.variant, recipe.scale);
    second.put(recipe.second, recipe.second_scale);
    beside.checked = both;
    x.put(across);
    y.put(down);
  }

  function pictures(names, side) {
    const wanted = names.filter((name) => name && !asked.has(`${side} ${name}`));
    wanted.forEach((name) => asked.add(`${side} ${name}`));
    for (let i = 0; i < wanted.length; i += 8) model.send({ do: "pictures", names: wanted.slice(i, i + 8), side });
  }

  function picture(name, side, attributes) {
    const image = node("img", { alt: name, "data-key": `${side} ${name}`, ...attributes });
    if (urls.has(`${side} ${name}`)) image.src = urls.get(`${side} ${name}`);
    return image;
  }

  function drawShown({ rows, columns, labels, words: below }) {
    const count = rows.length ? rows[0].length : 0, side = rows.flat().length > 12 ? MIDDLE : WHOLE;
    shown.style.gridTemplateColumns = `${labels.length ? "minmax(60px, 110px) " : ""}repeat(${count}, minmax(0, ${count > 2 ? "1fr" : "512px"}))`;
    const head = columns.length ? [...(labels.length ? [""] : []), ...columns].map((label) => node("div", { class: "play-column" }, label)) : [];
    const cells = rows.flatMap((row, i) => [
      ...(labels.length ? [node("div", { class: "play-rowlabel" }, labels[i])] : []),
      ...row.map((name) => (name
        ? picture(name, side, { class: "play-picture", title: "a click takes its settings over", "data-picked": name === picked, onclick: () => { picked = name; model.send({ do: "recall", name, stay: true }); } })
        : node("div", { class: "play-picture play-empty" }))),
    ]);
    shown.replaceChildren(...head, ...cells);
    if (!rows.length) shown.replaceChildren(node("div", { class: "play-label" }, "Nothing is drawn yet: write a prompt and draw it (Ctrl+Enter)."));
    words.textContent = below;
    pictures(rows.flat(), side);
  }

  const watched = new IntersectionObserver((entries) => pictures(entries.filter((e) => e.isIntersecting).map((e) => e.target.dataset.name), SMALL), { root: strip, rootMargin: "200px" });

  function drawStrip(names) {
    if (strip.dataset.names === names.join("\n")) return;
    strip.dataset.names = names.join("\n");
    watched.disconnect();
    strip.replaceChildren(...names.map((name) => picture(name, SMALL, { class: "play-thumb", role: "option", title: name, "data-name": name, onclick: () => { picked = name; model.send({ do: "recall", name }); } })));
    for (const thumb of strip.children) watched.observe(thumb);
  }

  function progress() {
    const { done, words: how } = model.get("progress");
    meter.style.width = `${100 * (done || 0)}%`;
    left.textContent = how || "";
  }

  function drawAll() {
    const view = model.get("view");
    told.style.display = view.told ? "" : "none";
    told.textContent = view.told;
    if (set !== view.set) {
      set = view.set;
      put(view.controls);
      look();
    }
    if (root.dataset.busy === "true" && !view.busy) look(); // what was drawn is not to be drawn again
    root.dataset.busy = view.busy;
    draw.disabled = grid.disabled = view.busy;
    stop.disabled = !view.busy;
    bar.style.display = view.busy ? "" : "none";
    said.textContent = view.busy && !view.failed ? "" : view.said;
    said.classList.toggle("play-wrong", view.failed);
    notes.replaceChildren(...view.notes.map((note) => node("li", {}, note)));
    drawShown(view.shown);
    drawStrip(view.strip);
  }

  function received(message, buffers) {
    if (message.pictures) {
      message.pictures.forEach((name, i) => {
        if (!buffers[i].byteLength) return; // it cannot be read
        const key = `${message.side} ${name}`;
        urls.set(key, URL.createObjectURL(new Blob([buffers[i]], { type: message.side ? "image/jpeg" : "image/png" })));
        for (const image of root.querySelectorAll("img[data-key]")) if (image.dataset.key === key) image.src = urls.get(key);
      });
    } else if (message.tokens) {
      for (const [name, [count, limit]] of Object.entries(message.tokens)) {
        tokens[name].textContent = ` ${count} of ${limit} tokens`;
        tokens[name].classList.toggle("play-wrong", count > limit);
      }
      plan.textContent = message.look;
      plan.classList.toggle("play-wrong", message.wrong);
    }
  }

  root.toggleAttribute("data-dark", document.body.dataset.jpThemeLight === "false");
  model.on("change:view", drawAll);
  model.on("change:progress", progress);
  model.on("msg:custom", received);
  drawAll();
  progress();
  return () => {
    watched.disconnect();
    model.off("change:view", drawAll);
    model.off("change:progress", progress);
    model.off("msg:custom", received);
    for (const url of urls.values()) URL.revokeObjectURL(url);
  };
}

export default { render };
