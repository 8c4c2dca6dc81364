// A centre (express-pouchdb) and a station (PouchDB), for agent/rehearse/bench/thin
// to set beside Tram's. Both keep their records in LevelDB as PouchDB does it by
// itself, which syncs no write.
//
//   couch.js serve --dir DIR      prints its port as one line of JSON, and serves
//   couch.js station --dir DIR    reads commands, one line of JSON each, answers each with one
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');
const { parseArgs } = require('node:util');
const PouchDB = require('pouchdb');

// batch is how many records one request of a load takes.
const batch = 500;

// pause is how many milliseconds pass from a sync that failed to the next one.
const pause = 1000;

function serve(dir) {
  process.chdir(dir);
  const app = require('express')();
  app.use(require('express-pouchdb')(PouchDB.defaults({ prefix: dir + path.sep }), { mode: 'minimumForPouchDB', inMemoryConfig: true, logPath: path.join(dir, 'log.txt') }));
  const server = http.createServer(app);
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
}

// station keeps one database for each name, and counts the requests that it makes.
function station(dir) {
  const here = new Map();
  const there = new Map();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 6 });
  let requests = 0;
  const fetch = (url, options = {}) => {
    requests++;
    return PouchDB.fetch(url, { ...options, agent });
  };
  const once = (map, key, make) => map.get(key) ?? map.set(key, make()).get(key);
  const local = (name) => once(here, name, () => new PouchDB(path.join(dir, name), { adapter: 'leveldb' }));
  const remote = (url) => once(there, url, () => new PouchDB(url, { fetch }));

  // load keeps the records of a file, the new ones and those that are there already:
  // here or, where a URL is given, there.
  async function load({ name, url, file }) {
    const db = url ? remote(url) : local(name);
    const docs = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => {
      const resource = JSON.parse(line);
      return { _id: `${resource.resourceType}/${resource.id}`, ...resource };
    });
    // a record may come twice, new and then edited
    for (let i = 0; i < docs.length;) {
      const some = [];
      for (const seen = new Set(); i < docs.length && some.length < batch && !seen.has(docs[i]._id); i++) {
        seen.add(docs[i]._id);
        some.push(docs[i]);
      }
      const known = await db.allDocs({ keys: some.map((d) => d._id) });
      known.rows.forEach((row, n) => { if (row.value) some[n]._rev = row.value.rev; });
      for (const r of await db.bulkDocs(some)) if (r.error) throw new Error(r.message);
    }
    return { records: docs.length };
  }

  // sync replicates both ways, again and again until it is done or patience, in
  // milliseconds, is over.
  async function sync({ name, url, patience, oneWay }) {
    const db = local(name);
    const far = remote(url);
    const end = Date.now() + patience;
    const both = oneWay ? ['to'] : ['to', 'from'];
    let done = false;
    let written = 0;
    let tries = 0;
    for (const way of both) {
      for (done = false; !done && Date.now() < end;) {
        tries++;
        const going = db.replicate[way](far);
        const timer = setTimeout(() => going.cancel(), end - Date.now());
        try {
          const result = await going;
          done = result.ok && result.status === 'complete';
          written += result.docs_written;
        } catch {
          await new Promise((wake) => setTimeout(wake, pause));
        }
        clearTimeout(timer);
      }
    }
    return { done, written, tries };
  }

  // open makes both databases, so that a sync need not.
  async function open({ name, url }) {
    await local(name).info();
    return { records: (await remote(url).info()).doc_count };
  }

  // edit changes one element of a record.
  async function edit({ name, id, element, value }) {
    const doc = await local(name).get(id);
    doc[element] = value;
    await local(name).put(doc);
    return { records: 1 };
  }

  const commands = { open, load, sync, edit };
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const command = JSON.parse(line);
    requests = 0;
    let answer;
    try {
      answer = await commands[command.do](command);
    } catch (err) {
      answer = { error: err.message };
    }
    console.log(JSON.stringify({ ...answer, requests }));
  });
  lines.on('close', () => process.exit(0));
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { dir: { type: 'string' } } });
const role = { serve, station }[positionals[0]];
if (!role || !values.dir) {
  console.error('couch: serve or station, and --dir');
  process.exit(2);
}
fs.mkdirSync(values.dir, { recursive: true });
role(path.resolve(values.dir));
