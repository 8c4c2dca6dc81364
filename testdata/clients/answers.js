// How answers are dressed: media types, refusals, what the server says of itself,
// and HTTP's own rules.

import { gunzipSync, gzipSync } from 'node:zlib';
import { ask, birth, kit, medplum, person, plain, smart } from './cases.js';
import { bundle, json, outcome, same, status, that, version } from './expect.js';

const fhirJSON = 'application/fhir+json';

export default (s) => {
  const { base, call, run, system } = s;
  const born = birth(s);
  const send = (method, path, headers, body) => call((w) => w.plain(method, path, { headers, body }));
  const post = (headers, body = JSON.stringify(person(s))) => send('POST', '/Patient', headers, body);
  const type = (a) => (a.headers.get('content-type') ?? '').replace(/\s/g, '').toLowerCase();

  return [
    kit(27, 'Accept', async () => {
      const { id } = await born();
      const read = (accept) => call((w) => w.kit.read({ resourceType: 'Patient', id, options: { headers: { Accept: accept } } }));
      for (const accept of [fhirJSON, 'application/json', `${fhirJSON}; fhirVersion=4.0`, '*/*', `text/html, ${fhirJSON};q=0.9`, `${fhirJSON};charset=utf-8`]) {
        const a = await read(accept);
        status(a, 200);
        json(a);
      }
      for (const accept of ['application/fhir+xml', 'text/html', `${fhirJSON};q=0`]) outcome(await read(accept), 406);
    }),
    smart(27, '_format', async () => {
      const { id } = await born();
      const read = (format, accept) => call((w) => w.smart.request(ask('GET', `Patient/${id}?_format=${format}`, undefined, { Accept: accept ?? 'application/json' })));
      for (const format of ['json', 'application/json', 'application%2Ffhir%2Bjson', 'application/fhir+json']) {
        const a = await read(format, 'application/fhir+xml');
        status(a, 200);
        json(a);
      }
      outcome(await read('xml'), 406);
    }),
    plain(27, 'Content-Type of what is sent', async () => {
      for (const one of [fhirJSON, 'application/json', `${fhirJSON}; charset=utf-8`, `${fhirJSON};charset=UTF-8;fhirVersion=4.0`]) status(await post({ 'Content-Type': one }), 201);
      for (const one of ['application/fhir+xml', 'text/plain', 'image/png']) outcome(await post({ 'Content-Type': one }), 415);
      outcome(await send('POST', '/Patient', {}, JSON.stringify(person(s))), 415, 400);
    }),
    medplum(27, 'what is returned names its type and charset', async () => {
      const a = await call((w) => w.medplum.createResource(person(s, 'Tiếng Việt Ở')));
      that([fhirJSON, `${fhirJSON};charset=utf-8`].includes(type(a)), `Content-Type is ${type(a)}`);
      same(a.value.name[0].family, 'Tiếng Việt Ở', 'the name');
    }),

    kit(28, 'unknown kinds, ids, operations and versions', async () => {
      const get = (path) => call((w) => w.kit.request(path));
      outcome(await get('Nothing'), 404, 400);
      outcome(await get('Nothing/1'), 404, 400);
      outcome(await get(`Patient/never-${run}`), 404);
      outcome(await get('Patient/under_score'), 400, 404);
      outcome(await get('Patient/$nothing'), 404, 400);
      outcome(await get('$nothing'), 404, 400);
      outcome(await get('a/b/c/d/e/f'), 404, 400);
      outcome(await get('Patient/..%2f..%2flocal'), 400, 404);
    }),
    smart(28, 'what is no JSON, no resource, or another kind', async () => {
      const create = (body) => call((w) => w.smart.request({ url: 'Patient', method: 'POST', headers: { 'content-type': 'application/json' }, body }));
      outcome(await create('{"resourceType":"Patient",'), 400);
      outcome(await create(' '), 400);
      outcome(await create('[]'), 400, 422);
      outcome(await create('{"name":[]}'), 400, 422);
      outcome(await create('{"resourceType":"Observation","status":"final","code":{"text":"x"}}'), 400, 422);
      outcome(await create('[['.repeat(10000)), 400);
    }),
    medplum(28, 'what is no R4: the client reads why', async () => {
      const a = await call((w) => w.medplum.createResource({ ...person(s), gender: 'neither' }));
      outcome(a, 400, 422);
      same(a.error?.outcome?.issue?.[0]?.severity, 'error', 'the outcome that the client hands on');
      that(JSON.stringify(a.body).includes('gender'), 'the outcome does not say where');
      outcome(await call((w) => w.medplum.createResource({ ...person(s), nickname: 'x' })), 400, 422);
    }),
    plain(28, 'methods that are not there, and nobody signed in', async () => {
      outcome(await send('PUT', '/_history', { 'Content-Type': fhirJSON }, '{}'), 405, 404, 400);
      outcome(await send('DELETE', '/metadata'), 405, 404, 400);
      const a = await call((w) => w.plain('GET', '/Patient', { signedIn: false }));
      outcome(a, 401);
      const b = await call((w) => w.plain('GET', '/Patient', { signedIn: false, headers: { Authorization: 'Bearer nobody' } }));
      outcome(b, 401, 403);
    }),

    ...metadata(s),

    plain(31, 'HEAD', async () => {
      const { id } = await born();
      const [head, get] = [await send('HEAD', `/Patient/${id}`), await send('GET', `/Patient/${id}`)];
      status(head, 200);
      same(head.text, '', 'body');
      same(version(head), version(get), 'ETag');
      const length = head.headers.get('content-length');
      that([null, String(get.bytes.length)].includes(length), `Content-Length is ${length}`);
      status(await send('HEAD', '/Patient?_count=1'), 200);
      status(await send('HEAD', `/Patient/never-${run}`), 404);
    }),
    kit(31, 'a trailing slash', async () => {
      const { id } = await born();
      for (const path of ['metadata/', `Patient/${id}/`, 'Patient/?_count=1', `Patient/${id}/_history/`]) status(await call((w) => w.kit.request(path)), 200);
    }),
    plain(31, 'CORS: a preflight without a token, and what a page may read', async () => {
      const { origin } = new URL(base);
      const wanted = ['authorization', 'content-type', 'if-match', 'prefer'];
      const headers = { Origin: origin, 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': wanted.join(',') };
      const flight = await call((w) => w.plain('OPTIONS', '/Patient', { signedIn: false, headers }));
      status(flight, 200, 204);
      const list = (name, a) => (a.headers.get(name) ?? '').toLowerCase().split(/\s*,\s*/);
      that(['*', origin].includes(flight.headers.get('access-control-allow-origin')), 'Access-Control-Allow-Origin does not name the page');
      for (const one of wanted) that(list('access-control-allow-headers', flight).includes(one), `Access-Control-Allow-Headers lacks ${one}`);
      for (const one of ['put', 'patch', 'delete']) that(list('access-control-allow-methods', flight).includes(one), `Access-Control-Allow-Methods lacks ${one}`);
      const { id } = await born();
      const a = await send('GET', `/Patient/${id}`, { Origin: origin });
      status(a, 200);
      that(['*', origin].includes(a.headers.get('access-control-allow-origin')), 'an answer lacks Access-Control-Allow-Origin');
      for (const one of ['etag', 'location']) that(list('access-control-expose-headers', a).includes(one), `Access-Control-Expose-Headers lacks ${one}`);
    }),
    plain(31, 'CORS: a page from elsewhere reads nothing', async () => {
      const { id } = await born();
      status(await send('GET', `/Patient/${id}`), 200);
      for (const origin of ['http://elsewhere.example', 'null']) {
        const a = await send('GET', `/Patient/${id}`, { Origin: origin });
        that(a.status === 403 || !['*', origin].includes(a.headers.get('access-control-allow-origin')), `a page from ${origin} may read`);
      }
    }),
    plain(31, 'OPTIONS tells the methods', async () => {
      const allow = (await send('OPTIONS', '/Patient/x')).headers.get('allow') ?? '';
      for (const one of ['GET', 'PUT', 'PATCH', 'DELETE', 'HEAD']) that(allow.includes(one), `Allow lacks ${one}: ${allow}`);
    }),
    plain(31, 'gzip, both ways', async () => {
      const body = gzipSync(JSON.stringify({ ...person(s), identifier: [{ system, value: 'x'.repeat(5000) }] }));
      const made = await post({ 'Content-Type': fhirJSON, 'Content-Encoding': 'gzip' }, body);
      status(made, 201);
      const { pathname } = new URL(made.headers.get('location'));
      const a = await send('GET', pathname.slice(new URL(base).pathname.length).replace(/\/_history.*/, ''), { 'Accept-Encoding': 'gzip' });
      same(a.headers.get('content-encoding'), 'gzip', 'Content-Encoding');
      that(a.bytes.length < 2000, `${a.bytes.length} bytes are not compressed`);
      same(JSON.parse(gunzipSync(a.bytes)).identifier[0].value.length, 5000, 'the value\'s length');
      same((await post({ 'Content-Type': fhirJSON, 'Content-Encoding': 'gzip' }, 'this is no gzip')).status, 400, 'status of what is no gzip');
    }),
    plain(31, 'a body that is too large, plain or unpacked', async () => {
      const large = JSON.stringify({ ...person(s), language: 'x'.repeat(17 << 20) });
      outcome(await post({ 'Content-Type': fhirJSON, 'Content-Length': large.length, Expect: '100-continue' }, large), 413);
      outcome(await post({ 'Content-Type': fhirJSON, 'Content-Encoding': 'gzip' }, gzipSync(large)), 413);
    }),
    smart(31, 'the longest search goes by POST', async () => {
      const { id } = await born();
      const body = `_id=${Array.from({ length: 900 }, (_, i) => `none-${i}`).join(',')},${id}`;
      const a = await call((w) => w.smart.request({ url: 'Patient/_search', method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body }));
      same(bundle(a, 'searchset').map((e) => e.resource.id), [id], 'found');
    }),
  ];
};

// samples are values that any parameter of a type takes.
const samples = { token: 'x', string: 'x', date: '2024', reference: 'Patient/x', number: '1', quantity: '1', uri: 'urn:x', composite: 'x$2024' };

// metadata is the CapabilityStatement (FHIR R4 capabilitystatement.html).
function metadata(s) {
  const { base, call } = s;
  const read = async () => {
    const a = await call((w) => w.kit.capabilityStatement());
    status(a, 200);
    json(a);
    return a.body;
  };
  const strict = { headers: { Prefer: 'handling=strict' } };
  const codes = (list) => (list ?? []).map((i) => i.code);
  const kind = (statement, name) => statement.rest[0].resource.find((r) => r.type === name);

  return [
    kit(29, 'it says R4 as JSON', async () => {
      const c = await read();
      same([c.resourceType, c.fhirVersion, c.kind, c.rest?.[0]?.mode], ['CapabilityStatement', '4.0.1', 'instance', 'server'], 'what it is');
      that(c.status && c.date, 'status or date is missing, which R4 requires');
      that(c.format.some((f) => f === 'json' || f === fhirJSON), 'format has no JSON');
      same(c.format.filter((f) => f.includes('xml')), [], 'formats that are not served');
    }),
    smart(29, 'without a token, and by the client\'s own question', async () => {
      const a = await call((w) => w.smart.getFhirVersion());
      status(a, 200);
      same(a.value, '4.0.1', 'FHIR version');
      same((await call((w) => w.plain('GET', '/metadata', { signedIn: false }))).status, 200, 'status without a token');
    }),
    medplum(29, 'it names the interactions that are there', async () => {
      const a = await call((w) => w.medplum.get(`${base}/metadata`));
      const patient = kind(a.value, 'Patient');
      for (const one of ['read', 'vread', 'update', 'patch', 'delete', 'history-instance', 'history-type', 'create', 'search-type']) {
        that(codes(patient.interaction).includes(one), `Patient lacks ${one}`);
      }
      for (const one of ['transaction', 'batch', 'history-system']) that(codes(a.value.rest[0].interaction).includes(one), `the server lacks ${one}`);
      for (const one of ['conditionalCreate', 'conditionalUpdate', 'updateCreate', 'readHistory']) same(patient[one], true, one);
      that(['single', 'multiple'].includes(patient.conditionalDelete), `conditionalDelete is ${patient.conditionalDelete}`);
      for (const one of ['everything', 'validate']) {
        const named = [...(patient.operation ?? []), ...(a.value.rest[0].operation ?? [])].map((o) => o.name.replace('$', ''));
        that(named.includes(one), `the operation ${one} is not named`);
      }
    }),
    kit(29, 'every search parameter that it names is served', async () => {
      const c = await read();
      for (const name of ['Patient', 'Observation', 'Encounter']) {
        const { searchParam } = kind(c, name);
        that(searchParam?.length > 15, `${name} has ${searchParam?.length} search parameters`);
        for (const p of searchParam.filter((one) => samples[one.type])) {
          const a = await call((w) => w.kit.search({ resourceType: name, searchParams: { [p.name]: samples[p.type], _summary: 'count' }, options: strict }));
          that(a.status === 200, `${name}?${p.name}=${samples[p.type]} answers ${a.status}`);
        }
      }
    }),
    kit(29, 'every include that it names is served', async () => {
      const c = await read();
      const { searchInclude, searchRevInclude } = kind(c, 'Observation');
      that(searchInclude?.length && searchRevInclude?.length, 'searchInclude or searchRevInclude is missing');
      for (const [name, list] of [['_include', searchInclude], ['_revinclude', searchRevInclude]]) {
        for (const one of list.slice(0, 20)) {
          const a = await call((w) => w.kit.search({ resourceType: 'Observation', searchParams: { [name]: one, _count: 1 }, options: strict }));
          that(a.status === 200, `${name}=${one} answers ${a.status}`);
        }
      }
    }),
  ];
}
