// Operations, compartments, and content that is not FHIR.

import { kit, medplum, person, plain, smart } from './cases.js';
import { bundle, holds, json, location, outcome, same, saved, status, that } from './expect.js';

export default (s) => {
  const { base, call, run } = s;
  let made;
  // family is a person with two observations, a condition, and somebody else's observation.
  const family = () => (made ??= (async () => {
    const urn = (n) => `urn:uuid:5f6f0d8e-2a8f-4a5c-8a0b-00000000000${n}`;
    const observation = (subject, text) => ({ resourceType: 'Observation', status: 'final', code: { text }, subject: { reference: subject } });
    const entry = [
      person(s, 'Nhà', { generalPractitioner: [{ reference: urn(6) }] }), observation(urn(0), 'a'), observation(urn(0), 'b'),
      { resourceType: 'Condition', subject: { reference: urn(0) }, code: { text: 'c' } },
      person(s, 'Khác'), observation(urn(4), 'd'), { resourceType: 'Practitioner', name: [{ family: 'Lê' }] },
    ].map((resource, i) => ({ fullUrl: urn(i), resource, request: { method: 'POST', url: resource.resourceType } }));
    const a = await call((w) => w.kit.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } }));
    status(a, 200);
    return a.body.entry.map((e) => /([^/]+)\/_history/.exec(e.response.location)[1]);
  })());
  const ids = (list) => list.map((e) => e.resource.id).sort();

  return [
    medplum(30, 'readPatientEverything', async () => {
      const [p, a, b, c, other, d] = await family();
      const got = ids(bundle(await call((w) => w.medplum.readPatientEverything(p)), 'searchset'));
      same([p, a, b, c].filter((id) => !got.includes(id)), [], 'missing');
      same([other, d].filter((id) => got.includes(id)), [], 'of somebody else');
      same(new Set(got).size, got.length, 'each once');
    }),
    kit(30, '$everything by GET with _type, and by POST', async () => {
      const [p, a, b] = await family();
      const get = await call((w) => w.kit.operation({ name: 'everything', resourceType: 'Patient', id: p, method: 'GET', input: { _type: 'Observation' } }));
      same(ids(bundle(get, 'searchset').filter((e) => e.resource.resourceType !== 'Patient')), [a, b].sort(), 'observations');
      const post = await call((w) => w.kit.operation({ name: 'everything', resourceType: 'Patient', id: p, input: { resourceType: 'Parameters' } }));
      that(ids(bundle(post, 'searchset')).includes(a), 'by POST a record is missing');
      outcome(await call((w) => w.kit.operation({ name: 'everything', resourceType: 'Patient', id: `never-${run}`, method: 'GET' })), 404);
    }),

    kit(30, 'search in a compartment', async () => {
      const [p, a, b, c] = await family();
      const search = (resourceType, searchParams) => call((w) => w.kit.search({ resourceType, compartment: { resourceType: 'Patient', id: p }, searchParams }));
      same(ids(bundle(await search('Observation'), 'searchset')), [a, b].sort(), 'observations');
      same(ids(bundle(await search('Observation', { 'code:text': 'b' }), 'searchset')), [b], 'observations by code');
      same(ids(bundle(await search('Condition', { _count: 10 }), 'searchset')), [c], 'conditions');
      same(ids(bundle(await search('Encounter'), 'searchset')), [], 'encounters');
    }),
    smart(30, 'search in a compartment', async () => {
      const [p, a, b] = await family();
      same(ids(bundle(await call((w) => w.smart.request(`Patient/${p}/Observation?_sort=_lastUpdated`)), 'searchset')), [a, b].sort(), 'observations');
    }),

    medplum(30, 'validateResource: a good one and a bad one; nothing is saved', async () => {
      const good = await call((w) => w.medplum.validateResource({ ...person(s), id: `valid-${run}` }));
      status(good, 200);
      json(good);
      same(good.body.resourceType, 'OperationOutcome', 'resourceType');
      same(good.body.issue.filter((i) => ['error', 'fatal'].includes(i.severity)), [], 'errors in what is right');
      outcome(await call((w) => w.kit.read({ resourceType: 'Patient', id: `valid-${run}` })), 404);
      const bad = await call((w) => w.medplum.validateResource({ ...person(s), gender: 'neither' }));
      status(bad, 200);
      that(bad.body.issue.some((i) => i.severity === 'error'), 'no error in what is wrong');
      that(JSON.stringify(bad.body.issue).includes('gender'), 'the outcome does not say where');
    }),
    kit(30, '$validate of Parameters, of a type and of a record', async () => {
      const input = (resource) => ({ resourceType: 'Parameters', parameter: [{ name: 'resource', resource }] });
      const validate = (resource, id) => call((w) => w.kit.operation({ name: 'validate', resourceType: 'Observation', ...(id && { id }), input: input(resource) }));
      const errors = (a) => { status(a, 200); return a.body.issue.filter((i) => i.severity === 'error').length; };
      const o = { resourceType: 'Observation', status: 'final', code: { text: 'x' } };
      same(errors(await validate(o)), 0, 'errors in what is right');
      that(errors(await validate({ resourceType: 'Observation', status: 'final' })) > 0, 'no error where code is missing');
      const kept = saved(await call((w) => w.kit.create({ resourceType: 'Observation', body: o })), base, o, 201);
      same(errors(await validate({ ...o, id: kept.id }, kept.id)), 0, 'errors in what is right for a record');
    }),

    ...binaries(s),
  ];
};

// binaries are raw in and out (FHIR R4 binary.html#rest).
function binaries(s) {
  const { base, call } = s;
  const text = 'Xin chào, đây là một tệp.';
  const pixels = Buffer.from('89504e470d0a1a0a00ff00fe', 'hex');
  const media = (a) => (a.headers.get('content-type') ?? '').split(';')[0];

  return [
    medplum(30, 'createBinary as text, download', async () => {
      const made = await call((w) => w.medplum.createBinary({ data: text, contentType: 'text/plain', filename: 'a.txt' }));
      status(made, 201);
      const id = location(made, base, 'Binary');
      same([made.value.resourceType, made.value.id, made.value.contentType.split(';')[0]], ['Binary', id, 'text/plain'], 'what the client returns');
      const got = await call(async (w) => (await w.medplum.download(`${base}/Binary/${id}`)).text());
      status(got, 200);
      same([media(got), got.value], ['text/plain', text], 'what is downloaded');
    }),
    plain(30, 'raw bytes in and out, with every byte', async () => {
      const made = await call((w) => w.plain('POST', '/Binary', { headers: { 'Content-Type': 'image/png', Accept: 'application/fhir+json' }, body: pixels }));
      status(made, 201);
      const id = location(made, base, 'Binary');
      for (const accept of ['image/png', '*/*']) {
        const a = await call((w) => w.plain('GET', `/Binary/${id}`, { headers: { Accept: accept } }));
        status(a, 200);
        same([media(a), a.bytes.toString('hex')], ['image/png', pixels.toString('hex')], `content for ${accept}`);
      }
    }),
    kit(30, 'Binary as a resource, both ways', async () => {
      const sent = { resourceType: 'Binary', contentType: 'image/png', data: pixels.toString('base64') };
      const made = saved(await call((w) => w.kit.create({ resourceType: 'Binary', body: sent })), base, sent, 201);
      const a = await call((w) => w.kit.read({ resourceType: 'Binary', id: made.id }));
      status(a, 200);
      json(a);
      holds(a.body, sent);
      const raw = await call((w) => w.plain('GET', `/Binary/${made.id}`, { headers: { Accept: 'image/png' } }));
      same(raw.bytes.toString('hex'), pixels.toString('hex'), 'bytes');
    }),
    plain(30, 'raw bytes replace a Binary', async () => {
      const sent = { resourceType: 'Binary', contentType: 'text/plain', data: Buffer.from('x').toString('base64') };
      const { id } = saved(await call((w) => w.kit.create({ resourceType: 'Binary', body: sent })), base, sent, 201);
      status(await call((w) => w.plain('PUT', `/Binary/${id}`, { headers: { 'Content-Type': 'text/plain' }, body: text })), 200);
      same((await call((w) => w.plain('GET', `/Binary/${id}`, { headers: { Accept: 'text/plain' } }))).text, text, 'content');
    }),
  ];
}
