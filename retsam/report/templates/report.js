"use strict";
// Sorting, filtering and downloads. The page is complete without this script; its tools are made here and only here.
(() => {
  const EMPTY = new Set(["", "–"]);
  const words = new Intl.Collator("en", { numeric: true });

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function button(text, label, act) {
    const made = element("button", { type: "button", textContent: text });
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  }

  function save(content, type, name) {
    const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = element("a", { href: url, download: name.replace(/[^\p{L}\p{N}._-]+/gu, "_") });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  // ---- Tables

  // A number to sort by: the stored one, else the first in a column of numbers; null where there is none.
  function numberOf(cell) {
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    if (!cell.classList.contains("r")) return null;
    const found = cell.textContent.replaceAll(",", "").match(/^[<>]?\s*(-?\d+(?:\.\d+)?)/);
    return found ? Number(found[1]) : null;
  }

  function compare(a, b) {
    const [x, y] = [numberOf(a), numberOf(b)];
    if (x !== null && y !== null) return x - y;
    return words.compare(a.textContent, b.textContent);
  }

  // Text of a first cell without the code below it.
  const labelOf = (cell) => (cell.querySelector("code") ? cell.firstChild.textContent : cell.textContent);
  const codeOf = (cell) => cell.querySelector("code")?.textContent ?? "";

  // The lowest heading of each column, and all its headings from the top.
  function headings(table) {
    const rows = [...table.tHead.rows];
    const grid = rows.map(() => []);
    rows.forEach((row, top) => {
      for (const th of row.cells) {
        let left = 0;
        while (grid[top][left]) left += 1;
        for (let y = top; y < top + th.rowSpan; y += 1) {
          for (let x = left; x < left + th.colSpan; x += 1) grid[y][x] = th;
        }
      }
    });
    const last = grid[grid.length - 1];
    return last.map((th, x) => ({ th, path: [...new Set(grid.map((row) => row[x].textContent))] }));
  }

  class Table {
    constructor(table) {
      this.table = table;
      this.body = table.tBodies[0];
      this.columns = headings(table);
      this.fold = table.closest("details");
      this.rows = [];
      this.sorting = null;
      this.flat = false;
      this.query = [];
      this.read();
      if (!table.classList.contains("fixed") && this.rows.length > 1) this.addSorting();
    }

    // Rows of data; a first cell that spans several belongs to each of them.
    read() {
      let group = null;
      let head = null;
      for (const tr of [...this.body.rows]) {
        if (tr.classList.contains("group")) {
          group = tr;
          continue;
        }
        const own = tr.cells[0].tagName === "TH";
        if (own) head = tr.cells[0];
        const cells = own ? [...tr.cells] : [head, ...tr.cells];
        const family = group ? group.textContent : (this.table.dataset.group ?? "");
        const text = cells.map((cell) => cell.textContent).join(" ").toLowerCase();
        this.rows.push({ tr, own, cells, span: own ? head.rowSpan : 0, copy: null, group, family, text, order: this.rows.length });
      }
    }

    addSorting() {
      this.columns.forEach(({ th }, x) => {
        const press = element("button", { type: "button", className: "sort" });
        press.append(...th.childNodes);
        th.append(press);
        press.addEventListener("click", () => this.sortBy(x));
      });
    }

    // Upwards, downwards, and back to the order of the report.
    sortBy(column) {
      const same = this.sorting?.column === column;
      this.sorting = !same ? { column, sign: 1 } : this.sorting.sign > 0 ? { column, sign: -1 } : null;
      this.columns.forEach(({ th }, x) => {
        if (this.sorting?.column === x) th.setAttribute("aria-sort", this.sorting.sign > 0 ? "ascending" : "descending");
        else th.removeAttribute("aria-sort");
      });
      this.draw();
    }

    filter(query) {
      this.query = query;
      this.draw();
      const found = this.rows.filter((row) => this.shows(row)).length;
      if (this.fold) {
        this.wasOpen ??= this.fold.open;
        this.fold.open = query.length ? found > 0 : this.wasOpen;
        this.fold.classList.toggle("nothing", !found);
        if (!query.length) this.wasOpen = undefined;
      }
      return found;
    }

    shows(row) {
      return this.query.every((word) => row.text.includes(word));
    }

    // A row that is sorted or filtered alone carries its first cell itself.
    flatten(on) {
      if (on === this.flat) return;
      this.flat = on;
      for (const row of this.rows) {
        if (row.own) {
          row.cells[0].rowSpan = on ? 1 : row.span;
        } else if (on) {
          row.copy ??= row.cells[0].cloneNode(true);
          row.copy.rowSpan = 1;
          row.tr.prepend(row.copy);
        } else {
          row.copy.remove();
        }
      }
    }

    ordered() {
      if (!this.sorting) return this.rows;
      const { column, sign } = this.sorting;
      const known = (row) => !EMPTY.has(row.cells[column].textContent.trim());
      const by = (a, b) => known(b) - known(a) || sign * compare(a.cells[column], b.cells[column]) || a.order - b.order;
      return [...this.rows].sort(by);
    }

    draw() {
      const groups = new Set();
      this.flatten(Boolean(this.sorting) || this.query.length > 0);
      const placed = [];
      for (const row of this.ordered()) {
        const seen = this.shows(row);
        row.tr.hidden = !seen;
        if (row.group && !this.sorting && !groups.has(row.group)) placed.push(row.group);
        if (row.group) groups.add(row.group);
        placed.push(row.tr);
      }
      for (const group of groups) {
        group.hidden = Boolean(this.sorting) || !this.rows.some((row) => row.group === group && this.shows(row));
        if (this.sorting) placed.push(group);
      }
      this.body.append(...placed);
    }
  }

  // A program for tables must not take a text for a formula; a number, or one with brackets behind it, is none.
  function field(text) {
    const plain = text.replace(/\s+/g, " ").replaceAll("\u00ad", "").trim();
    const number = /^-?[\d.,]+%?(?: \([^=+@]*\))?$/.test(plain);
    const safe = !number && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  // The rows of a set of tables that are shown, in the order shown.
  function csv(tables) {
    const all = tables.flatMap((table) => table.ordered().filter((row) => table.shows(row)));
    const grouped = all.some((row) => row.family);
    const coded = all.some((row) => codeOf(row.cells[0]));
    const names = tables[0].columns.map(({ path }) => path.join(": "));
    const lines = [[...(grouped ? ["Group"] : []), names[0], ...(coded ? ["Column"] : []), ...names.slice(1)]];
    for (const { family, cells } of all) {
      const [first, ...rest] = cells;
      const texts = rest.map((cell) => cell.textContent);
      lines.push([...(grouped ? [family] : []), labelOf(first), ...(coded ? [codeOf(first)] : []), ...texts]);
    }
    return `\ufeff${lines.map((line) => line.map(field).join(",")).join("\r\n")}\r\n`;
  }

  function toolsOf(set) {
    const tables = [...set.querySelectorAll("table.data")].map((table) => new Table(table));
    const total = tables.reduce((sum, table) => sum + table.rows.length, 0);
    if (!total) return;
    const caption = set.dataset.caption;
    const status = element("span", { className: "status" });
    status.setAttribute("role", "status");
    const bar = element("div", { className: "tools" });
    if (total > 8) {
      const box = element("input", { type: "search", placeholder: "Filter rows", autocomplete: "off" });
      box.setAttribute("aria-label", `Filter rows: ${caption}`);
      box.addEventListener("input", () => {
        const query = box.value.toLowerCase().split(/\s+/).filter(Boolean);
        const found = tables.reduce((sum, table) => sum + table.filter(query), 0);
        status.textContent = query.length ? `${found} of ${total} rows` : "";
      });
      bar.append(box, status);
    }
    const folds = [...set.querySelectorAll("details")];
    if (folds.length > 1) {
      const open = (on) => () => folds.forEach((fold) => { fold.open = on; });
      bar.append(button("Open all", `Open all: ${caption}`, open(true)), button("Fold all", `Fold all: ${caption}`, open(false)));
    }
    const download = () => save(csv(tables), "text/csv;charset=utf-8", `${set.dataset.name}.csv`);
    bar.append(button("CSV", `Download as CSV: ${caption}`, download));
    set.prepend(bar);
  }

  // ---- Figures

  // SVG document of a figure at its printed size.
  function svgText(svg) {
    const copy = svg.cloneNode(true);
    const [, , width, height] = svg.getAttribute("viewBox").split(/\s+/).map(Number);
    copy.setAttribute("width", `${width}pt`);
    copy.setAttribute("height", `${height}pt`);
    copy.style.removeProperty("max-width");
    copy.style.removeProperty("width");
    return { text: new XMLSerializer().serializeToString(copy), width, height };
  }

  const DOTS = 300 / 72; // of a PNG per point: 300 dpi
  const MOST = 16e6; // pixels that every browser can draw

  async function savePng(svg, name) {
    const { text, width, height } = svgText(svg);
    const scale = Math.min(DOTS, Math.sqrt(MOST / (width * height)));
    const canvas = element("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
    const image = new Image(canvas.width, canvas.height);
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    if (!blob) throw new Error("no picture");
    save(blob, "image/png", name);
  }

  function figureTools(drawing) {
    const svg = drawing.querySelector("svg");
    const { name } = drawing.dataset;
    const title = drawing.dataset.title ?? name;
    const status = element("span", { className: "status" });
    status.setAttribute("role", "status");
    const bar = element("div", { className: "tools" }, status);
    bar.append(
      button("SVG", `Download as SVG: ${title}`, () => save(`<?xml version="1.0"?>\n${svgText(svg).text}\n`, "image/svg+xml", `${name}.svg`)),
      button("PNG", `Download as PNG: ${title}`, () => {
        savePng(svg, `${name}.png`).catch(() => { status.textContent = "This browser cannot make the PNG; the SVG can be had."; });
      }),
    );
    drawing.append(bar);
  }

  document.querySelectorAll(".set").forEach(toolsOf);
  document.querySelectorAll(".drawing").forEach(figureTools);
})();
