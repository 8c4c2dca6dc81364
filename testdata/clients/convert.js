// What a search finds a FHIRPath node by: the tables of R4 search.html, read anew.
// A value is a string that tells all of it; "*|" is a code whose system only its
// element's binding knows.

import r4 from 'fhirpath/fhir-context/r4/index.js';

const number = (n) => `${Number(n)}`;

// moment reads a date, dateTime or instant, which may be partial, as its first and
// last millisecond; what has no zone is in UTC.
function moment(literal) {
  const m = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/.exec(literal ?? '');
  if (!m) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = m;
  const at = (y, mo, d, h = 0, mi = 0, s = 0) => new Date(0).setUTCFullYear(y, mo, d) + ((h * 60 + mi) * 60 + s) * 1000;
  const offset = !zone || zone === 'Z' ? 0 : (zone[0] === '-' ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4))) * 60_000;
  if (!month) return [at(year, 0, 1), at(Number(year) + 1, 0, 1) - 1];
  if (!day) return [at(year, month - 1, 1), at(year, Number(month), 1) - 1];
  if (!hour) return [at(year, month - 1, day), at(year, month - 1, Number(day) + 1) - 1];
  const low = at(year, month - 1, day, Number(hour), Number(minute), Number(second ?? 0)) - offset;
  if (!second) return [low, low + 59_999];
  if (!fraction) return [low, low + 999];
  const ms = Math.trunc(Number(fraction) * 1000 + 1e-6);
  return [low + ms, low + ms];
}

const range = (low, high) => `${low ?? '-'}..${high ?? '-'}`;
const when = (literal) => {
  const m = moment(literal);
  return m ? [range(...m)] : [];
};
const period = (p) => (p.start || p.end ? [range(moment(p.start)?.[0], moment(p.end)?.[1])] : []);
const quantity = (q) => (q.value === undefined ? [] : [`${number(q.value)} ${q.system ?? ''}|${q.code ?? ''} ${q.unit ?? ''}`]);
const reference = (kind, id, url, system, value) => `${kind ?? ''}/${id ?? ''} ${url ?? ''} ${system ?? ''}|${value ?? ''}`;

const isKind = (name) => ['Resource', 'DomainResource'].includes(r4.type2Parent[name]);

// target reads a literal reference: a kind and an id where it ends in them.
export function target(literal = '') {
  const m = /^(?:(https?:\/\/\S+)\/)?([A-Z][A-Za-z]+)\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/.exec(literal);
  const absolute = /^[a-z][a-z0-9+.-]*:/i.test(literal);
  return { ...(isKind(m?.[2]) && { kind: m[2], id: m[3] }), url: absolute ? literal : undefined };
}

// parts are those of a name, an address or a concept that are strings to search by.
const parts = {
  HumanName: ['text', 'family', 'given', 'prefix', 'suffix'],
  Address: ['text', 'line', 'city', 'district', 'state', 'postalCode', 'country'],
  CodeableConcept: ['text'],
};

const types = {
  token(v, type) {
    switch (type) {
      case 'Coding': return [`${v.system ?? ''}|${v.code ?? ''}`];
      case 'CodeableConcept': return (v.coding ?? []).map((c) => `${c.system ?? ''}|${c.code ?? ''}`);
      case 'Identifier': return [`${v.system ?? ''}|${v.value ?? ''}`];
      case 'ContactPoint': return [`|${v.value ?? ''}`];
    }
    return typeof v === 'object' ? [] : [`*|${v}`];
  },
  string(v, type) {
    return parts[type]?.flatMap((p) => v[p] ?? []) ?? [v];
  },
  date(v, type) {
    if (type === 'Period') return period(v);
    if (type === 'Timing') return [...(v.event ?? []).flatMap(when), ...(v.repeat?.boundsPeriod ? period(v.repeat.boundsPeriod) : [])];
    return when(v);
  },
  reference(v, type) {
    if (typeof v === 'string') {
      const [url] = v.split('|');
      return [reference('', '', url)];
    }
    if (type !== 'Reference') return v.id ? [reference(v.resourceType, v.id)] : [];
    const { kind, id, url } = target(v.reference);
    const { system, value } = v.identifier ?? {};
    return id || url || value ? [reference(kind ?? v.type, id, url, system, value)] : [];
  },
  quantity(v, type) {
    if (type === 'Range') return [v.low, v.high].flatMap((end) => (end ? quantity(end) : []));
    if (type === 'Money') return [`${number(v.value)} urn:iso:std:iso:4217|${v.currency} ${v.currency}`];
    return typeof v === 'object' ? quantity(v) : [`${number(v)} | `];
  },
  uri: (v) => [v],
  special: (v) => (v.latitude === undefined ? [] : [`${number(v.latitude)},${number(v.longitude)}`]),
};
types.number = types.quantity;

// values are those of a node of a type of FHIR for a parameter of a type of search. A
// code that has neither system nor value cannot be asked for.
export function values(search, node, type) {
  return types[search](node, type).filter((v) => v !== '|');
}

// texts are what :text of a token matches.
export function texts(node, type) {
  switch (type) {
    case 'Coding': return [node.display];
    case 'CodeableConcept': return [node.text, ...(node.coding ?? []).map((c) => c.display)];
    case 'Identifier': return [node.type?.text];
  }
  return [];
}

// ours is a value as tram-rehearse tells it, in the same form.
export function ours(search, v) {
  switch (search) {
    case 'token': return v.code || v.system ? [`${v.system ?? ''}|${v.code ?? ''}`] : [];
    case 'string': return [v.text];
    case 'date': return [range(v.low, v.high)];
    case 'reference': return [reference(v.kind, v.id, v.url, v.system, v.code)];
    case 'quantity':
    case 'number': return [`${number(v.text)} ${v.system ?? ''}|${v.code ?? ''} ${v.unit ?? ''}`];
    case 'uri': return [v.url];
    case 'special': return [v.text.split(',').map(number).join(',')];
  }
  throw new Error(`a search type that is not known: ${search}`);
}
