// Holds the search values that a station finds HL7's examples by against those that
// fhirpath finds by the definitions of R4's search parameters.
//
//   oracle.js --examples hl7.fhir.r4.examples-4.0.1.tgz -- COMMAND THAT TELLS VALUES
//
// It ends with 1 on a difference that differences.txt does not explain, and on an
// explanation that explains nothing.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4/index.js';
import { files } from './archive.js';
import { ours, target, texts, values } from './convert.js';

// Definitions stand beside the examples; Bundles of the package are copies of those.
const definitions = ['StructureDefinition', 'SearchParameter', 'ValueSet', 'CodeSystem', 'ConceptMap', 'OperationDefinition', 'CompartmentDefinition', 'Bundle'];
const maxExample = 300 << 10;
const expected = 691;

const { values: flags, positionals: command } = parseArgs({ allowPositionals: true, options: { examples: { type: 'string' } } });
if (!flags.examples || command.length === 0) {
  console.error('oracle: give --examples, and behind -- the command that tells values');
  process.exit(2);
}

const examples = [];
const parameters = new Map();
for (const [name, bytes] of files(flags.examples)) {
  if (!/^package\/[^/]+\.json$/.test(name)) continue;
  const v = JSON.parse(bytes);
  if (v.resourceType === 'SearchParameter' && v.version === '4.0.1' && v.base) parameters.set(v.url, v);
  if (v.resourceType && !definitions.includes(v.resourceType) && bytes.length < maxExample) examples.push({ name: path.basename(name), resource: v });
}
if (examples.length !== expected) throw new Error(`${examples.length} examples instead of ${expected}: not hl7.fhir.r4.examples 4.0.1`);

// written is an expression as FHIRPath takes it: R4 writes "as" also where several may
// stand, misspells one type, has a function for extensions that FHIRPath has not, and
// means by resolve() only what a reference is to.
function written(expression) {
  return expression
    .replace(/^(Domain)?Resource\./, '')
    .replace(/\(([^()]+) as ([A-Za-z]+)\)/g, '$1.ofType($2)')
    .replace(/\.as\(([A-Za-z]+)\)/g, '.ofType($1)')
    .replaceAll('ofType(DateTime)', 'ofType(dateTime)')
    .replace(/hasExtension\(('[^']*')\)/g, 'extension($1).exists()')
    .replace(/resolve\(\) is ([A-Za-z]+)/g, "isTo('$1')");
}

let current; // the resource that is read, for references to what it contains
const isTo = (references, kind) => references.map(({ reference, type }) => {
  const inside = reference?.startsWith('#') && current.contained?.find((c) => `#${c.id}` === reference);
  return (inside ? inside.resourceType : (target(reference).kind ?? type)) === kind;
});
const options = { userInvocationTable: { isTo: { fn: isTo, arity: { 1: ['String'] } } } };
const programs = new Map();

// nodes are what an expression finds, with their types. Each part of a union stands by
// itself: together equal nodes would count once.
function nodes(from, expression) {
  const roots = [undefined, 'Resource', 'DomainResource', current.resourceType];
  return expression.split(' | ').filter((part) => roots.includes(/^\(?([A-Z]\w+)/.exec(part)?.[1])).flatMap((part) => {
    if (!programs.has(part)) programs.set(part, fhirpath.compile(written(part), r4, options));
    const found = programs.get(part)(from, { resource: current });
    const types = fhirpath.types(found);
    return found.map((node, i) => ({ node, type: types[i].replace(/^(FHIR|System)\./, '') }));
  });
}

const domain = (kind) => !['Bundle', 'Binary', 'Parameters'].includes(kind);
const served = (p, kind) => p.base.includes(kind) || p.base.includes('Resource') || (p.base.includes('DomainResource') && domain(kind));
const components = (p) => p.component.map((c) => ({ type: parameters.get(c.definition).type, expression: c.expression }));
const found = (from, { type: search, expression }) => nodes(from, expression).flatMap(({ node, type }) => values(search, node, type));

// theirs are the values of a parameter in a resource: of a composite each combination.
function theirs(resource, p) {
  if (p.type !== 'composite') return found(resource, p);
  return nodes(resource, p.expression).flatMap(({ node }) => components(p)
    .reduce((rows, part) => rows.flatMap((row) => found(node, part).map((v) => [...row, v])), [[]])
    .map((row) => row.join(' $ ')));
}

// told are ours in the same form.
function told(param, p) {
  if (p.type !== 'composite') return param.values.flatMap((v) => ours(p.type, v));
  return param.values.map((v) => components(p).map(({ type }, i) => ours(type, v.parts[i])))
    .filter((row) => row.every((part) => part.length))
    .map((row) => row.join(' $ '));
}

// spoken are what :text of a token matches.
const spoken = (resource, p) => (p.type === 'token' ? nodes(resource, p.expression).flatMap(({ node, type }) => texts(node, type)) : []);

// beside removes what both lists have; "*|code" stands for a code of any system.
function beside(a, b) {
  const rest = [...b];
  const any = (v) => v.replace(/\*\|/g, '|');
  const missing = a.filter((v) => {
    const at = rest.findIndex((w) => w === v || (v.includes('*|') && pattern(v).test(w)));
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  return [missing.map(any), rest];
}

const pattern = (v) => new RegExp(`^${v.split('*|').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^|]*\\|')}$`);
const once = (list) => [...new Set(list.filter(Boolean))];

// explained are the differences that are as they should be, "Kind parameter: why".
const list = readFileSync(path.join(import.meta.dirname, 'differences.txt'), 'utf8').split('\n').filter((l) => l.trim() && !l.startsWith('#'));
const explained = new Map(list.map((l) => {
  const at = l.indexOf(':');
  if (at < 0 || !l.slice(at + 1).trim()) throw new Error('differences.txt: a line without a parameter or a reason');
  return [l.slice(0, at).trim(), { why: l.slice(at + 1).trim(), met: 0 }];
}));

const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
child.stdin.end(examples.map(({ resource }) => JSON.stringify(resource)).join('\n') + '\n');
const ended = new Promise((resolve) => child.on('close', resolve));

const count = { examples: 0, asked: 0, found: 0, values: 0, texts: 0, explained: 0 };
const kinds = new Set();
const failures = [];
for await (const line of createInterface({ input: child.stdout })) {
  const { name, resource } = examples[count.examples++];
  const answer = JSON.parse(line);
  current = resource;
  const kind = resource.resourceType;
  for (const p of parameters.values()) {
    if (!served(p, kind)) continue;
    const param = answer[p.code];
    delete answer[p.code];
    if (!p.expression) {
      if (param?.values.length) failures.push(`${name} ${p.code}: has values, and R4 says not whence`);
      continue;
    }
    count.asked++;
    kinds.add(`${kind} ${p.code}`);
    const want = theirs(resource, p);
    const words = once(spoken(resource, p));
    count.values += want.length;
    count.texts += words.length;
    if (want.length) count.found++;
    const [missing, beyond] = beside(want, param ? told(param, p) : []);
    const [unsaid, more] = beside(words, p.type === 'token' && param ? once(param.values.map((v) => v.text)) : []);
    const difference = Object.entries({ missing: [...missing, ...unsaid], beyond: [...beyond, ...more], unknown: param ? [] : [p.code] }).filter(([, list]) => list.length);
    if (!difference.length) continue;
    const reason = explained.get(`${kind} ${p.code}`) ?? explained.get(`* ${p.code}`);
    if (reason) {
      reason.met++;
      count.explained++;
    } else {
      failures.push(`${name} ${kind} ${p.code}: ${difference.map(([what, list]) => `${what} ${JSON.stringify(list)}`).join(', ')}`);
    }
  }
  for (const code of Object.keys(answer)) failures.push(`${name} ${kind} ${code}: R4 has no such parameter`);
}
if ((await ended) !== 0 || count.examples !== examples.length) failures.push(`values of ${count.examples} of ${examples.length} examples were told`);

for (const [what, { why, met }] of explained) {
  if (met) console.log(`explained ${what}, in ${met} examples: ${why}`);
  else failures.push(`${what} is listed as a difference, and there is none`);
}
for (const line of failures) console.log('FAILED', line);
console.log(`${count.examples} examples, ${kinds.size} parameters of their kinds, asked ${count.asked} times, with values ${count.found} times`);
console.log(`${count.values} values and ${count.texts} texts compared: ${count.explained} differences explained by ${explained.size} reasons, ${failures.length} not explained`);
process.exit(failures.length ? 1 : 0);
