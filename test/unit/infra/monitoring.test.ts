import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { ClusterMetrics } from "@trommel/common/metrics";
import { parse } from "yaml";

/** What Grafana and Prometheus ask for must be what coordinators and workers tell: a metric that nobody has alerts nobody. */

const root = new URL("../../../../", import.meta.url);
const readText = (path: string): Promise<string> => readFile(new URL(path, root), "utf8");

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly labels: Readonly<Record<string, string>>;
    }[];
  }[];
}
interface RuleTests {
  readonly tests: readonly {
    readonly alert_rule_test: readonly {
      readonly alertname: string;
      readonly exp_alerts?: readonly { readonly exp_labels: Readonly<Record<string, string>> }[];
    }[];
  }[];
}
interface Dashboard {
  readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
}

const { groups } = parse(await readText("infra/monitoring/alerts.yaml")) as Rules;
const rules = groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(await readText("infra/monitoring/dashboard.json")) as Dashboard;
const queries = [
  ...rules.map(({ expr }) => expr),
  ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
];

/** Names of series with their labels, as the registry has them; Prometheus itself adds `instance` and `job`. */
function knownSeries(): Map<string, Set<string>> {
  const known = new Map<string, Set<string>>();
  for (const metric of new ClusterMetrics().registry.getMetricsAsArray()) {
    const {
      name,
      labelNames = [],
      buckets,
    } = metric as unknown as {
      readonly name: string;
      readonly labelNames?: readonly string[];
      readonly buckets?: readonly number[];
    };
    const labels = new Set([...labelNames, "instance", "job"]);
    if (buckets === undefined) known.set(name, labels);
    else {
      known.set(`${name}_bucket`, new Set([...labels, "le"]));
      for (const part of ["sum", "count"]) known.set(`${name}_${part}`, labels);
    }
  }
  // Absent on machines without a limit, such as the one that tests.
  known.set("trommel_memory_limit_bytes", new Set(["instance", "job"]));
  return known;
}

const grouping = /\b(?:by|without|on|ignoring) *\(([^)]*)\)/g;
const words = new Set(["and", "or", "unless", "offset", "by", "without", "on", "ignoring", "bool"]);

/** The series that a query names: what is neither a function, a keyword, a label, a text nor a length of time. */
function seriesOf(query: string): string[] {
  const bare = query.replace(grouping, " ").replace(/\{[^}]*\}|\[[^\]]*\]|\boffset \w+/g, " ");
  return [...bare.matchAll(/[a-z_:][a-z0-9_:]*(?! *\()\b/gi)]
    .filter((match) => !/^ *\(/.test(bare.slice(match.index + match[0].length)))
    .map(([name]) => name)
    .filter((name) => !words.has(name));
}

function labelsOf(query: string): string[] {
  const grouped = [...query.matchAll(grouping)].flatMap(([, list = ""]) => list.split(","));
  const matched = [...query.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
    [...list.matchAll(/([a-z_]+) *(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label),
  );
  return [...grouped, ...matched].map((label) => label.trim()).filter((label) => label !== "");
}

describe("what is monitored", () => {
  it("asks only for metrics and labels that coordinators and workers have", () => {
    const known = knownSeries();
    assert.ok(queries.length > 20);
    for (const query of queries) {
      const series = seriesOf(query);
      assert.ok(series.length > 0, query);
      const labels = new Set<string>();
      for (const name of series) {
        assert.ok(known.has(name), `${query} asks for ${name}, which nobody tells`);
        for (const label of known.get(name) ?? []) labels.add(label);
      }
      for (const label of labelsOf(query))
        assert.ok(labels.has(label), `${query}: no metric has the label ${label}`);
    }
  });

  it("has each alert fire and keep quiet in what promtool runs", async () => {
    const { tests } = parse(await readText("infra/monitoring/alerts.test.yaml")) as RuleTests;
    const checks = tests.flatMap((test) => test.alert_rule_test);
    for (const { alert, labels } of rules) {
      const own = checks.filter(({ alertname }) => alertname === alert);
      const fired = own.flatMap(({ exp_alerts: expected = [] }) => expected);
      assert.ok(fired.length > 0, `${alert} never fires`);
      assert.ok(
        own.some(({ exp_alerts: expected = [] }) => expected.length === 0),
        `${alert} is never quiet`,
      );
      for (const { exp_labels: found } of fired) assert.equal(found["severity"], labels["severity"], alert);
    }
    const known = new Set(rules.map(({ alert }) => alert));
    assert.deepEqual(
      checks.filter(({ alertname }) => !known.has(alertname)),
      [],
    );
  });

  it("counts a counter that has just begun as a whole: increase() does not see its first value", () => {
    for (const { alert, expr } of rules) {
      for (const [, name = "", length = ""] of expr.matchAll(/increase\(([a-z_]+)[^[]*\[(\w+)\]/g))
        assert.match(expr, new RegExp(`or \\(${name}[^ ]* unless ${name} offset ${length}\\)`), alert);
    }
  });

  it("has a section of the runbook for each alert, and no other", async () => {
    const runbook = await readText("docs/guide/runbook.md");
    const sections = [...runbook.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    assert.deepEqual(
      sections,
      rules.map(({ alert }) => alert),
    );
  });

  it("describes every metric of its own in the guide", async () => {
    const guide = await readText("docs/guide/monitoring.md");
    const described = [...guide.matchAll(/^\| `(trommel_[a-z_]+)`/gm)].map(([, name = ""]) => name).sort();
    const own = new Set([
      ...new ClusterMetrics().registry.getMetricsAsArray().map(({ name }) => name),
      "trommel_memory_limit_bytes",
    ]);
    assert.deepEqual(described, [...own].filter((name) => name.startsWith("trommel_")).sort());
  });
});
