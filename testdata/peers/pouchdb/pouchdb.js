// Keeps records in PouchDB on LevelDB and prints its figures, for
// agent/rehearse/bench/storage to set beside the store's. Every write is on the disk
// before it counts: LevelDB is told to sync each, which PouchDB does not by itself.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { parseArgs } = require('node:util');
const leveldown = require('leveldown');
const PouchDB = require('pouchdb');

// batch is how many records one request of a load takes.
const batch = 500;

// patience is how many seconds one kind of question is asked.
const patience = 60;

// durable opens a LevelDB that syncs its log with every write, whichever of its
// three ways to write is taken.
function durable(location) {
  const db = leveldown(location);
  const sync = (write, before) => (...args) => {
    args[before] = { ...args[before], sync: true };
    return write.apply(db, args);
  };
  db._put = sync(db._put, 2);
  db._del = sync(db._del, 1);
  db._batch = sync(db._batch, 1);
  const chained = db._chainedBatch;
  db._chainedBatch = () => {
    const b = chained.call(db);
    const write = b._write;
    b._write = (options, done) => write.call(b, { ...options, sync: true }, done);
    return b;
  };
  return db;
}
durable.destroy = leveldown.destroy;
durable.repair = leveldown.repair;

const open = (dir) => new PouchDB(path.join(dir, 'records'), { adapter: 'leveldb', db: durable });

const micro = (from) => Math.round(Number(process.hrtime.bigint() - from) / 1000);

const lines = (file) => readline.createInterface({ input: fs.createReadStream(file), crlfDelay: Infinity });

// document is a record as PouchDB keeps it: "id" under its own name and as _id.
const document = (resource, id) => ({ _id: id, ...resource });

// write puts records one by one, under ids that are new in each run.
async function write({ file, dir, writers, ms }) {
  const resources = [];
  for await (const line of lines(file)) resources.push(JSON.parse(line));
  const db = open(dir);
  const before = (await db.info()).doc_count;
  const waits = [];
  let n = 0;
  const start = process.hrtime.bigint();
  const writer = async () => {
    while (micro(start) < ms * 1000) {
      const i = n++;
      const id = `${String(before).padStart(10, '0')}-${String(i).padStart(10, '0')}`;
      const began = process.hrtime.bigint();
      await db.put(document(resources[i % resources.length], id));
      waits.push(micro(began));
    }
  };
  await Promise.all(Array.from({ length: Number(writers) }, writer));
  const took = micro(start);
  const held = (await db.info()).doc_count - before;
  await db.close();
  return { took, waits, held };
}

// map files a person under every part of a name, folded as a desk types it, and
// under every identifier. It runs within PouchDB and may use nothing from outside.
function map(doc) {
  if (doc.resourceType !== 'Patient') return;
  const fold = (s) => s.toLowerCase().normalize('NFD').replace(/\p{Mn}/gu, '').replace(/đ/g, 'd');
  const parts = new Set();
  for (const n of doc.name || []) for (const p of [n.text, n.family, ...(n.given || [])]) if (p) parts.add(fold(p));
  for (const p of parts) emit(['name', p]);
  for (const i of doc.identifier || []) emit(['identifier', i.value]);
}

// load keeps all people and, of the rest, the first up to a limit, and builds the
// index.
async function load({ file, dir, limit }) {
  const db = open(dir);
  const began = process.hrtime.bigint();
  let some = [];
  let others = 0;
  const flush = async () => {
    for (const r of await db.bulkDocs(some)) if (r.error) throw new Error(r.message);
    some = [];
  };
  for await (const line of lines(file)) {
    const resource = JSON.parse(line);
    if (resource.resourceType !== 'Patient' && ++others > limit) continue;
    some.push(document(resource, resource.id));
    if (some.length === batch) await flush();
  }
  await flush();
  const records = (await db.info()).doc_count;
  await db.put({ _id: '_design/person', views: { by: { map: map.toString() } } });
  await db.query('person/by', { limit: 0 });
  const seconds = micro(began) / 1e6;
  await db.close();
  const bytes = fs.readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .reduce((sum, e) => sum + fs.statSync(path.join(e.parentPath ?? e.path, e.name)).size, 0);
  return { records, seconds, bytes };
}

// memory is RssAnon of proc_pid_status(5), in bytes; 0 where there is none.
function memory() {
  try {
    return 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);
  } catch {
    return 0;
  }
}

// ask looks for people, and reads at most a page of 50 of those found.
async function ask({ questions, dir }) {
  const people = JSON.parse(fs.readFileSync(questions, 'utf8'));
  const held = [memory()];
  const began = process.hrtime.bigint();
  const db = open(dir);
  const records = (await db.info()).doc_count - 1; // the index is a document too
  const seconds = micro(began) / 1e6;
  held.push(memory(), memory()); // what is garbage is not given back when asked
  const named = async (word) => {
    const found = await db.query('person/by', { startkey: ['name', word], endkey: ['name', word + '\u{10ffff}'] });
    return new Set(found.rows.map((r) => r.id));
  };
  const read = async (ids) => {
    await db.allDocs({ keys: ids.slice(0, 50), include_docs: true });
    return ids.length;
  };
  const kinds = {
    'FHIR, two words': async (q) => {
      const [first, second] = await Promise.all(q.words.map(named));
      return read([...first].filter((id) => second.has(id)));
    },
    'FHIR, identifier': async (q) => {
      const found = await db.query('person/by', { key: ['identifier', q.identifier] });
      return read([...new Set(found.rows.map((r) => r.id))]);
    },
  };
  const asked = {};
  for (const [kind, find] of Object.entries(kinds)) {
    const row = { hits: [], waits: [] };
    const first = process.hrtime.bigint();
    for (const q of people) {
      const start = process.hrtime.bigint();
      row.hits.push(await find(q));
      row.waits.push(micro(start));
      if (micro(first) > patience * 1e6) break;
    }
    asked[kind] = row;
  }
  held.push(memory());
  await db.close();
  return { records, seconds, asked, memory: held };
}

const string = { type: 'string' };
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { file: string, dir: string, questions: string, writers: { type: 'string', default: '1' }, ms: { type: 'string', default: '1000' }, limit: { type: 'string', default: 'Infinity' } },
});
const command = { write, load, ask }[positionals[0]];
if (!command) {
  console.error('pouchdb: write, load or ask');
  process.exit(2);
}
fs.mkdirSync(values.dir, { recursive: true });
command(values).then((answer) => console.log(JSON.stringify(answer)), (err) => {
  console.error('pouchdb:', err.message);
  process.exit(1);
});
