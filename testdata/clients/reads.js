// Reading a record, its versions and its history.

import { ask, birth, kit, medplum, plain, smart } from './cases.js';
import { bundle, holds, json, link, outcome, same, saved, self, status, that, version } from './expect.js';

export default (s) => {
  const { base, call, run } = s;
  const born = birth(s);
  const put = async (p) => saved(await call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: p })), base, p, 200);
  const drop = async (p) => status(await call((w) => w.kit.delete({ resourceType: 'Patient', id: p.id })), 200, 204);
  const read = (p, headers) => call((w) => w.kit.read({ resourceType: 'Patient', id: p.id, options: { headers } }));
  // unchanged is a 304: no body, and the tag that it stands for (RFC 9110, 15.4.5).
  const unchanged = (a) => {
    status(a, 304);
    same(a.text, '', 'body');
    version(a);
  };

  return [
    kit(3, 'read, with the tag and the time that a create told', async () => {
      const p = await born('Đọc');
      const a = await read(p);
      status(a, 200);
      json(a);
      holds(a.body, p);
      same(version(a), p.meta.versionId, 'ETag');
    }),
    medplum(3, 'read keeps every digit and every extension', async () => {
      const sent = '{"resourceType":"Observation","status":"final","_status":{"id":"a"},"code":{"text":"x"},'
        + '"valueQuantity":{"value":5.40,"unit":"kg"},"extension":[{"url":"urn:x","valueDecimal":1.00}]}';
      const made = await call((w) => w.plain('POST', '/Observation', { headers: { 'Content-Type': 'application/fhir+json' }, body: sent }));
      status(made, 201);
      const a = await call((w) => w.medplum.readResource('Observation', made.body.id));
      status(a, 200);
      for (const digits of ['5.40', '1.00']) that(a.text.includes(digits), `${digits} became something else`);
      holds(a.body, JSON.parse(sent));
    }),
    smart(3, 'references are resolved by reading them', async () => {
      const p = await born('Đích');
      const o = await call((w) => w.smart.create({ resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: `Patient/${p.id}` } }));
      const a = await call((w) => w.smart.request(`Observation/${o.body.id}`, { resolveReferences: 'subject' }));
      same(a.value.subject.id, p.id, 'the resolved subject');
    }),
    kit(3, 'If-None-Match: the same tag, another, and a list', async () => {
      const p = await born('Đọc');
      unchanged(await read(p, { 'If-None-Match': `W/"${p.meta.versionId}"` }));
      unchanged(await read(p, { 'If-None-Match': `"other", W/"${p.meta.versionId}"` }));
      status(await read(p, { 'If-None-Match': 'W/"other"' }), 200);
    }),
    smart(3, 'If-Modified-Since: its own time, and an earlier one', async () => {
      const p = await born('Đọc');
      const { headers } = await read(p);
      const since = (date) => call((w) => w.smart.request(ask('GET', `Patient/${p.id}`, undefined, { 'If-Modified-Since': date })));
      unchanged(await since(headers.get('last-modified')));
      status(await since('Mon, 01 Jan 2001 00:00:00 GMT'), 200);
    }),

    kit(4, 'vread of an old version and of the current one', async () => {
      const p = await born('Bốn');
      const next = await put({ ...p, gender: 'male' });
      for (const v of [p, next]) {
        const a = await call((w) => w.kit.vread({ resourceType: 'Patient', id: p.id, version: v.meta.versionId }));
        status(a, 200);
        same(version(a), v.meta.versionId, 'ETag');
        holds(a.body, v);
      }
    }),
    medplum(4, 'vread', async () => {
      const p = await born('Bốn');
      await put({ ...p, gender: 'male' });
      const a = await call((w) => w.medplum.readVersion('Patient', p.id, p.meta.versionId));
      status(a, 200);
      holds(a.value, p);
    }),
    smart(4, 'vread of a deletion, of a version before it, and of one that never was', async () => {
      const p = await born('Bốn');
      await drop(p);
      const past = await call((w) => w.smart.request(`Patient/${p.id}/_history`));
      const gone = past.body.entry[0].response.etag.replace(/^W\/"|"$/g, '');
      outcome(await call((w) => w.smart.request(`Patient/${p.id}/_history/${gone}`)), 410);
      status(await call((w) => w.smart.request(`Patient/${p.id}/_history/${p.meta.versionId}`)), 200);
      outcome(await call((w) => w.smart.request(`Patient/${p.id}/_history/never-${run}`)), 404);
    }),

    ...histories(s, { born, put, drop }),
  ];
};

// histories are those of FHIR R4 http "history".
function histories(s, { born, put, drop }) {
  const { call } = s;

  // entries holds what every entry of a history must have.
  const entries = (a) => {
    const list = bundle(a, 'history');
    for (const e of list) {
      that(['POST', 'PUT', 'PATCH', 'DELETE'].includes(e.request?.method), `request.method is ${e.request?.method}`);
      that(e.request.url && e.response?.status && e.response.etag && e.response.lastModified, 'an entry lacks request.url, response.status, etag or lastModified');
      same(e.resource === undefined, e.request.method === 'DELETE', 'a deletion has no resource, and anything else has one');
    }
    const times = list.map((e) => Date.parse(e.response.lastModified));
    same(times, [...times].sort((x, y) => y - x), 'newest first');
    return list;
  };
  const names = (list, kind, id) => list.filter((e) => e.fullUrl?.endsWith(`/${kind}/${id}`)).map((e) => e.request.method === 'DELETE' ? 'deleted' : e.resource.meta.versionId);

  return [
    kit(9, 'history of an instance, its deletion among it', async () => {
      const p = await born('Chín');
      const next = await put({ ...p, gender: 'male' });
      await drop(p);
      const list = entries(await call((w) => w.kit.history({ resourceType: 'Patient', id: p.id })));
      same(names(list, 'Patient', p.id), ['deleted', next.meta.versionId, p.meta.versionId], 'versions');
    }),
    medplum(9, 'readHistory', async () => {
      const p = await born('Chín');
      const next = await put({ ...p, gender: 'male' });
      const a = await call((w) => w.medplum.readHistory('Patient', p.id));
      same(names(entries(a), 'Patient', p.id), [next.meta.versionId, p.meta.versionId], 'versions');
      same(a.body.total, 2, 'Bundle.total');
    }),
    smart(9, 'history of a type by pages', async () => {
      const p = await born('Chín');
      const next = await put({ ...p, gender: 'male' });
      const q = await born('Chín');
      const seen = [];
      let pages = 0;
      await call(async (w) => {
        for await (const page of w.smart.pages('Patient/_history?_count=2', { headers: { authorization: `Bearer ${w.token}` } })) {
          that(page.entry.length <= 2, `a page of ${page.entry.length}`);
          that(page.entry.every((e) => e.fullUrl.includes('/Patient/')), 'something else than Patients');
          seen.push(...page.entry);
          if (++pages === 3) break;
        }
      });
      same(names(seen, 'Patient', q.id), [q.meta.versionId], 'the last born');
      same(names(seen, 'Patient', p.id), [next.meta.versionId, p.meta.versionId], 'the one before');
      that(pages === 3 && new Set(seen.map((e) => e.response.etag)).size === seen.length, 'pages overlap, or there is no next link');
    }),
    kit(9, 'history of the system with _since', async () => {
      await born('Chín');
      const o = await call((w) => w.kit.create({ resourceType: 'Organization', body: { resourceType: 'Organization', name: 'Chín' } }));
      const p = await born('Chín');
      const a = await call((w) => w.kit.request(`_history?_since=${encodeURIComponent(o.body.meta.lastUpdated)}`));
      const list = entries(a);
      same(names(list, 'Patient', p.id), [p.meta.versionId], 'what came after');
      same(names(list, 'Organization', o.body.id), [o.body.meta.versionId], 'what came at that time');
      that(list.every((e) => Date.parse(e.response.lastModified) >= Date.parse(o.body.meta.lastUpdated)), 'something older');
      that(self(a).has('_since'), 'self does not tell of _since');
      outcome(await call((w) => w.kit.request('_history?_since=yesterday')), 400);
    }),
    plain(9, 'history of what never was, and the page behind the last', async () => {
      outcome(await call((w) => w.plain('GET', '/Patient/never/_history')), 404);
      const p = await born('Chín');
      const a = await call((w) => w.plain('GET', `/Patient/${p.id}/_history?_count=1`));
      same(link(a.body, 'next'), undefined, 'the next link of the only page');
    }),
  ];
}
