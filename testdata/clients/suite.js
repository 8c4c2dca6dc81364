// Asks a running FHIR R4 server what clients rely on, with the clients that rely
// on it, and prints a line for each thing asked.
//
//   TRAM_TOKEN=... suite.js --base URL [--at NAME] [--only NUMBER]
//
// It ends with 1 where anything is not as R4 says, and where a behaviour was not
// asked for.

import { parseArgs } from 'node:util';
import { behaviours } from './behaviours.js';
import { Miss } from './expect.js';
import { Wire } from './wire.js';
import answers from './answers.js';
import bundles from './bundles.js';
import operations from './operations.js';
import reads from './reads.js';
import searches from './searches.js';
import shapes from './shapes.js';
import writes from './writes.js';

const clients = { kit: 'fhir-kit-client', smart: 'fhirclient', medplum: '@medplum/core', plain: 'plain HTTP' };

const { values: flags } = parseArgs({ options: { base: { type: 'string' }, at: { type: 'string', default: 'server' }, only: { type: 'string' } } });
if (!flags.base || !process.env.TRAM_TOKEN) {
  console.error('suite: give --base, and a token in TRAM_TOKEN');
  process.exit(2);
}

const wire = new Wire(flags.base.replace(/\/+$/, ''), process.env.TRAM_TOKEN);
const cases = [writes, reads, bundles, searches, shapes, answers, operations].flatMap((make) => make(stage(wire)))
  .filter((c) => !flags.only || c.number === Number(flags.only))
  .sort((a, b) => a.number - b.number);

// stage is what cases play on. call lets a client ask something, and returns the last
// answer to it beside what the client made of it; a client that cannot use a good
// answer fails.
function stage(wire) {
  const run = Date.now().toString(36) + Math.random().toString(36).slice(2, 8);
  return {
    ...wire,
    run,
    system: `urn:tram:clients:${run}`,
    plain: wire.plain.bind(wire),
    async call(ask) {
      const before = wire.heard.length;
      let value, error;
      try {
        value = await ask(wire);
      } catch (err) {
        error = err;
      }
      const heard = wire.heard.slice(before);
      const last = heard.at(-1);
      if (!last) throw error ?? new Miss('the client asked nothing');
      if (error && last.status < 300) throw new Miss(`the client cannot use the answer: ${error.message}`);
      return { ...last, value, error, heard };
    },
  };
}

const failed = [];
console.log(`\n${flags.at}: number, client, calls of the case, what was asked`);
for (const c of cases) {
  const before = wire.heard.length;
  let got = 'ok';
  try {
    await c.play();
  } catch (err) {
    got = `FAILED ${err instanceof Miss ? err.message : err.stack}`;
    failed.push(c);
  }
  const calls = wire.heard.length - before;
  console.log(`${String(c.number).padStart(2)}  ${clients[c.client].padEnd(15)} ${String(calls).padStart(3)}  ${c.title}: ${got}`);
}

const covered = new Set(cases.map((c) => c.number));
const open = Object.keys(behaviours).map(Number).filter((n) => !covered.has(n) && !flags.only);
console.log(`\n${flags.at}: behaviour by behaviour`);
for (const [number, title] of Object.entries(behaviours)) {
  const of = cases.filter((c) => c.number === Number(number));
  const bad = failed.filter((c) => c.number === Number(number)).length;
  if (of.length > 0) console.log(`${number.padStart(2)}  ${bad ? `FAILED ${bad} of ${of.length}` : `ok ${of.length}`}`.padEnd(20), title);
}
const calls = Object.entries(clients).map(([c, name]) => `${name} ${wire.heard.filter((a) => a.client === c).length}`);
console.log(`\n${flags.at}: ${cases.length} cases, ${failed.length} failed; calls: ${calls.join(', ')}`);
console.log(`${flags.at}: ${open.length ? `not asked for: ${open.join(', ')}` : `all ${covered.size} behaviours were asked for`}`);
process.exit(failed.length || open.length ? 1 : 0);
