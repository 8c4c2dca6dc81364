// How what is found is told: order, pages, totals, parts of records.

import { kit, medplum, person, plain, smart } from './cases.js';
import { bundle, link, outcome, same, self, status, that } from './expect.js';

export default (s) => {
  const { base, call, run } = s;
  const family = `Thứ${run}`;
  let made;
  // people are five of one family, made once; their given names are their order.
  const people = () => (made ??= (async () => {
    const more = { maritalStatus: { text: 'x' }, contact: [{ name: { text: 'x' } }], text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">x</div>' } };
    const entry = ['C', 'A', 'E', 'B', 'D'].map((given) => ({
      resource: { ...person(s), name: [{ family, given: [given] }], birthDate: 'BD'.includes(given) ? '1991-01-01' : '1990-01-01', ...more },
      request: { method: 'POST', url: 'Patient' },
    }));
    status(await call((w) => w.kit.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } })), 200);
  })());
  const search = async (more) => {
    await people();
    return call((w) => w.kit.search({ resourceType: 'Patient', searchParams: { family, ...more } }));
  };
  const five = { 'given:exact': 'A,B,C,D,E' };
  const given = (list) => list.map((e) => e.resource.name[0].given[0]).join('');
  // all is each record of a search for the five.
  const all = async (more) => {
    const list = bundle(await search({ ...five, ...more }), 'searchset').map((e) => e.resource);
    same(list.length, 5, 'records');
    return list;
  };
  const subsetted = (r) => r.meta?.tag?.some((t) => t.code === 'SUBSETTED' && /v3-ObservationValue$/.test(t.system));

  return [
    kit(23, '_sort, forwards, backwards, by several', async () => {
      same(given(bundle(await search({ _sort: 'given' }), 'searchset')), 'ABCDE', 'by given');
      same(given(bundle(await search({ _sort: '-given' }), 'searchset')), 'EDCBA', 'by -given');
      same(given(bundle(await search({ _sort: '-birthdate,given' }), 'searchset')), 'BDACE', 'by -birthdate,given');
      same(given(bundle(await search({ _sort: 'birthdate,-given' }), 'searchset')), 'ECADB', 'by birthdate,-given');
    }),
    kit(23, 'pages by next links that stay while writes go on', async () => {
      let a = await search({ _sort: 'given', _count: 2 });
      let seen = given(bundle(a, 'searchset'));
      same(seen.length, 2, 'the first page');
      status(await call((w) => w.kit.create({ resourceType: 'Patient', body: { ...person(s), name: [{ family, given: ['Aa'] }] } })), 201);
      for (let pages = 1; link(a.body, 'next'); pages++) {
        that(pages < 6, 'there is always a next page');
        const before = a.body;
        a = await call((w) => w.kit.nextPage({ bundle: before }));
        that(bundle(a, 'searchset').length <= 2, 'a page is too large');
        seen += given(a.body.entry ?? []);
      }
      same(seen.replaceAll('Aa', ''), 'ABCDE', 'all pages');
    }),
    smart(23, 'fhirclient walks all pages', async () => {
      await people();
      const a = await call((w) => w.smart.request(`Patient?family=${encodeURIComponent(family)}&given:exact=A,B,C,D,E&_sort=given&_count=2`, { pageLimit: 0, flat: true }));
      same(a.value.map((p) => p.name[0].given[0]).join(''), 'ABCDE', 'all pages');
    }),
    medplum(23, '@medplum/core walks all pages', async () => {
      await people();
      const seen = [];
      await call(async (w) => {
        for await (const page of w.medplum.searchResourcePages('Patient', { family, ...five, _sort: '-given', _count: '2' })) seen.push(...page.map((p) => p.name[0].given[0]));
      });
      same(seen.join(''), 'EDCBA', 'all pages');
    }),
    kit(23, 'self tells what was used', async () => {
      const a = await search({ _sort: 'given', _count: 2, 'given:exact': 'A' });
      const used = self(a);
      same([used.get('family'), used.get('_sort'), used.get('_count'), used.get('given:exact')], [family, 'given', '2', 'A'], 'self');
      that(link(a.body, 'self').startsWith(`${base}/Patient?`), 'self stands under another address');
    }),
    kit(23, 'a next link that was made up', async () => {
      const a = await search({ _count: 2 });
      const url = new URL(link(a.body, 'next'));
      for (const [name, value] of [...url.searchParams]) if (name !== 'family' && name !== '_count') url.searchParams.set(name, `${value.slice(0, -4)}made`);
      outcome(await call((w) => w.kit.request(String(url))), 400, 404, 410);
    }),

    kit(24, '_total', async () => {
      const exact = { ...five, _count: 2 };
      same((await search({ ...exact, _total: 'accurate' })).body.total, 5, 'total');
      const none = await search({ ...exact, _total: 'none' });
      same(bundle(none, 'searchset').length, 2, 'entries');
      that([undefined, 5].includes(none.body.total), `total is ${none.body.total}`);
      status(await search({ ...exact, _total: 'estimate' }), 200);
      outcome(await search({ ...exact, _total: 'some' }), 400);
    }),
    smart(24, '_summary=count', async () => {
      await people();
      const a = await call((w) => w.smart.request(`Patient?family=${encodeURIComponent(family)}&given:exact=A,B,C,D,E&_summary=count`));
      same(bundle(a, 'searchset').length, 0, 'entries');
      same(a.body.total, 5, 'total');
      const zero = await call((w) => w.smart.request(`Patient?family=${encodeURIComponent(family)}&given:exact=A,B,C,D,E&_count=0`));
      same([bundle(zero, 'searchset').length, zero.body.total], [0, 5], 'entries and total under _count=0');
    }),
    kit(24, '_summary=true holds what R4 marks, and says so', async () => {
      for (const resource of await all({ _summary: 'true' })) {
        same(['name', 'birthDate', 'id', 'meta'].filter((n) => !resource[n]), [], 'missing');
        same(['text', 'contact', 'maritalStatus'].filter((n) => resource[n]), [], 'not of the summary');
        that(subsetted(resource), 'the tag SUBSETTED is missing');
      }
    }),
    kit(24, '_summary=text, data and false', async () => {
      for (const resource of await all({ _summary: 'text' })) {
        that(resource.text && !resource.name && subsetted(resource), 'text: not the narrative alone, or no tag SUBSETTED');
      }
      for (const resource of await all({ _summary: 'data' })) {
        that(!resource.text && resource.contact && subsetted(resource), 'data: not all but the narrative, or no tag SUBSETTED');
      }
      const whole = bundle(await search({ _summary: 'false', 'given:exact': 'A' }), 'searchset')[0].resource;
      that(whole.text && whole.contact && !subsetted(whole), 'false: not the whole record');
    }),
    medplum(24, '_elements', async () => {
      await people();
      const list = bundle(await call((w) => w.medplum.search('Patient', { family, ...five, _elements: 'birthDate,contact' })), 'searchset');
      same(list.length, 5, 'records');
      for (const { resource } of list) {
        same(Object.keys(resource).sort(), ['birthDate', 'contact', 'id', 'meta', 'resourceType'], 'elements');
        that(subsetted(resource), 'the tag SUBSETTED is missing');
      }
    }),
    kit(24, '_elements of a read; a part cannot be saved as the whole', async () => {
      const { id } = bundle(await search({ 'given:exact': 'A' }), 'searchset')[0].resource;
      const part = await call((w) => w.kit.request(`Patient/${id}?_elements=birthDate`));
      status(part, 200);
      that(part.body.birthDate && !part.body.name && subsetted(part.body), 'not the element alone, or no tag SUBSETTED');
      outcome(await call((w) => w.kit.update({ resourceType: 'Patient', id, body: part.body })), 400, 422);
    }),

    kit(25, 'an unknown parameter is ignored, and left out of self', async () => {
      const a = await search({ 'given:exact': 'A', favouriteColour: 'blue' });
      same(given(bundle(a, 'searchset')), 'A', 'found');
      same([self(a).has('favouriteColour'), self(a).has('family')], [false, true], 'favouriteColour and family in self');
    }),
    medplum(25, 'under handling=lenient too', async () => {
      await people();
      const a = await call((w) => w.medplum.search('Patient', { family, 'given:exact': 'A', favouriteColour: 'blue' }, { headers: { Prefer: 'handling=lenient' } }));
      same(given(bundle(a, 'searchset')), 'A', 'found');
    }),
    smart(25, 'under handling=strict it is refused', async () => {
      const ask = (query) => call((w) => w.smart.request({ url: `Patient?${query}`, headers: { Prefer: 'handling=strict' }, includeResponse: true }));
      outcome(await ask('favouriteColour=blue'), 400);
      status(await ask(`family=${encodeURIComponent(family)}&_format=json`), 200);
    }),
    plain(25, 'an unknown modifier is refused: ignoring it asks another question', async () => {
      outcome(await call((w) => w.plain('GET', '/Patient?family:loudly=x')), 400);
    }),
  ];
};
