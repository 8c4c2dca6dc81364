// A case is one thing that a client asks: a behaviour's number, the client, what
// must come, and how to see it.

import { saved } from './expect.js';

const by = (client) => (number, title, play) => ({ number, client, title, play });

export const kit = by('kit');
export const smart = by('smart');
export const medplum = by('medplum');
export const plain = by('plain');

// person is a made-up Patient that no other case has.
export function person(s, family = 'Mẫu', more = {}) {
  return { resourceType: 'Patient', name: [{ family, given: ['Thị'] }], birthDate: '1988-02', ...more };
}

// birth makes such a person, as the server returns it.
export const birth = (s) => async (family, more) => {
  const body = person(s, family, more);
  return saved(await s.call((w) => w.kit.create({ resourceType: 'Patient', body })), s.base, body, 201);
};

// ask makes a request of fhirclient that also shows the answer's headers.
export const ask = (method, url, body, headers = {}) => ({
  url, method, includeResponse: true,
  headers: { ...(body && { 'content-type': 'application/fhir+json' }), ...headers },
  ...(body && { body: JSON.stringify(body) }),
});
