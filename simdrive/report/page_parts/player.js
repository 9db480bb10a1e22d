// The player of the section "Same case". Texts of runs are shown as text content only, never as markup.
(() => {
  const block = document.getElementById("player-data");
  if (block === null) return;
  const { cases } = JSON.parse(block.textContent);
  const root = document.getElementById("player"), section = document.getElementById("same");
  const slider = root.querySelector("input"), clock = root.querySelector("[data-clock]");
  const button = root.querySelector("[data-play]"), rate = root.querySelector("[data-rate]");
  const DECIMALS = { speed: 1, acceleration: 1, steering: 1, ttc: 1, age: 0 };
  const PERSON = 1, THING = 2;
  let shown = 0, now = 0, playing = false, before = 0;

  const summed = (steps, unit) => { let sum = 0; return steps.map((step) => (sum += step) * unit); };
  const at = (track, row) => track[Math.min(row, track.length - 1)];
  const within = (runs, row) => {
    for (let k = 0; k < runs.length; k += 2) if (row >= runs[k] && row < runs[k + 1]) return true;
    return false;
  };
  const limited = (value, low, high) => Math.min(Math.max(value, low), high);

  // Columns come as differences; see simdrive/report/tracks.py.
  function unpack(side) {
    side.t = summed(side.t, 1);
    side.plan = summed(side.plan, 1);
    for (const actor of side.actors)
      for (const [name, unit] of [["x", 0.01], ["y", 0.01], ["h", 0.001]]) actor[name] = summed(actor[name], unit);
    side.plans = side.plans.map((plan) => plan.map((column) => summed(column, 0.01)));
  }

  function line(xs, ys) {
    const x = summed(xs, 0.01), y = summed(ys, 0.01);
    return Array.from({ length: Math.max(x.length, y.length) }, (_, k) => [at(x, k), at(y, k)]);
  }

  function ready(one) {
    if (one.ready) return;
    one.ready = true;
    one.sides.forEach(unpack);
    one.lanes = one.lanes.map((lane) => ({ left: line(lane[0], lane[1]), right: line(lane[2], lane[3]), kinds: lane.slice(4) }));
    one.node = root.querySelector(`.case[data-of="${cases.indexOf(one)}"]`);
    one.nodes = [...one.node.querySelectorAll(".side")].map((node) => ({
      canvas: node.querySelector("canvas"), asked: node.querySelector("[data-asked]"), said: node.querySelector("[data-said]"),
    }));
    one.outputs = [...one.node.querySelectorAll("[data-reading]")];
    one.stale = [...one.node.querySelectorAll("[data-stale]")];
    one.cursor = one.node.querySelector(".cursor");
    const speaks = one.sides.some((side) => side.requests.text.some(Boolean));
    for (const nodes of one.nodes) nodes.said.hidden = !speaks;
    one.sides.forEach((side, k) => { one.nodes[k].video = film(side.key, one.nodes[k].canvas.nextElementSibling); });
  }

  // The gallery's clip of the same episode, where it holds one, is shown here a second time.
  function film(key, holder) {
    const card = [...document.querySelectorAll("article")].find((node) => node.dataset.key === key);
    const clip = card === undefined ? null : card.querySelector("video");
    if (clip === null) return null;
    const video = document.createElement("video");
    Object.assign(video, { muted: true, playsInline: true, preload: "auto", src: clip.getAttribute("src") });
    video.dataset.testid = "film";
    holder.append(video);
    return video;
  }

  // Row before a time, and how far the time is on the way to the next row.
  function place(side, ms) {
    let low = 0, high = side.rows - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (side.t[middle] <= ms) low = middle; else high = middle - 1;
    }
    const after = Math.min(low + 1, side.rows - 1), span = side.t[after] - side.t[low];
    return { row: low, after, share: span > 0 ? limited((ms - side.t[low]) / span, 0, 1) : 0 };
  }

  function inUse(side, ms, { row, after }) {
    const plan = at(side.plan, row), soon = at(side.plan, after);
    const used = soon >= 0 ? side.requests.used[soon] : null;
    return soon !== plan && used !== null && used !== undefined && used <= ms ? soon : plan;
  }

  function pose(actor, { row, after, share }) {
    if (!within(actor.here, row)) return null;
    const step = within(actor.here, after) ? share : 0;
    const mixed = (track) => at(track, row) + step * (at(track, after) - at(track, row));
    return { x: mixed(actor.x), y: mixed(actor.y), h: mixed(actor.h) };
  }

  function restOfPlan(side, request, ms) {
    const plan = request >= 0 ? side.plans[request] : undefined;
    if (plan === undefined || plan.length === 0) return [];
    const since = (ms - side.requests.seen[request]) / 500, count = Math.max(plan[0].length, plan[1].length);
    const first = Math.floor(since), share = since - first;
    if (since < 0 || first + 1 >= count) return [];
    const start = plan.map((column) => at(column, first) + share * (at(column, first + 1) - at(column, first)));
    const rest = [start];
    for (let k = first + 1; k < count; k++) rest.push([at(plan[0], k), at(plan[1], k)]);
    return rest;
  }

  function draw(one, k, ms, places) {
    const { canvas } = one.nodes[k], side = one.sides[k], ego = pose(side.actors[0], places[k]);
    const scale = devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (width === 0 || ego === null) return;
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const pen = canvas.getContext("2d"), zoom = height / (1.3 * one.ahead), cos = Math.cos(ego.h), sin = Math.sin(ego.h);
    // World to picture: the ego's heading up, the ego in the lower quarter; y grows to the right of x.
    const to = ([x, y]) => {
      const dx = x - ego.x, dy = y - ego.y;
      return [width / 2 + (dy * cos - dx * sin) * zoom, height * 0.77 - (dx * cos + dy * sin) * zoom];
    };
    const trace = (points) => { points.forEach((point, n) => (n ? pen.lineTo(...to(point)) : pen.moveTo(...to(point)))); };
    const box = (where, length, breadth) => {
      const c = Math.cos(where.h), s = Math.sin(where.h);
      const corners = [[1, 1], [1, -1], [-1, -1], [-1, 1]].map(([a, b]) => [
        where.x + (a * length * c - b * breadth * s) / 2, where.y + (a * length * s + b * breadth * c) / 2,
      ]);
      pen.beginPath(); trace(corners); pen.closePath();
    };
    pen.setLineDash([]);
    pen.fillStyle = "#e6eae2";
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = "#c3c8cd";
    for (const lane of one.lanes) { pen.beginPath(); trace(lane.left); trace2(lane.right); pen.closePath(); pen.fill(); }
    pen.strokeStyle = "#fff";
    pen.lineWidth = 1.2 * scale;
    for (const lane of one.lanes)
      [lane.left, lane.right].forEach((border, n) => {
        if (!(lane.kinds[n] > 0)) return;
        pen.setLineDash(lane.kinds[n] === 1 ? [4 * zoom, 8 * zoom] : []);
        pen.beginPath(); trace(border); pen.stroke();
      });
    pen.setLineDash([]);
    pen.lineWidth = 1.5 * scale;
    for (const actor of side.actors.slice(1).sort((a, b) => (b.kind === THING) - (a.kind === THING))) {
      const where = pose(actor, places[k]);
      if (where === null) continue;
      const seen = within(actor.seen, places[k].row), least = actor.kind === PERSON ? 1.2 : 0.4;
      box(where, Math.max(actor.size[0], least), Math.max(actor.size[1], least));
      pen.fillStyle = pen.strokeStyle = actor.hazard ? "#c2267e" : actor.kind === THING ? "#7d7466" : "#4d5863";
      if (seen) pen.fill();
      pen.stroke();
    }
    pen.lineWidth = 2.5 * scale;
    pen.strokeStyle = "#00936a";
    pen.beginPath(); trace(restOfPlan(side, inUse(side, ms, places[k]), ms)); pen.stroke();
    pen.lineWidth = 1.2 * scale;
    one.sides.forEach((other, n) => {
      const ghost = n === k ? null : pose(other.actors[0], places[n]);
      if (ghost === null) return;
      pen.strokeStyle = other.tint;
      box(ghost, ...other.actors[0].size);
      pen.stroke();
    });
    pen.fillStyle = side.tint;
    box(ego, ...side.actors[0].size);
    pen.fill();
    pen.strokeStyle = "#fff";
    pen.stroke();
    if (ms >= side.t[side.rows - 1]) over(pen, side, width, scale);

    function trace2(points) { for (let n = points.length - 1; n >= 0; n--) pen.lineTo(...to(points[n])); }
  }

  function over(pen, side, width, scale) {
    pen.fillStyle = "rgba(27,31,36,.82)";
    pen.fillRect(0, 0, width, 20 * scale);
    pen.fillStyle = "#fff";
    pen.font = `${12 * scale}px system-ui, sans-serif`;
    pen.fillText(side.ending, 6 * scale, 14 * scale, width - 12 * scale);
  }

  const s = (ms) => `${(ms / 1000).toFixed(2)} s`;

  function words(side, ms, where) {
    const { seen, start, finish, status, tokens, text } = side.requests;
    if (seen.length === 0) return ["no request", ""];
    const request = inUse(side, ms, where);
    const used = request < 0 ? "no plan yet"
      : `request ${request} in use: seen ${s(seen[request])}, answered ${finish[request] === null ? "–" : s(finish[request])}, ${tokens[request]} tokens, ${status[request]}`;
    let busy = -1;
    for (let k = 0; k < seen.length; k++)
      if (start[k] !== null && start[k] <= ms && (finish[k] === null || finish[k] > ms)) busy = k;
    const computing = busy < 0 || ms > side.t[side.rows - 1] ? "" : `; ${busy} computing since ${s(start[busy])}`;
    return [used + computing, request < 0 ? "" : text[request] || "(no text)"];
  }

  function update(node, text) { if (node.textContent !== text) node.textContent = text; }

  function show() {
    const one = cases[shown], ms = now, span = Math.max(one.to - one.from, 1);
    const places = one.sides.map((side) => place(side, ms));
    const left = (time) => 100 * limited((time - one.from) / span, 0, 1);
    slider.value = String(ms / 1000);
    update(clock, `${(ms / 1000).toFixed(1)} s`);
    one.cursor.style.left = `${left(ms)}%`;
    one.sides.forEach((side, k) => {
      draw(one, k, ms, places);
      const [asked, said] = words(side, ms, places[k]), nodes = one.nodes[k], last = side.t[side.rows - 1];
      update(nodes.asked, asked);
      update(nodes.said, said);
      const request = inUse(side, ms, places[k]), seen = request < 0 ? null : side.requests.seen[request];
      const from = seen === null ? 0 : left(seen);
      Object.assign(one.stale[k].style, { left: `${from}%`, width: `${seen === null ? 0 : Math.max(left(Math.min(ms, last)) - from, 0)}%` });
      if (nodes.video !== null) seek(nodes.video, (Math.min(ms, last) - side.t[0]) / 1000, ms < last);
    });
    for (const output of one.outputs) {
      const k = Number(output.dataset.side), name = output.dataset.reading, side = one.sides[k];
      const value = ms > side.t[side.rows - 1] ? null : side[name][places[k].row];
      update(output, value === null ? "–" : value.toFixed(DECIMALS[name]));
    }
  }

  // A clip plays along by itself and is corrected only when it drifts: seeking at every frame stutters.
  function seek(video, seconds, runs) {
    const along = playing && runs;
    if (along && video.paused) { video.playbackRate = Number(rate.value); video.play().catch(() => {}); }
    if (!along && !video.paused) video.pause();
    if (Math.abs(video.currentTime - seconds) > (along ? 0.2 : 0.005)) video.currentTime = seconds;
  }

  function go(ms) { const one = cases[shown]; now = limited(ms, one.from, one.to); show(); }

  function play(on) {
    const one = cases[shown];
    if (on && now >= one.to) now = one.from;
    playing = on;
    button.textContent = on ? "pause" : "play";
    button.setAttribute("aria-pressed", String(on));
    if (on) requestAnimationFrame((time) => { before = time; requestAnimationFrame(tick); });
    show();
  }

  function tick(time) {
    if (!playing) return;
    // A page that was hidden for a while goes on where it was.
    now += Math.min(time - before, 250) * Number(rate.value);
    before = time;
    if (now >= cases[shown].to) { now = cases[shown].to; play(false); return; }
    show();
    requestAnimationFrame(tick);
  }

  function choose(index) {
    if (playing) play(false);
    shown = index;
    const one = cases[index];
    ready(one);
    for (const node of section.querySelectorAll("[data-case]"))
      node.setAttribute("aria-pressed", String(Number(node.dataset.case) === index));
    for (const node of root.querySelectorAll(".case")) node.hidden = node !== one.node;
    slider.min = String(one.from / 1000);
    slider.max = String(one.to / 1000);
    go(one.begin);
  }

  section.addEventListener("click", (event) => {
    const node = event.target.closest("[data-case],[data-jump],[data-play]");
    if (node === null) return;
    if (node.dataset.case !== undefined) choose(Number(node.dataset.case));
    else if (node.dataset.jump !== undefined) go(Number(node.dataset.jump));
    else play(!playing);
  });
  slider.addEventListener("input", () => go(1000 * Number(slider.value)));
  rate.addEventListener("change", () => {
    for (const node of cases[shown].nodes) if (node.video !== null) node.video.playbackRate = Number(rate.value);
  });

  root.addEventListener("keydown", (event) => {
    if (event.target === rate || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = event.shiftKey ? 1000 : 100;
    const moves = { ArrowLeft: now - step, ArrowRight: now + step, Home: cases[shown].from, End: cases[shown].to };
    if (event.key in moves) { event.preventDefault(); go(moves[event.key]); }
    else if (event.key === " " && event.target.closest("button") === null) { event.preventDefault(); play(!playing); }
  });

  // Dragging along the curves is the same as moving the slider.
  const drag = (event) => {
    const strips = event.target.closest(".strips");
    if (strips === null || (event.buttons & 1) === 0) return;
    const area = strips.getBoundingClientRect(), one = cases[shown];
    go(one.from + ((event.clientX - area.left) / area.width) * (one.to - one.from));
  };
  root.addEventListener("pointerdown", drag);
  root.addEventListener("pointermove", drag);
  addEventListener("resize", () => show());

  // #case=<case key>&t=6.4 opens a case at a time.
  function follow() {
    const wanted = new URLSearchParams(location.hash.slice(1)), time = Number(wanted.get("t"));
    const index = cases.findIndex((one) => one.key === wanted.get("case"));
    if (index < 0) return false;
    choose(index);
    if (wanted.has("t") && Number.isFinite(time)) go(1000 * time);
    section.scrollIntoView();
    return true;
  }
  addEventListener("hashchange", follow);
  if (!follow()) choose(0);
})();
