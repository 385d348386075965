// The lab's table, as Markdown, of the reports that lab.sh has kept in a directory: `node test/kernel/table.mjs DIRECTORY`.
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

const [directory] = process.argv.slice(2);

console.log("| boot | suite | passed | failed | skipped | for want of |\n|---|---|--:|--:|--:|---|");
for (const report of readdirSync(directory).filter((name) => name.endsWith(".json"))) {
  const { testResults } = JSON.parse(readFileSync(`${directory}/${report}`, "utf8"));
  for (const { name, status, assertionResults: tests } of testResults.sort(byName)) {
    const suite = name.split("/").slice(-2).join("/").replace(".test.ts", "");
    const count = (outcome) => tests.filter((test) => test.status === outcome).length;
    // A suite may fail without a test that does, by what it does before them or behind them.
    const failed = Math.max(count("failed"), status === "failed" ? 1 : 0);
    const skipped = tests.filter(({ status }) => status !== "passed" && status !== "failed");
    const needs = [...new Set(skipped.map(({ meta }) => meta.onlyWhere ?? "?"))].join("; ");
    const numbers = [count("passed"), failed, skipped.length];
    console.log(`| ${[basename(report, ".json"), suite, ...numbers, needs].join(" | ")} |`);
  }
}

function byName(a, b) {
  return a.name < b.name ? -1 : 1;
}
