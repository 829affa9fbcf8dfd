/// The look of a report: one style sheet, for light and dark mode, for wide and narrow pages and for paper.
enum ReportStyle {
    /// How many runs have their own colour; further runs reuse the colours, dashed.
    static let colourCount = 6

    static let css = """
        :root { color-scheme: light dark;
          --page: #f6f7f9; --card: #ffffff; --ink: #1a1f27; --soft: #5c6675; --line: #e3e6eb; --grid: #e9ecf0; --mark: #fff4d6;
          --c0: #2563c9; --c1: #c4560f; --c2: #0a7f64; --c3: #9b3fa3; --c4: #8a6a00; --c5: #b3283d; }
        @media (prefers-color-scheme: dark) { :root {
          --page: #12151a; --card: #1b2027; --ink: #e8ebf0; --soft: #9aa5b4; --line: #2e3540; --grid: #29303a; --mark: #3d3315;
          --c0: #74a9ff; --c1: #ff9d5c; --c2: #46cfa9; --c3: #d692de; --c4: #e0bd4a; --c5: #ff8494; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--page); color: var(--ink);
          font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
        main { max-width: 1160px; margin: 0 auto; padding: 32px 20px 48px; }
        h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; letter-spacing: -.01em; }
        h2 { font-size: 18px; margin: 36px 0 12px; }
        h3 { font-size: 15px; margin: 0; }
        p { margin: 0 0 12px; } .soft { color: var(--soft); } .small { font-size: 13px; }
        .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
        .charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; }
        .chart { padding: 14px 16px 8px; }
        .legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 14px; padding: 0; list-style: none; }
        .swatch { display: inline-block; width: 18px; height: 0; border-top: 3px solid; vertical-align: middle; margin-right: 8px; }
        .scroll { overflow-x: auto; margin-bottom: 20px; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
        th, td { padding: 8px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
        th { font-weight: 600; color: var(--soft); font-size: 13px; }
        th:first-child, td:first-child, .text { text-align: left; }
        tbody tr:last-child > * { border-bottom: 0; }
        tbody th { color: var(--ink); font-size: 15px; }
        .group > * { border-left: 1px solid var(--line); }
        .edge { border-left: 1px solid var(--line); }
        .differs { background: var(--mark); }
        .top { font-weight: 700; }
        .interval { font-weight: 400; font-size: 13px; color: var(--soft); margin-left: 8px; }
        .charts + p { margin-top: 20px; }
        .costs td, .costs th { padding: 4px 12px; } .costs tbody th { font-weight: 400; }
        .costs .part th { padding-top: 14px; font-weight: 600; }
        .example { padding: 14px 16px 0; margin-bottom: 16px; } .example p { margin: 4px 0; } .example .scroll { margin: 0; }
        .titles { table-layout: fixed; min-width: 640px; } .titles .interval { margin: 0; }
        .titles td, .titles th { padding: 5px 10px; white-space: normal; overflow-wrap: anywhere; }
        .titles tr > :first-child { width: 30px; padding-left: 0; } .right { background: var(--mark); font-weight: 600; }
        code { font: 13px/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
        svg { display: block; width: 100%; height: auto; margin-top: 4px; overflow: visible; }
        svg text { font-size: 12px; fill: var(--soft); } svg .y { text-anchor: end; } svg .x { text-anchor: middle; }
        svg .end { fill: var(--colour); font-weight: 600; }
        .grid { stroke: var(--grid); } .axis { stroke: var(--soft); stroke-opacity: .6; }
        .curve { fill: none; stroke: var(--colour); stroke-width: 1.8; stroke-linejoin: round; }
        .dot { fill: var(--colour); } .best { fill: none; stroke: var(--colour); stroke-width: 1.6; }
        .swatch { border-color: var(--colour); }
        @media (max-width: 760px) {
          main { padding: 20px 12px 32px; } .charts { grid-template-columns: minmax(0, 1fr); } .chart { padding: 12px 8px 6px; }
          .chart h3, .chart p { padding: 0 6px; } svg text { font-size: 14px; } th, td { padding: 7px 9px; } }
        @media print { body { background: none; } .card { break-inside: avoid; } }
        """

    /// The colours of this many runs.
    static func colours(_ runs: Int) -> String {
        (0..<runs).map { index in
            let dash = index / colourCount
            let lines = dash == 0 ? "" : " .curve.c\(index) { stroke-dasharray: \(6 / dash + 1) 3; }"
            let swatch = dash == 0 ? "" : " .swatch.c\(index) { border-top-style: dashed; }"
            return ".c\(index) { --colour: var(--c\(index % colourCount)); }\(lines)\(swatch)"
        }.joined(separator: "\n")
    }
}
