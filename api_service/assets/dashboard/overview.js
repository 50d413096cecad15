// Draws the two charts of the overview from the table of its numbers.
"use strict";

const KEYS = { read: ["rows", "bytes"], ended: ["succeeded", "failed"] };
const SHOWN = { rows: 1, bytes: 1 / 2 ** 20, succeeded: 1, failed: 1 };
const charts = new Map();

const colour = (name) => getComputedStyle(name).color;
const keyed = (key) => document.querySelector(`.series.${key}`);
const short = (value) => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);

function numbers(chart) {
  const rows = [...document.querySelectorAll("#minutes tbody tr")].reverse();
  return [rows.map((row) => -row.dataset.ago), ...KEYS[chart].map((key) => rows.map((row) => row.dataset[key] * SHOWN[key]))];
}

function draw(place) {
  const chart = place.dataset.chart, [left, right] = KEYS[chart], apart = chart === "read";
  const text = colour(place), grid = { stroke: getComputedStyle(place).borderTopColor, width: 1 };
  const axis = (scale, side) => ({ scale, side, stroke: text, grid: { ...grid, show: side === 3 }, ticks: { show: false }, size: 48, values: (_, all) => all.map(short) });
  const line = (key, scale) => ({ label: key, scale, stroke: colour(keyed(key)), width: 2, points: { show: false }, paths: apart ? undefined : uPlot.paths.stepped({ align: -1 }) });
  const range = (_, __, most) => [0, most * 1.1 || 1];
  charts.get(place)?.destroy();
  charts.set(place, new uPlot({
    width: place.clientWidth,
    height: 180,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: [-59, 0] }, [left]: { range }, [right]: { range } },
    axes: [
      { stroke: text, size: 28, grid: { show: false }, ticks: { show: false }, values: (_, all) => all.map((at) => (at ? `${-at} min` : "now")) },
      axis(left, 3),
      ...(apart ? [axis(right, 1)] : []),
    ],
    series: [{}, line(left, left), line(right, apart ? right : left)],
  }, numbers(chart), place));
}

const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);
drawAll();
document.addEventListener("htmx:after:swap", () => charts.forEach((chart, place) => chart.setData(numbers(place.dataset.chart))));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
new ResizeObserver(() => charts.forEach((chart, place) => chart.setSize({ width: place.clientWidth, height: 180 })))
  .observe(document.querySelector("main"));
