/** The report's style sheet: system fonts, light and dark by the reader's setting, plain on paper. */
export const reportStyle = `
:root { color-scheme: light dark; --ink: #1c2329; --soft: #5c6873; --paper: #ffffff; --line: #dde2e7; --wash: #f5f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #9aa5af; --paper: #14181c; --line: #2d353c; --wash: #1c2227; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 20px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 12px; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; margin: 0; }
.figures div { background: var(--wash); border: 1px solid var(--line); border-radius: 8px; padding: 10px 18px; }
.figures dt { color: var(--soft); font-size: 13px; }
.figures dd { margin: 0; font-size: 24px; font-weight: 600; font-variant-numeric: tabular-nums; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 16px; }
.gallery figure { margin: 0; background: var(--wash); border: 1px solid var(--line); border-radius: 8px; padding: 8px; }
.gallery img, .gallery .gone { display: block; width: 100%; aspect-ratio: 1; border-radius: 4px; }
.gallery .gone { display: grid; place-content: center; color: var(--soft); border: 1px dashed var(--line); }
.gallery figcaption { font-size: 13px; margin-top: 6px; overflow-wrap: anywhere; }
.gallery .key { color: var(--soft); }
.scroll { overflow-x: auto; }
.chart svg { display: block; width: 100%; height: auto; }
.note { color: var(--soft); font-size: 13px; margin: 8px 0 0; }
table { border-collapse: collapse; font-size: 14px; }
th, td { text-align: left; padding: 5px 18px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --wash: #fff; }
  body { font-size: 11px; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  .chart, tr, .figures, .gallery figure { break-inside: avoid; }
  h2 { break-after: avoid; }
}
`;
