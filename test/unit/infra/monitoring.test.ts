import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { ClusterMetrics } from "@trommel/common/metrics";
import { parse } from "yaml";
import { queryProblems, type Query } from "../../infra/check-queries.js";

/** What Grafana and Prometheus ask for must be what coordinators and workers tell: a metric that nobody has alerts nobody. */

const root = new URL("../../../../", import.meta.url);
const readText = (path: string): Promise<string> => readFile(new URL(path, root), "utf8");

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
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
  readonly panels: readonly {
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

const { groups } = parse(await readText("infra/monitoring/alerts.yaml")) as Rules;
const rules = groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(await readText("infra/monitoring/dashboard.json")) as Dashboard;
const runbook = await readText("docs/guide/runbook.md");
const asked = [...runbook.matchAll(/^ *```promql\n([\s\S]*?)^ *```$/gm)].map(([, expr = ""]) => expr.trim());
const queries: Query[] = [
  ...asked.map((expr) => ({ expr, texts: [] })),
  ...rules.map(({ expr, annotations }) => ({ expr, texts: Object.values(annotations) })),
  ...panels.flatMap(({ targets }) =>
    targets.map(({ expr, legendFormat }) => ({ expr, texts: [legendFormat] })),
  ),
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

describe("what is monitored", () => {
  it("asks only for metrics and labels that coordinators and workers have", () => {
    const known = knownSeries();
    assert.ok(queries.length > 20);
    for (const query of queries) assert.deepEqual(queryProblems(query, known), [], query.expr);
  });

  for (const [expr, problem, text = ""] of [
    ["sum(rate(trommel_imagse_total[5m]))", /trommel_imagse_total is no metric/],
    ["sum by (stgae) (rate(trommel_images_total[5m]))", /trommel_images_total has no label stgae/],
    // The other metric of the query has the label.
    [
      'sum(trommel_queue_jobs{state="active"}) > 0 and sum(trommel_members{state="active"}) > 0',
      /trommel_members has no label state/,
    ],
    ["sum by (stage) (trommel_images_total or trommel_redis_up)", /trommel_redis_up has no label stage/],
    ["trommel_images_total / on (reason) trommel_failed_images_total", /images_total has no label reason/],
    ["sum by (stage) (max by (queue) (trommel_queue_jobs))", /has no label stage/],
    ["sum by (stage, le) (trommel_job_duration_seconds_count)", /_count has no label le/],
    ['sum(trommel_job_duration_seconds_count{outcome="doen"})', /no outcome is doen/],
    ['sum(trommel_queue_jobs{queue=~"extract|scores"})', /no queue is scores/],
    ['absent(trommel_build_info{kind="planner"})', /no kind is planner/],
    ["sum by (stage) (trommel_images_total)", /has no label reason, which is shown/, "{{reason}}"],
    ["sum(trommel_images_total)", /has no label stage, which is shown/, "of {{ $labels.stage }}"],
  ] as const) {
    it(`finds what is wrong with ${expr} ${text}`, () => {
      assert.match(queryProblems({ expr, texts: [text] }, knownSeries()).join("\n"), problem);
    });
  }

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

  it("has a section of the runbook for each alert, and no other", () => {
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
