"use strict";
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const bar = document.getElementById("filter");
  let picked = null;

  const matches = (node) =>
    picked === null ||
    ((picked.a === undefined || node.dataset.a === undefined || node.dataset.a === picked.a) &&
      (picked.s === undefined || node.dataset.s === undefined || node.dataset.s === picked.s));

  function show() {
    for (const node of all("[data-a]")) if (!node.closest(".legend")) node.classList.toggle("off", !matches(node));
    for (const node of all(".legend [data-a]"))
      node.setAttribute("aria-pressed", String(picked !== null && picked.a === node.dataset.a));
    bar.hidden = picked === null;
    if (picked !== null) {
      const row = all("#agents tbody tr").find(matches);
      const words = row ? [row.children[0].textContent] : [];
      if (row && picked.s !== undefined) words.push(row.children[1].textContent);
      bar.firstElementChild.textContent = "Only " + words.join(", ");
    }
  }

  function pick(node) {
    const next = { a: node.dataset.a, s: node.dataset.s };
    picked = picked !== null && picked.a === next.a && picked.s === next.s ? null : next;
    show();
  }

  function press(node, group) {
    for (const other of all(group)) other.setAttribute("aria-pressed", String(other === node));
  }

  function order(by) {
    const body = document.querySelector(".heat tbody");
    all("tr", body).sort((a, b) => b.dataset[by] - a.dataset[by]).forEach((row) => body.append(row));
  }

  async function copy(button) {
    const text = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(text);
    }
  }

  document.addEventListener("click", (event) => {
    const node = event.target.closest("[data-pick],[data-clear],[data-chart],[data-sort],[data-copy]");
    if (node === null) return;
    if (node.dataset.pick !== undefined) pick(node);
    else if (node.dataset.clear !== undefined) { picked = null; show(); }
    else if (node.dataset.chart !== undefined) {
      press(node, "[data-chart]");
      for (const figure of all("[data-figure]")) figure.hidden = figure.dataset.figure !== node.dataset.chart;
    } else if (node.dataset.sort !== undefined) { press(node, "[data-sort]"); order(node.dataset.sort); }
    else copy(node);
  });

  document.addEventListener("keydown", (event) => {
    const mark = event.target.closest(".mark");
    if (mark !== null && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); pick(mark); }
    if (event.key === "Escape" && picked !== null) { picked = null; show(); }
  });

  // #ep=<key>&t=6.4 opens the card of one episode and seeks its clip.
  function follow() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const card = all("article").find((node) => node.dataset.key === wanted.get("ep"));
    if (card === undefined) return;
    card.classList.add("here");
    card.scrollIntoView();
    const video = card.querySelector("video"), time = Number(wanted.get("t"));
    if (video !== null && time > 0) video.currentTime = time;
  }
  addEventListener("hashchange", follow);
  follow();
})();
