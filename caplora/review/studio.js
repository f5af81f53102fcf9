// Draws what `view` of studio.py says, and sends back what the person does. Texts become text nodes, never HTML.

const KEYS = {
  k: "keep", Enter: "keep", e: "edit", r: "reject", n: "next", ArrowRight: "next", p: "previous", ArrowLeft: "previous",
  j: "pending", " ": "pending", u: "undo", U: "redo", "/": "filter",
};

const pieces = (list) => list.map(([kind, words]) => (kind === "same" ? words : node("span", { class: `caplora-${kind}` }, words)));

function keyOf(event) {
  const letter = event.code.startsWith("Key") && event.key > "~" ? event.code[3] : event.key; // a Hangul layout
  return letter === event.key || event.shiftKey ? letter : letter.toLowerCase();
}

function render({ model, el }) {
  const pictures = pictureStore((message) => model.send(message), true, 100);
  let shown = null; // file name of the image on the card
  let seen = ""; // its caption as the kernel last sent it
  let typed = false; // whether the text has changes that were not sent yet
  let writing = 0, counting = 0, finding = 0;

  const send = (message) => model.send({ name: shown, ...message });
  const sendText = (message) => {
    clearTimeout(writing);
    send({ ...message, text: text.value, seen });
    [typed, seen] = [false, text.value]; // until the kernel says what became of it
  };
  const button = (label, key, does) => node("button", { onclick: does, title: key ? `key: ${key}` : "" }, label, key ? node("kbd", {}, key) : null);

  const save = () => { if (typed && text.value.trim()) sendText({ do: "save" }); };
  const then = (message) => { save(); send(message); };
  const deeds = {
    keep: () => sendText({ do: "keep" }),
    reject: () => then({ do: "reject", value: reason.value }),
    next: () => then({ do: "move", value: 1 }),
    previous: () => then({ do: "move", value: -1 }),
    pending: () => then({ do: "pending" }),
    undo: () => then({ do: "undo" }),
    redo: () => then({ do: "redo" }),
    edit: () => { text.focus(); text.setSelectionRange(text.value.length, text.value.length); },
    filter: () => filter.focus(),
  };

  // the parts, from top to bottom
  const told = node("div", { class: "caplora-told", role: "status" });
  const filter = node("input", { class: "caplora-filter", placeholder: 'show only: status:pending tokens:>75 flag:blurry "long hair" -glasses', "aria-label": "filter" });
  const count = node("span"), pace = node("span", { class: "caplora-label" }), meter = node("div");
  const saved = node("span", { class: "caplora-saved", role: "status", "aria-live": "polite" });
  const picture = node("img", { class: "caplora-picture", alt: "" });
  const title = node("div", { class: "caplora-name" });
  const machine = node("div", { class: "caplora-machine" }), changes = node("div", { class: "caplora-machine" });
  const text = node("textarea", { class: "caplora-text", "aria-label": "caption", spellcheck: "true" });
  const tokens = node("div"), findings = node("ul", { class: "caplora-findings" });
  const reason = node("input", { placeholder: "reason, if you reject", "aria-label": "reason" });
  const split = node("select", { "aria-label": "split", onchange: () => send({ do: "split", value: split.value }) },
    node("option", { value: "train" }, "train"), node("option", { value: "held_out" }, "held out"));
  const undo = button("undo", "u", deeds.undo), redo = button("redo", "U", deeds.redo);
  const strip = imageStrip((message) => model.send(message), (name) => then({ do: "go", value: name }));
  const words = node("div", { class: "caplora-words" });
  const find = node("input", { placeholder: "find", "aria-label": "find" }), into = node("input", { placeholder: "replace by", "aria-label": "replace by" });
  const regex = node("input", { type: "checkbox" }), found = node("div", { class: "caplora-found" });
  const replacement = () => ({ find: find.value, into: into.value, regex: regex.checked });
  const replaceAll = node("button", { disabled: "", onclick: () => { then({ do: "replace", ...replacement() }); look(); } }, "replace all");
  const tail = node("input", { placeholder: "words for the end of all", "aria-label": "words to add" });

  const root = node("div", { class: "caplora-studio", tabindex: "0", "data-lm-suppress-shortcuts": "true" },
    told,
    node("div", { class: "caplora-bar" }, filter, count, node("div", { class: "caplora-meter" }, meter), pace, saved),
    node("div", { class: "caplora-main" }, picture,
      node("div", { class: "caplora-card" }, title,
        node("div", {}, node("div", { class: "caplora-label" }, "the machine said"), machine),
        node("div", {}, node("div", { class: "caplora-label" }, "what became of it"), changes),
        text, tokens, findings,
        node("div", { class: "caplora-bar" }, button("keep", "k", deeds.keep), button("edit", "e", deeds.edit), button("reject", "r", deeds.reject), reason, split),
        node("div", { class: "caplora-bar" }, button("previous", "p", deeds.previous), button("next", "n", deeds.next), button("next pending", "j", deeds.pending), undo, redo),
        node("div", { class: "caplora-label" }, "While you write: Esc saves and leaves the text, Ctrl+Enter keeps it and goes on. / goes to the filter."))),
    strip.strip,
    node("div", { class: "caplora-tools" },
      node("div", {}, node("div", { class: "caplora-label" }, "words of the captions shown, and in how many: click to filter"), words),
      node("div", {}, node("div", { class: "caplora-label" }, "in all captions shown"),
        node("div", { class: "caplora-bar" }, find, into, node("label", {}, regex, " regular expression"), replaceAll), found,
        node("div", { class: "caplora-bar" }, tail,
          button("add to all", "", () => then({ do: "add", value: tail.value })),
          button("keep all pending", "", () => then({ do: "all", value: "kept" })),
          button("reject all pending", "", () => then({ do: "all", value: "rejected" }))))));
  el.append(root);

  function look() { clearTimeout(finding); finding = setTimeout(() => send({ do: "find", ...replacement() }), 120); }
  for (const part of [find, into]) part.addEventListener("input", look);
  regex.addEventListener("change", look);

  text.addEventListener("input", () => {
    typed = true;
    saved.textContent = "writing …";
    saved.className = "caplora-saved";
    clearTimeout(counting); clearTimeout(writing);
    counting = setTimeout(() => send({ do: "count", text: text.value }), 60);
    writing = setTimeout(save, 3000);
  });
  text.addEventListener("blur", save);
  filter.addEventListener("change", () => then({ do: "filter", value: filter.value }));

  root.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName) && event.target.type !== "checkbox";
    const command = event.ctrlKey || event.metaKey, deed = KEYS[keyOf(event)];
    if (event.isComposing || event.keyCode === 229) { event.stopPropagation(); return; } // a Korean or Japanese syllable is being composed
    if (event.target === text && event.key === "Enter" && command) { deeds.keep(); root.focus(); }
    else if (typing && event.key === "Escape") root.focus();
    else if (event.target === filter && event.key === "Enter") root.focus();
    else if (typing) { event.stopPropagation(); return; }
    else if (command && keyOf(event).toLowerCase() === "z") (event.shiftKey ? deeds.redo : deeds.undo)();
    else if (command || event.altKey || !deed) return;
    else if (event.target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key)) return;
    else if (!(event.repeat && ["keep", "reject"].includes(deed))) deeds[deed](); // a key held down decides once
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener("click", (event) => { if (event.target.tagName === "BUTTON" || !event.target.closest("input,textarea,select,label")) root.focus({ preventScroll: true }); });

  function tell(part, content, wrong = false) {
    part.replaceChildren(...content);
    part.classList.toggle("caplora-wrong", wrong);
  }

  function drawTokens(number, limit, lost) {
    const over = lost ? [" — cut off: ", node("span", { class: "caplora-gone" }, lost)] : [];
    tell(tokens, [`${number} of ${limit} tokens`, ...over], number > limit);
  }

  function drawCard(card, failed) {
    const another = card.file_name !== shown;
    if (another) save(); // what was typed belongs to the image that is leaving
    if (failed && !another && text.value !== card.text) typed = true; // it could not be saved: keep it, to try again
    if (another || !typed) { text.value = card.text; typed = false; }
    if (another || document.activeElement !== reason) reason.value = card.reason;
    shown = card.file_name;
    seen = card.text;
    split.value = card.split;
    picture.alt = card.file_name;
    show(picture, pictures.of(shown));
    root.dataset.current = shown;
    const chips = [node("span", { class: "caplora-chip", "data-status": card.status }, card.status)];
    for (const flag of card.flags.split(" ").filter(Boolean)) chips.push(node("span", { class: "caplora-chip" }, flag));
    const agreement = card.agreement === null ? null : node("span", { class: "caplora-label" }, `CLIP ${card.agreement.toFixed(2)}`);
    tell(title, [node("b", {}, card.file_name), ...chips, node("span", { class: "caplora-label" }, `${card.at[0]} of ${card.at[1]}`), agreement].filter(Boolean));
    tell(machine, [card.machine_text || "nothing yet"]);
    if (!typed) tell(changes, pieces(card.pieces));
    tell(findings, card.findings.map((message) => node("li", {}, message)));
    if (!typed) drawTokens(card.tokens, card.limit, card.lost);
  }

  function drawWords(list) {
    const key = JSON.stringify(list);
    if (words.dataset.key === key) return;
    words.dataset.key = key;
    words.replaceChildren(...list.map(([word, number]) => node("button", { onclick: () => {
      filter.value = `${filter.value} "${word}"`.trim();
      then({ do: "filter", value: filter.value });
    } }, `${word} ${number}`)));
  }

  function draw() {
    const view = model.get("view");
    told.style.display = view.told ? "" : "none";
    told.textContent = view.told;
    if (view.card) drawCard(view.card, view.failed);
    const at = view.marks.findIndex(([name]) => name === shown);
    pictures.ask([...(shown ? [shown] : []), ...view.marks.slice(Math.max(at - 1, 0), at + 4).map(([name]) => name)]);
    strip.show(view, shown);
    const { reviewed, total, per_minute } = view.progress;
    count.textContent = `${reviewed} of ${total} reviewed`;
    pace.textContent = `${per_minute} a minute`;
    meter.style.width = `${total ? (100 * reviewed) / total : 0}%`;
    if (document.activeElement !== filter && !view.failed) filter.value = view.filter;
    tell(saved, [typed && !view.failed ? "writing …" : view.saved], view.failed);
    [[undo, view.undo], [redo, view.redo]].forEach(([part, what]) => { part.disabled = !what; part.title = what || "nothing"; });
    drawWords(view.words);
  }

  function received(message, buffers) {
    if (message.pictures) {
      message.pictures.forEach((name, i) => {
        if (!buffers[i].byteLength) return; // it cannot be read
        if (!message.large) return strip.put(name, buffers[i]);
        const url = pictures.put(name, buffers[i]);
        if (name === shown) show(picture, url);
      });
    } else if (message.marks) strip.told(message);
    else if (message.count) {
      if (message.name !== shown) return;
      drawTokens(message.count.tokens, model.get("view").card.limit, message.count.lost);
      tell(changes, pieces(message.pieces));
    } else if (message.found) {
      replaceAll.disabled = !message.total;
      const lines = message.found.map(({ name, pieces: list }) => node("div", {}, node("b", {}, `${name} `), ...pieces(list)));
      const head = message.error || (find.value ? `${message.total} captions` : "");
      tell(found, [head, ...lines], Boolean(message.error));
    }
  }

  root.toggleAttribute("data-dark", document.body.dataset.jpThemeLight === "false");
  model.on("change:view", draw);
  model.on("msg:custom", received);
  draw();
  requestAnimationFrame(() => root.focus({ preventScroll: true }));
  return () => {
    save();
    model.off("change:view", draw);
    model.off("msg:custom", received);
    strip.close();
    pictures.clear();
  };
}

export default { render };
