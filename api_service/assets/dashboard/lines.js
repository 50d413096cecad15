// Draws the line chart of a result from the data- attributes of the page; its colours and dashes are those of the legend.
"use strict";

(() => {
  const box = document.getElementById("lines");
  const entries = [...document.querySelectorAll(".legend li")];
  const data = [JSON.parse(box.dataset.times), ...entries.map((entry) => JSON.parse(entry.dataset.values))];
  const day = 86400;

  const time = (seconds, step) => {
    const iso = new Date(seconds * 1000).toISOString().replace(/^([-+]00|[-+])/, "");
    if (step >= 28 * day) return iso.slice(0, 7);
    return step >= day ? iso.slice(0, 10) : iso.slice(5, 16).replace("T", " ");
  };

  const line = (entry) => {
    const drawn = entry.querySelector("line");
    const dash = getComputedStyle(drawn).strokeDasharray.match(/[\d.]+/g);
    return {
      label: entry.querySelector("span").textContent,
      stroke: getComputedStyle(entry).color,
      width: 2,
      dash: dash ? dash.map(Number) : undefined,
    };
  };

  const axis = (label, more) => {
    const style = getComputedStyle(box);
    const rule = { stroke: style.borderTopColor, width: 1 };
    return { label, stroke: style.color, grid: rule, ticks: rule, ...more };
  };

  const tell = (chart) => {
    const at = chart.cursor.idx;
    entries.forEach((entry, index) => {
      const value = at == null ? null : data[index + 1][at];
      entry.querySelector(".at").textContent =
        at == null ? "" : `${time(data[0][at], data[0].length > 1 ? 0 : day)}: ${value == null ? "no value" : value.toLocaleString("en-US")}`;
    });
  };

  const options = () => ({
    width: box.clientWidth,
    height: 280,
    padding: [12, 36, 0, 0],
    legend: { show: false },
    scales: { x: { time: true } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    series: [{}, ...entries.map(line)],
    axes: [
      axis(box.dataset.x, { space: 90, values: (chart, ticks, no, space, step) => ticks.map((tick) => time(tick, step)) }),
      axis(box.dataset.value, { size: (chart, texts) => 20 + 7.5 * Math.max(...(texts || [""]).map((text) => text.length)) }),
    ],
    hooks: { setCursor: [tell] },
  });

  let chart;
  const draw = () => {
    if (chart) chart.destroy();
    chart = new uPlot(options(), data, box);
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => {
    if (chart.width !== box.clientWidth) chart.setSize({ width: box.clientWidth, height: 280 });
  }).observe(box);
})();
