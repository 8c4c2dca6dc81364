// Creating, updating, deleting and patching one record.

import { ask, birth, kit, medplum, person, plain, smart } from './cases.js';
import { location, outcome, same, saved, status, that, version } from './expect.js';

const patchType = 'application/json-patch+json';

export default (s) => {
  const { base, call, run } = s;
  const born = birth(s);
  const tag = (v) => `W/"${v}"`;
  const match = (value) => ({ headers: { 'If-Match': value } });

  return [
    kit(1, 'create', async () => { await born('Một'); }),
    kit(1, 'an id in the body of a create is ignored', async () => {
      const sent = { ...person(s), id: `mine-${run}` };
      const a = await call((w) => w.kit.create({ resourceType: 'Patient', body: sent }));
      that(saved(a, base, sent, 201).id !== sent.id, 'the client\'s id was taken');
    }),
    smart(1, 'create, sent as application/json', async () => {
      const a = await call((w) => w.smart.create(person(s)));
      saved(a, base, person(s), 201);
      same(a.value.id, a.body.id, 'what the client returns');
    }),
    medplum(1, 'create', async () => {
      const a = await call((w) => w.medplum.createResource(person(s)));
      saved(a, base, person(s), 201);
      same(a.value.id, a.body.id, 'what the client returns');
    }),

    kit(2, 'update of what is there', async () => {
      const p = await born('Hai');
      const next = { ...p, gender: 'female' };
      const a = await call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: next }));
      that(saved(a, base, next, 200).meta.versionId !== p.meta.versionId, 'the version is the old one');
    }),
    medplum(2, 'update of what is not there creates it under the client\'s id', async () => {
      const sent = { ...person(s), id: `new-${run}` };
      const a = await call((w) => w.medplum.updateResource(sent));
      same(saved(a, base, sent, 201).id, sent.id, 'id');
      same(location(a, base, 'Patient'), sent.id, 'the id in Location');
    }),
    kit(2, 'update without an id', async () => {
      const p = await born('Hai');
      outcome(await call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: person(s) })), 400);
    }),
    smart(2, 'update with another id', async () => {
      const p = await born('Hai');
      outcome(await call((w) => w.smart.request(ask('PUT', `Patient/${p.id}`, { ...p, id: `other-${run}` }))), 400);
    }),

    kit(5, 'update under the current If-Match, then under the stale one', async () => {
      const p = await born('Năm');
      const put = (gender, etag) => call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: { ...p, gender }, options: match(etag) }));
      saved(await put('male', tag(p.meta.versionId)), base, { ...p, gender: 'male' }, 200);
      outcome(await put('female', tag(p.meta.versionId)), 412);
    }),
    medplum(5, 'a stale If-Match changes nothing', async () => {
      const p = await born('Năm');
      await call((w) => w.medplum.updateResource({ ...p, gender: 'male' }));
      outcome(await call((w) => w.medplum.updateResource({ ...p, gender: 'female' }, match(tag(p.meta.versionId)))), 412);
      same((await call((w) => w.medplum.readResource('Patient', p.id))).body.gender, 'male', 'gender');
    }),
    smart(5, 'a malformed If-Match', async () => {
      const p = await born('Năm');
      outcome(await call((w) => w.smart.update({ ...p, gender: 'male' }, match('abc'))), 400);
    }),
    kit(5, 'a strong tag, and a list of tags, in If-Match', async () => {
      const p = await born('Năm');
      const put = (gender, etag) => call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: { ...p, gender }, options: match(etag) }));
      const next = saved(await put('male', `"${p.meta.versionId}"`), base, { ...p, gender: 'male' }, 200);
      saved(await put('female', `W/"nothing", ${tag(next.meta.versionId)}`), base, { ...p, gender: 'female' }, 200);
    }),
    kit(5, 'delete under a stale If-Match', async () => {
      const p = await born('Năm');
      await call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: { ...p, gender: 'male' } }));
      outcome(await call((w) => w.kit.delete({ resourceType: 'Patient', id: p.id, options: match(tag(p.meta.versionId)) })), 412);
    }),
    smart(5, 'If-None-Match: * on update of what is there, and of what is not', async () => {
      const none = { headers: { 'If-None-Match': '*' } };
      const p = await born('Năm');
      outcome(await call((w) => w.smart.update({ ...p, gender: 'male' }, none)), 412);
      status(await call((w) => w.smart.update({ ...person(s), id: `none-${run}` }, none)), 201);
    }),

    kit(6, 'delete, read after it, delete again', async () => {
      const p = await born('Sáu');
      status(await call((w) => w.kit.delete({ resourceType: 'Patient', id: p.id })), 200, 204);
      outcome(await call((w) => w.kit.read({ resourceType: 'Patient', id: p.id })), 410);
      status(await call((w) => w.kit.delete({ resourceType: 'Patient', id: p.id })), 200, 204);
    }),
    medplum(6, 'delete', async () => {
      const p = await born('Sáu');
      status(await call((w) => w.medplum.deleteResource('Patient', p.id)), 200, 204);
      outcome(await call((w) => w.medplum.readResource('Patient', p.id)), 410);
    }),
    smart(6, 'delete of what never was', async () => {
      status(await call((w) => w.smart.delete(`Patient/never-${run}`)), 404, 200, 204);
      outcome(await call((w) => w.smart.request(`Patient/never-${run}`)), 404);
    }),

    kit(7, 'update after delete', async () => {
      const p = await born('Bảy');
      const gone = await call((w) => w.kit.delete({ resourceType: 'Patient', id: p.id }));
      status(gone, 200, 204);
      const back = saved(await call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: p })), base, p, 200, 201);
      that(back.meta.versionId !== p.meta.versionId, 'the version is one from before the deletion');
      same((await call((w) => w.kit.read({ resourceType: 'Patient', id: p.id }))).body.meta.versionId, back.meta.versionId, 'versionId as read');
      const past = await call((w) => w.kit.history({ resourceType: 'Patient', id: p.id }));
      same(past.body.entry.map((e) => e.request.method).slice(0, 2).pop(), 'DELETE', 'the version before the last');
      same(past.body.entry.length, 3, 'versions');
    }),

    smart(8, 'an identical update', async () => {
      const p = await born('Tám');
      const a = await call((w) => w.smart.update(p));
      status(a, 200);
      same(version(a), p.meta.versionId, 'ETag');
      const past = await call((w) => w.smart.request(`Patient/${p.id}/_history`));
      same(past.body.entry.length, 1, 'versions');
    }),
    kit(8, 'an identical update with its elements in another order', async () => {
      const p = await born('Tám');
      const turned = Object.fromEntries(Object.entries(p).reverse());
      same(version(await call((w) => w.kit.update({ resourceType: 'Patient', id: p.id, body: turned }))), p.meta.versionId, 'ETag');
    }),

    ...conditional(s),
    ...patches(s, born),
    ...preferences(s, born),
  ];
};

// conditional writes (FHIR R4 http "ccreate", "cond-update", "3.1.0.7.1").
function conditional(s) {
  const { base, call, run, system } = s;
  const named = (value, more = {}) => ({ ...person(s), identifier: [{ system, value: `${run}-${value}` }], ...more });
  const query = (value) => `identifier=${system}|${run}-${value}`;
  const create = (value) => call((w) => w.kit.create({ resourceType: 'Patient', body: named(value) }));

  return [
    kit(10, 'conditional create: none, then one, then many', async () => {
      const once = { options: { headers: { 'If-None-Exist': query('c') } } };
      const first = saved(await call((w) => w.kit.create({ resourceType: 'Patient', body: named('c'), ...once })), base, named('c'), 201);
      const again = await call((w) => w.kit.create({ resourceType: 'Patient', body: named('c', { gender: 'male' }), ...once }));
      status(again, 200);
      same(again.body.id, first.id, 'id');
      same(again.body.gender, undefined, 'gender, which must not be written');
      await create('c');
      outcome(await call((w) => w.kit.create({ resourceType: 'Patient', body: named('c'), ...once })), 412);
    }),
    medplum(10, 'createResourceIfNoneExist, its | not encoded', async () => {
      const first = await call((w) => w.medplum.createResourceIfNoneExist(named('i'), query('i')));
      saved(first, base, named('i'), 201);
      const again = await call((w) => w.medplum.createResourceIfNoneExist(named('i'), query('i')));
      status(again, 200);
      same(again.value.id, first.body.id, 'id');
    }),
    kit(10, 'conditional update: none, then one, then many', async () => {
      const put = (more) => call((w) => w.kit.update({ resourceType: 'Patient', searchParams: { identifier: `${system}|${run}-u` }, body: named('u', more) }));
      const first = saved(await put(), base, named('u'), 201);
      const next = saved(await put({ gender: 'male' }), base, named('u', { gender: 'male' }), 200);
      same(next.id, first.id, 'id');
      await create('u');
      outcome(await put(), 412);
    }),
    medplum(10, 'upsertResource', async () => {
      const first = await call((w) => w.medplum.upsertResource(named('m'), query('m')));
      saved(first, base, named('m'), 201);
      const next = await call((w) => w.medplum.upsertResource(named('m', { gender: 'male' }), query('m')));
      same(saved(next, base, named('m', { gender: 'male' }), 200).id, first.body.id, 'id');
    }),
    smart(10, 'conditional delete: one, then none', async () => {
      const { id } = (await create('d')).body;
      status(await call((w) => w.smart.delete(`Patient?${query('d')}`)), 200, 204);
      outcome(await call((w) => w.smart.request(`Patient/${id}`)), 410);
      status(await call((w) => w.smart.delete(`Patient?${query('d')}`)), 200, 204, 404);
    }),
    smart(10, 'conditional delete of many deletes them all or none', async () => {
      const both = [(await create('e')).body.id, (await create('e')).body.id];
      const a = await call((w) => w.smart.delete(`Patient?${query('e')}`));
      status(a, 200, 204, 412);
      for (const id of both) status(await call((w) => w.smart.request(`Patient/${id}`)), a.status === 412 ? 200 : 410);
    }),
  ];
}

// patches are JSON Patch (RFC 6902; FHIR R4 http "patch").
function patches(s, born) {
  const { base, call } = s;
  const same200 = (a, want) => saved(a, base, want, 200);

  return [
    kit(14, 'add, replace and remove', async () => {
      const p = await born('Vá', { gender: 'male', active: true });
      const jsonPatch = [
        { op: 'add', path: '/telecom', value: [{ system: 'phone', value: '0900' }] },
        { op: 'replace', path: '/gender', value: 'female' },
        { op: 'remove', path: '/active' },
        { op: 'add', path: '/name/0/given/-', value: 'Vá' },
      ];
      const { active, ...rest } = p;
      const want = { ...rest, gender: 'female', telecom: [{ system: 'phone', value: '0900' }], name: [{ family: 'Vá', given: ['Thị', 'Vá'] }] };
      const a = await call((w) => w.kit.patch({ resourceType: 'Patient', id: p.id, jsonPatch }));
      that(same200(a, want).meta.versionId !== p.meta.versionId, 'the version is the old one');
      same200(await call((w) => w.kit.read({ resourceType: 'Patient', id: p.id })), want);
    }),
    smart(14, 'with charset=UTF-8', async () => {
      const p = await born('Vá');
      same200(await call((w) => w.smart.patch(`Patient/${p.id}`, [{ op: 'add', path: '/gender', value: 'female' }])), { ...p, gender: 'female' });
    }),
    medplum(14, 'patchResource', async () => {
      const p = await born('Vá', { gender: 'male' });
      const operations = [{ op: 'test', path: '/gender', value: 'male' }, { op: 'replace', path: '/gender', value: 'female' }];
      same200(await call((w) => w.medplum.patchResource('Patient', p.id, operations)), { ...p, gender: 'female' });
    }),
    kit(14, 'move and copy', async () => {
      const p = await born('Vá', { name: [{ family: 'A' }, { family: 'B' }] });
      const jsonPatch = [{ op: 'move', from: '/name/0', path: '/name/1' }, { op: 'copy', from: '/name/0/family', path: '/name/0/text' }];
      same200(await call((w) => w.kit.patch({ resourceType: 'Patient', id: p.id, jsonPatch })), { ...p, name: [{ family: 'B', text: 'B' }, { family: 'A' }] });
    }),
    medplum(14, 'a test that fails refuses the whole', async () => {
      const p = await born('Vá', { gender: 'male' });
      const operations = [{ op: 'remove', path: '/birthDate' }, { op: 'test', path: '/gender', value: 'female' }];
      outcome(await call((w) => w.medplum.patchResource('Patient', p.id, operations)), 400, 409, 412, 422);
      same((await call((w) => w.kit.read({ resourceType: 'Patient', id: p.id }))).body.meta.versionId, p.meta.versionId, 'versionId');
    }),
    kit(14, 'under If-Match, current and stale', async () => {
      const p = await born('Vá');
      const options = { headers: { 'If-Match': `W/"${p.meta.versionId}"` } };
      const patch = (value) => call((w) => w.kit.patch({ resourceType: 'Patient', id: p.id, jsonPatch: [{ op: 'add', path: '/gender', value }], options }));
      same200(await patch('male'), { ...p, gender: 'male' });
      outcome(await patch('female'), 412);
    }),
    smart(14, 'what comes out must be R4 still, and the id stays', async () => {
      const p = await born('Vá');
      outcome(await call((w) => w.smart.patch(`Patient/${p.id}`, [{ op: 'add', path: '/gender', value: 'neither' }])), 400, 422);
      outcome(await call((w) => w.smart.patch(`Patient/${p.id}`, [{ op: 'replace', path: '/id', value: 'other' }])), 400, 422);
      outcome(await call((w) => w.smart.patch(`Patient/${p.id}`, [{ op: 'remove', path: '/nothing' }])), 400, 422);
    }),
    plain(14, 'of what is not there, of what is deleted, and of what is no patch', async () => {
      const patch = (path, body) => call((w) => w.plain('PATCH', path, { headers: { 'Content-Type': patchType }, body }));
      const p = await born('Vá');
      outcome(await patch('/Patient/never', '[{"op":"add","path":"/active","value":true}]'), 404);
      outcome(await patch(`/Patient/${p.id}`, '{"active":true}'), 400, 422);
      outcome(await patch(`/Patient/${p.id}`, '[{"op":"add"'), 400);
      await call((w) => w.kit.delete({ resourceType: 'Patient', id: p.id }));
      outcome(await patch(`/Patient/${p.id}`, '[{"op":"add","path":"/active","value":true}]'), 410, 404);
    }),
  ];
}

// preferences are those of FHIR R4 http "ops": what a write returns.
function preferences(s, born) {
  const { base, call } = s;
  const create = (prefer) => call((w) => w.kit.create({ resourceType: 'Patient', body: person(s), options: { headers: { Prefer: prefer } } }));

  return [
    kit(26, 'return=minimal', async () => {
      const a = await create('return=minimal');
      status(a, 201);
      same(a.text, '', 'body');
      location(a, base, 'Patient');
    }),
    kit(26, 'return=representation', async () => { saved(await create('return=representation'), base, person(s), 201); }),
    kit(26, 'return=OperationOutcome', async () => {
      const a = await create('return=OperationOutcome');
      status(a, 201);
      same(a.body?.resourceType, 'OperationOutcome', 'resourceType');
      that(['information', 'warning'].includes(a.body.issue[0].severity), `issue.severity is ${a.body.issue[0].severity}`);
      location(a, base, 'Patient');
    }),
    smart(26, 'return=minimal on update, and on create: the client reads what Location names', async () => {
      const p = await born('Trả');
      const a = await call((w) => w.smart.update({ ...p, gender: 'male' }, { headers: { Prefer: 'return=minimal' } }));
      status(a, 200, 204);
      same(a.text, '', 'body');
      const b = await call((w) => w.smart.create(person(s), { headers: { Prefer: 'return=minimal' } }));
      same(b.heard[0].text, '', 'body of the create');
    }),
    medplum(26, 'unknown preferences are ignored', async () => {
      saved(await call((w) => w.medplum.createResource(person(s), { headers: { Prefer: 'return=presentation, wait=5, mood="good"' } })), base, person(s), 201);
    }),
  ];
}
