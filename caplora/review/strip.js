// Before the studio's script: pictures that the kernel sends, and the strip of small ones, of which only those near to
// sight are in the page. So ten thousand images take no more of the browser than a hundred.

const STEP = 68, TALL = 64; // pixels from one image of the strip to the next, and its height, as studio.css has them
const BEYOND = 4; // images that are drawn out of sight, to either side

// The pictures of a size: `ask` has the kernel send some, `put` takes one, and the oldest go where there are `most`.
function pictureStore(send, large, most) {
  const urls = new Map(), asked = new Set();
  const forget = (name) => { URL.revokeObjectURL(urls.get(name)); urls.delete(name); asked.delete(name); };
  return {
    of: (name) => urls.get(name),
    ask(names) {
      const wanted = names.filter((name) => !asked.has(name));
      wanted.forEach((name) => asked.add(name));
      for (let i = 0; i < wanted.length; i += 25) send({ do: "pictures", names: wanted.slice(i, i + 25), large });
    },
    put(name, bytes) {
      const url = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
      urls.set(name, url);
      if (urls.size > most) forget(urls.keys().next().value);
      return url;
    },
    clear: () => [...urls.keys()].forEach(forget),
  };
}

function show(image, url) {
  if (!url) image.removeAttribute("src");
  else if (image.src !== url) image.src = url;
}

// The strip: `told` is given the marks of a part of it, as the kernel sends them; `chosen` is called with a file name.
function imageStrip(send, chosen) {
  const small = pictureStore(send, false, 2000);
  const marks = new Map(), tiles = new Map(); // place → its mark, and its element where it is drawn
  const rail = node("div", { class: "caplora-rail", style: `height: ${TALL}px` }); // as long as all images need
  const strip = node("div", { class: "caplora-strip", role: "listbox", "aria-label": "images" }, rail);
  const sized = new ResizeObserver(() => { centre(); draw(); });
  let length = 0, current = null, asked = "";

  function tileAt(place, [name, status, doubt]) {
    const own = tiles.get(place) ?? node("div", { class: "caplora-thumb", role: "option", style: `left: ${place * STEP}px`, "aria-posinset": place + 1, onclick: () => chosen(own.name) }, node("img", { alt: "" }));
    tiles.set(place, own);
    if (own.name !== name) show(own.firstChild, small.of(name));
    own.name = own.title = name;
    own.dataset.status = status;
    own.toggleAttribute("data-doubt", doubt > 0 && status === "pending");
    own.toggleAttribute("data-current", name === current);
    own.setAttribute("aria-selected", name === current);
    return own;
  }

  function draw() {
    const from = Math.max(0, Math.floor(strip.scrollLeft / STEP) - BEYOND);
    const to = Math.min(length, Math.ceil((strip.scrollLeft + strip.clientWidth) / STEP) + BEYOND);
    const places = Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i), known = places.filter((place) => marks.has(place));
    if (known.length < places.length && asked !== `${from} ${to}`) {
      asked = `${from} ${to}`;
      send({ do: "marks", from, to });
    }
    for (const place of tiles.keys()) if (place < from || place >= to || !marks.has(place)) tiles.delete(place);
    const drawn = known.map((place) => tileAt(place, marks.get(place)));
    if (drawn.length !== rail.children.length || drawn.some((own, i) => own !== rail.children[i])) rail.replaceChildren(...drawn);
    small.ask(drawn.map((own) => own.name));
  }

  function centre() {
    for (const [place, [name]] of marks) if (name === current) strip.scrollTo({ left: place * STEP + (STEP - strip.clientWidth) / 2 });
  }

  function learn({ first, marks: told }) {
    told.forEach((mark, i) => marks.set(first + i, mark));
  }

  sized.observe(strip);
  strip.addEventListener("scroll", draw);
  return {
    strip,
    show(view, name) { // everything that was known may have changed
      [length, current, asked] = [view.shown, name, ""];
      rail.style.width = `${length * STEP}px`;
      marks.clear();
      learn(view);
      centre();
      draw();
    },
    told(message) { learn(message); draw(); },
    put(name, bytes) {
      const url = small.put(name, bytes);
      for (const own of tiles.values()) if (own.name === name) show(own.firstChild, url);
    },
    close() { sized.disconnect(); small.clear(); },
  };
}

