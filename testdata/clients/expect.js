// What an answer is held against. Each function says what was got where it was not
// what R4 asks for.

import assert from 'node:assert/strict';

// Miss is an answer that is not as it should be.
export class Miss extends Error {}

export function that(ok, what) {
  if (!ok) throw new Miss(what);
}

export function same(got, want, what) {
  try {
    assert.deepEqual(got, want);
  } catch {
    throw new Miss(`${what}: got ${short(got)}, want ${short(want)}`);
  }
}

export function short(v) {
  const s = JSON.stringify(v) ?? String(v);
  return s.length > 160 ? `${s.slice(0, 160)}…` : s;
}

// status is one of those that the specification allows.
export function status(a, ...allowed) {
  if (allowed.includes(a.status)) return;
  const why = a.body?.issue?.[0];
  const said = why ? ` (${why.code}: ${why.details?.text ?? why.diagnostics ?? ''} ${why.expression ?? ''})` : '';
  throw new Miss(`${a.method} answers ${a.status}, want ${allowed.join(' or ')}${said}`);
}

// json holds the media type of an answer with a body (FHIR R4 http "mime-type").
export function json(a) {
  const type = a.headers.get('content-type') ?? '';
  that(/^application\/(fhir\+)?json\b/.test(type), `Content-Type is ${short(type)}`);
  that(a.body !== undefined, 'the body is no JSON');
}

// outcome is a refusal that says why.
export function outcome(a, ...allowed) {
  status(a, ...allowed);
  json(a);
  explained(a.body);
}

// explained is an OperationOutcome of a refusal.
export function explained(o) {
  same(o?.resourceType, 'OperationOutcome', 'the refusal\'s resourceType');
  const issue = o.issue?.[0];
  that(['error', 'fatal'].includes(issue?.severity), `issue.severity is ${issue?.severity}`);
  that(issue.code && (issue.details?.text || issue.diagnostics), 'the outcome does not say what is wrong');
}

// version holds ETag and Last-Modified against meta, and returns the versionId.
export function version(a) {
  const tag = /^W\/"([A-Za-z0-9.-]{1,64})"$/.exec(a.headers.get('etag') ?? '');
  that(tag, `ETag is ${short(a.headers.get('etag'))}`);
  const modified = Date.parse(a.headers.get('last-modified'));
  that(modified > 0, `Last-Modified is ${short(a.headers.get('last-modified'))}`);
  if (a.body?.meta) {
    same(a.body.meta.versionId, tag[1], 'meta.versionId against the ETag');
    same(Math.trunc(Date.parse(a.body.meta.lastUpdated) / 1000) * 1000, modified, 'meta.lastUpdated against Last-Modified');
  }
  return tag[1];
}

// location holds the Location of a write against [base]/kind/id/_history/version,
// and returns the id.
export function location(a, base, kind) {
  const value = a.headers.get('location') ?? '';
  const parts = value.startsWith(`${base}/`) ? value.slice(base.length + 1).split('/') : [];
  that(parts.length === 4 && parts[0] === kind && parts[2] === '_history', `Location is ${short(value)}`);
  same(parts[3], version(a), 'the version in Location against the ETag');
  return parts[1];
}

// saved is the answer to a write that returns the resource.
export function saved(a, base, want, ...allowed) {
  status(a, ...allowed);
  json(a);
  const { resourceType, id } = a.body;
  same(resourceType, want.resourceType, 'resourceType');
  that(id, 'the resource has no id');
  version(a);
  if (a.status === 201) same(location(a, base, resourceType), id, 'the id in Location');
  holds(a.body, want);
  return a.body;
}

// holds says that a resource has what was sent, and nothing beside id and meta.
export function holds(got, want) {
  const plain = ({ id, meta, ...rest }) => rest;
  same(plain(got), plain(want), want.resourceType);
}

// bundle is an answer that is a Bundle of a type; it returns the entries.
export function bundle(a, type) {
  status(a, 200);
  json(a);
  same(a.body.resourceType, 'Bundle', 'resourceType');
  same(a.body.type, type, 'Bundle.type');
  that(a.body.entry === undefined || a.body.entry.length > 0, 'Bundle.entry is empty, which JSON of FHIR must not have');
  return a.body.entry ?? [];
}

export function link(b, relation) {
  return b.link?.find((l) => l.relation === relation)?.url;
}

// self are the parameters that a server says it used.
export function self(a) {
  const url = link(a.body, 'self');
  that(url, 'there is no self link');
  return new URL(url).searchParams;
}
