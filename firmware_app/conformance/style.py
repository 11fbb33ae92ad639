"""How the HTML statement looks, on a screen and on paper. No font, script or picture from elsewhere."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #cfd6df; --fill: #f3f6f9; --accent: #0b5c8a; --warn: #8a1c0b; }
* { box-sizing: border-box; }
html { font-size: 16px; scroll-behavior: smooth; }
body { margin: 0; color: var(--ink); background: #fff; line-height: 1.5;
  font-family: "Liberation Sans", "Helvetica Neue", Helvetica, Arial, sans-serif; }
.page { display: grid; grid-template-columns: 19rem minmax(0, 1fr); max-width: 86rem; margin: 0 auto; }
nav { position: sticky; top: 0; align-self: start; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 2rem 1.25rem;
  border-right: 1px solid var(--line); font-size: .82rem; }
nav strong { display: block; margin-bottom: .5rem; }
.contents { list-style: none; margin: 0; padding: 0; }
.contents li { padding: .12rem 0; }
.contents .d2 { padding-left: 1rem; } .contents .d3 { padding-left: 2rem; }
.contents a { color: var(--ink); text-decoration: none; }
.contents a:hover { color: var(--accent); text-decoration: underline; }
.contents .n { color: var(--soft); display: inline-block; min-width: 1.4em; }
.contents .d2 .n { min-width: 2.1em; } .contents .d3 .n { min-width: 3em; }
main .contents { columns: 2; column-gap: 3rem; font-size: .9rem; } main .contents li { break-inside: avoid; }
main { padding: 2rem 2.5rem 4rem; min-width: 0; }
.cover { border-bottom: 3px solid var(--accent); margin-bottom: 2.5rem; padding-bottom: 1.5rem; }
.cover h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.5rem; margin: 3rem 0 .75rem; padding-top: .5rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.22rem; margin: 2.2rem 0 .6rem; } h4 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; }
h5 { font-size: .95rem; margin: 1.4rem 0 .4rem; } h6 { font-size: .9rem; margin: 1.2rem 0 .4rem; color: var(--soft); }
h2 .n, h3 .n, h4 .n, h5 .n, h6 .n { color: var(--soft); font-weight: normal; margin-right: .6em; }
p { margin: .5rem 0; max-width: 46rem; } ul { margin: .5rem 0; padding-left: 1.25rem; max-width: 46rem; }
p.strong { color: var(--warn); font-weight: bold; border-left: 4px solid var(--warn); padding: .35rem .8rem; }
.wide, .narrow { overflow-x: auto; margin: .9rem 0 1.4rem; } .narrow { max-width: 46rem; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
caption { caption-side: top; text-align: left; padding: .2rem 0 .4rem; color: var(--soft); font-size: .85rem; }
caption b, figcaption b { color: var(--ink); }
th, td { border: 1px solid var(--line); padding: .3rem .55rem; text-align: left; vertical-align: top;
  overflow-wrap: break-word; }
thead th { background: var(--fill); border-bottom: 2px solid var(--soft); }
tbody tr:nth-child(even) { background: #fafbfc; }
tbody tr.group th { background: var(--fill); }
td.code { font-family: "Liberation Mono", Menlo, Consolas, monospace; font-size: .8rem; white-space: nowrap; }
td.in1 { padding-left: 1.4rem; } td.in2 { padding-left: 2.4rem; } td.in3 { padding-left: 3.4rem; }
figure { margin: .9rem 0 1.6rem; } figcaption { color: var(--soft); font-size: .85rem; padding-bottom: .4rem; }
figure svg { max-width: 100%; height: auto; border: 1px solid var(--line); background: #fff; }
@media (max-width: 62rem) { .page { display: block; } nav { position: static; height: auto; border: 0; }
  main { padding: 1rem 1.25rem; } }
@media print { @page { margin: 18mm 15mm; } html { font-size: 10.5pt; } .page { display: block; max-width: none; }
  nav { display: none; } main { padding: 0; } .cover { break-after: page; border: 0; }
  h2, h3, h4, h5, h6, caption { break-after: avoid; } tr, figure { break-inside: avoid; } thead { display:
  table-header-group; } .wide, .narrow { overflow: visible; max-width: none; }
  table { font-size: 8.5pt; } td.code { white-space: normal;
  font-size: 8pt; } a { color: inherit; } }
"""
