// Many at once: transactions and batches.

import { ask, birth, kit, medplum, person, plain, smart } from './cases.js';
import { bundle, explained, outcome, same, status, that } from './expect.js';

const put = (resource, more = {}) => ({ resource, request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}`, ...more } });
const post = (resource, fullUrl, more = {}) => ({ ...(fullUrl && { fullUrl }), resource, request: { method: 'POST', url: resource.resourceType, ...more } });
const get = (url) => ({ request: { method: 'GET', url } });
const drop = (url, more = {}) => ({ request: { method: 'DELETE', url, ...more } });
const observation = (subject, more = {}) => ({ resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: subject }, ...more });
const urn = (n) => `urn:uuid:0b4e7c1a-5f0e-4f33-9d0e-00000000000${n}`;

export default (s) => {
  const { call, run, system } = s;
  const born = (more) => birth(s)('Gói', more);
  const transaction = (...entry) => call((w) => w.kit.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } }));
  const batch = (...entry) => call((w) => w.medplum.executeBatch({ resourceType: 'Bundle', type: 'batch', entry }));
  const read = (kind, id) => call((w) => w.kit.read({ resourceType: kind, id }));
  const codes = (list) => list.map((e) => e.response?.status?.slice(0, 3));
  // place is where an answer says that its entry went.
  const place = (e) => {
    const m = /(?:^|\/)([A-Za-z]+)\/([^/]+)\/_history\/([^/]+)$/.exec(e.response.location ?? '');
    that(m, `response.location is ${e.response.location}`);
    same(e.response.etag, `W/"${m[3]}"`, 'response.etag');
    that(Date.parse(e.response.lastModified) > 0, 'response.lastModified is missing');
    return { kind: m[1], id: m[2] };
  };

  return [
    kit(11, 'creates with urn:uuid references between them, sent to the base with a slash', async () => {
      const list = bundle(await transaction(post(observation(urn(1)), urn(2)), post(person(s), urn(1))), 'transaction-response');
      same(codes(list), ['201', '201'], 'status');
      const [o, p] = list.map(place);
      same([o.kind, p.kind], ['Observation', 'Patient'], 'the answers in the order of the request');
      same((await read('Observation', o.id)).body.subject.reference, `Patient/${p.id}`, 'the reference');
    }),
    plain(11, 'sent to the base without a slash', async () => {
      const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry: [post(person(s))] });
      bundle(await call((w) => w.plain('POST', '', { headers: { 'Content-Type': 'application/fhir+json' }, body })), 'transaction-response');
    }),
    kit(11, 'DELETE, POST, PUT and PATCH, GET, whatever the order of the entries', async () => {
      const [a, b, c] = [await born(), await born(), await born()];
      const operations = { resourceType: 'Binary', contentType: 'application/json-patch+json', data: btoa('[{"op":"add","path":"/gender","value":"female"}]') };
      const patch = { resource: operations, request: { method: 'PATCH', url: `Patient/${c.id}` } };
      const answer = await transaction(get(`Patient/${b.id}`), put({ ...b, gender: 'male' }), post(person(s)), drop(`Patient/${a.id}`), patch, get(`Patient/${a.id}`));
      const list = bundle(answer, 'transaction-response');
      same(list.length, 6, 'answers');
      same([codes(list)[0], list[0].resource?.gender], ['200', 'male'], 'the GET of what is updated');
      same(codes(list).slice(1, 3), ['200', '201'], 'status of PUT and POST');
      that(['200', '204'].includes(codes(list)[3]), `DELETE: ${codes(list)[3]}`);
      same(codes(list)[4], '200', 'status of the PATCH');
      same(codes(list)[5], '410', 'status of the GET of what is deleted');
      same((await read('Patient', c.id)).body.gender, 'female', 'what was patched');
    }),
    medplum(11, 'one bad entry refuses the whole', async () => {
      const p = await born();
      const entry = [put({ ...p, gender: 'male' }), post({ resourceType: 'Observation', subject: { reference: `Patient/${p.id}` } })];
      outcome(await call((w) => w.medplum.executeBatch({ resourceType: 'Bundle', type: 'transaction', entry })), 400, 422);
      same((await read('Patient', p.id)).body.meta.versionId, p.meta.versionId, 'versionId');
    }),
    kit(11, 'conditional references: one match, none', async () => {
      const p = await born({ identifier: [{ system, value: `${run}-ref` }] });
      const list = bundle(await transaction(post(observation(`Patient?identifier=${system}|${run}-ref`))), 'transaction-response');
      same((await read('Observation', place(list[0]).id)).body.subject.reference, `Patient/${p.id}`, 'the reference');
      outcome(await transaction(post(observation(`Patient?identifier=${system}|${run}-nobody`))), 400, 404, 412, 422);
    }),
    smart(11, 'one id twice', async () => {
      const p = await born();
      const body = { resourceType: 'Bundle', type: 'transaction', entry: [put({ ...p, gender: 'male' }), put({ ...p, gender: 'female' })] };
      outcome(await call((w) => w.smart.request(ask('POST', '', body))), 400);
    }),
    kit(11, 'references to a fullUrl in extensions and contained resources too', async () => {
      const o = observation(urn(1), {
        contained: [{ resourceType: 'Specimen', id: 's', subject: { reference: urn(1) } }], specimen: { reference: '#s' },
        extension: [{ url: 'urn:x', valueReference: { reference: urn(1) } }],
      });
      const list = bundle(await transaction(post(person(s), urn(1)), post(o, urn(2))), 'transaction-response');
      const [p, made] = list.map(place);
      const { body } = await read('Observation', made.id);
      same([body.contained[0].subject.reference, body.extension[0].valueReference.reference, body.specimen.reference], [`Patient/${p.id}`, `Patient/${p.id}`, '#s'], 'references');
    }),

    medplum(12, 'a batch goes on behind what fails', async () => {
      const p = await born();
      const a = await batch(post(person(s)), get('Patient/never'), put({ ...p, gender: 'neither' }), get(`Patient/${p.id}`), get(`Patient?_id=${p.id}`));
      const list = bundle(a, 'batch-response');
      same(list.length, 5, 'answers');
      same(codes(list).slice(0, 2), ['201', '404'], 'status');
      that(['400', '422'].includes(codes(list)[2]), `status of an update that is not R4: ${codes(list)[2]}`);
      same(codes(list).slice(3), ['200', '200'], 'status of the rest');
      explained(list[1].response.outcome);
      explained(list[2].response.outcome);
      same(list[3].resource?.id, p.id, 'what is read');
      same([list[4].resource?.resourceType, list[4].resource?.total], ['Bundle', 1], 'what is found');
      place(list[0]);
    }),
    kit(12, 'batch', async () => {
      const a = await call((w) => w.kit.batch({ body: { resourceType: 'Bundle', type: 'batch', entry: [get('metadata'), get('Patient?_count=1')] } }));
      same(codes(bundle(a, 'batch-response')), ['200', '200'], 'status');
    }),
    smart(12, 'a Bundle that is neither', async () => {
      const send = (body) => call((w) => w.smart.request(ask('POST', '', body)));
      outcome(await send({ resourceType: 'Bundle', type: 'collection' }), 400, 422);
      outcome(await send(person(s)), 400, 405, 422);
    }),

    kit(13, 'ifMatch in a transaction, stale and current', async () => {
      const p = await born();
      const etag = `W/"${p.meta.versionId}"`;
      bundle(await transaction(put({ ...p, gender: 'male' }, { ifMatch: etag })), 'transaction-response');
      outcome(await transaction(post(person(s)), put({ ...p, gender: 'female' }, { ifMatch: etag })), 412, 409);
      outcome(await transaction(drop(`Patient/${p.id}`, { ifMatch: etag })), 412, 409);
    }),
    medplum(13, 'ifMatch in a batch', async () => {
      const p = await born();
      const to = (gender, ifMatch) => put({ ...p, gender }, { ifMatch });
      const list = bundle(await batch(to('male', 'W/"stale"'), to('female', `W/"${p.meta.versionId}"`)), 'batch-response');
      same(codes(list), ['412', '200'], 'status');
      explained(list[0].response.outcome);
    }),
    kit(13, 'ifNoneExist in a transaction; references to it follow', async () => {
      const p = await born({ identifier: [{ system, value: `${run}-none` }] });
      const again = post({ ...person(s), identifier: [{ system, value: `${run}-none` }] }, urn(1), { ifNoneExist: `identifier=${system}|${run}-none` });
      const list = bundle(await transaction(again, post(observation(urn(1)), urn(2))), 'transaction-response');
      same(codes(list), ['200', '201'], 'status');
      same((await read('Observation', place(list[1]).id)).body.subject.reference, `Patient/${p.id}`, 'the reference');
    }),
    kit(13, 'ifNoneMatch: * in a transaction', async () => {
      const p = await born();
      outcome(await transaction(put({ ...p, gender: 'male' }, { ifNoneMatch: '*' })), 412, 409);
      status(await transaction(put({ ...person(s), id: `star-${run}` }, { ifNoneMatch: '*' })), 200);
    }),
    smart(13, 'ifNoneMatch and ifModifiedSince of a GET in a batch', async () => {
      const p = await born();
      const entry = [{ ifNoneMatch: `W/"${p.meta.versionId}"` }, { ifModifiedSince: p.meta.lastUpdated }]
        .map((condition) => ({ request: { ...get(`Patient/${p.id}`).request, ...condition } }));
      const a = await call((w) => w.smart.request(ask('POST', '', { resourceType: 'Bundle', type: 'batch', entry })));
      const list = bundle(a, 'batch-response');
      same(codes(list), ['304', '304'], 'status');
      same(list.map((e) => e.resource), [undefined, undefined], 'resources');
    }),
  ];
};
