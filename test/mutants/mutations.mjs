// The small mistakes that a line of our code could have: each a place in a source file and the text that takes it.
import { parseAst } from "vitest/node";

const OTHER_OPERATOR = {
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "===": "!==",
  "!==": "===",
  "+": "-",
  "-": "+",
  "*": "+",
  "%": "*",
  "&": "|",
  "|": "&",
  "<<": ">>",
  ">>": "<<",
  "&&": "||",
  "||": "&&",
  "??": "&&",
  "+=": "-=",
  "-=": "+=",
  "++": "--",
  "--": "++",
};

/** Types are gone before anything runs; of these, what they are about is not. */
const HAVE_A_VALUE = new Set(["TSAsExpression", "TSNonNullExpression", "TSSatisfiesExpression"]);

/** @returns {{start: number, end: number, text: string}[]} Every mutation of the source, in its order. */
export function mutationsOf(source) {
  const found = [];
  const replace = ({ start, end }, text) => found.push({ start, end, text });
  visit(parseAst(source, { lang: "ts" }));
  return found.filter(({ start, end, text }) => source.slice(start, end) !== text);

  function visit(node) {
    if (node.type.startsWith("TS")) {
      if (HAVE_A_VALUE.has(node.type)) visit(node.expression);
      return;
    }
    if (node.type === "IfStatement" && !node.alternate && isPause(node.consequent)) return;
    mutate(node);
    for (const [key, child] of Object.entries(node)) {
      if (key === "typeAnnotation" || key === "returnType") continue;
      for (const each of [child].flat()) if (typeof each?.type === "string") visit(each);
    }
  }

  function mutate(node) {
    switch (node.type) {
      case "BinaryExpression":
      case "LogicalExpression":
      case "AssignmentExpression":
        if (!(node.operator in OTHER_OPERATOR) || (node.operator === "+" && isText(node))) return;
        return replaceOperator(node.left.end, node.right.start, node.operator);
      case "UpdateExpression":
        return node.prefix
          ? replaceOperator(node.start, node.argument.start, node.operator)
          : replaceOperator(node.argument.end, node.end, node.operator);
      case "UnaryExpression":
        if (node.operator === "!") replace(node, source.slice(node.argument.start, node.argument.end));
        return;
      case "Literal":
        if (typeof node.value === "boolean") replace(node, String(!node.value));
        else if (typeof node.value === "number") replace(node, String(node.value + 1));
        else if (typeof node.value === "bigint") replace(node, `${node.value + 1n}n`);
        return;
      case "IfStatement":
      case "ConditionalExpression":
        return replace(node.test, `!(${source.slice(node.test.start, node.test.end)})`);
      case "ExpressionStatement":
        if (node.directive || isPause(node) || node.expression.callee?.type === "Super") return;
        return replace(node, ";");
      case "ThrowStatement":
      case "ContinueStatement":
        return replace(node, ";");
    }
  }

  function replaceOperator(from, to, operator) {
    const start = from + source.slice(from, to).indexOf(operator);
    replace({ start, end: start + operator.length }, OTHER_OPERATOR[operator]);
  }
}

const isText = ({ left, right }) =>
  [left, right].some(({ type, value }) => type === "TemplateLiteral" || typeof value === "string");

/** A `yield` lets others go on, as `await slice.pass()` does: how often, changes no result. */
function isPause({ expression }) {
  if (expression?.type === "YieldExpression") return !expression.argument;
  return expression?.type === "AwaitExpression" && expression.argument.callee?.property?.name === "pass";
}
