// The made-up records that searches look for, made once, by their labels.

const loinc = 'http://loinc.org';
const ucum = 'http://unitsofmeasure.org';

// urn names an entry of the transaction that makes them all.
const urns = new Map();
const urn = (label) => urns.get(label) ?? urns.set(label, `urn:uuid:7d1f2a44-3c1b-4d7e-9b7d-${String(urns.size).padStart(12, '0')}`).get(label);
const to = (label) => ({ reference: urn(label) });
const code = (c, display, text) => ({ coding: [{ system: loinc, code: c, ...(display && { display }) }], ...(text && { text }) });
const kg = (value, unit = 'kg') => ({ value, unit, system: ucum, code: unit });
const weight = (subject, value, more) => ({
  resourceType: 'Observation', status: 'final', code: code('29463-7', 'Body weight'), subject: to(subject), valueQuantity: value, ...more,
});

// records are all of them; what one refers to goes by its label.
const records = ({ system, run }) => ({
  centre: { resourceType: 'Organization', name: `Trung tâm ${run}` },
  station: { resourceType: 'Organization', name: `Trạm ${run}`, partOf: to('centre') },
  doctor: { resourceType: 'Practitioner', name: [{ family: 'Lê', given: ['Văn', 'Bác'] }], identifier: [{ system, value: 'DR' }] },
  an: {
    resourceType: 'Patient', active: true, name: [{ family: 'Nguyễn', given: ['Thị', 'An'] }], gender: 'female', birthDate: '1980-05-17',
    identifier: [{ system, value: 'A1' }], telecom: [{ system: 'phone', value: '0900000001' }], address: [{ city: 'Sa Pa', country: 'VN' }],
    maritalStatus: { text: 'x' }, contact: [{ name: { family: 'Nguyễn' } }], photo: [{ title: 'x' }], generalPractitioner: [to('doctor')], managingOrganization: to('station'),
    text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">An</div>' },
    meta: { tag: [{ system, code: 'group' }], security: [{ system, code: 'secret' }], profile: [`http://example.org/StructureDefinition/${run}`], source: `urn:source:${run}` },
  },
  binh: {
    resourceType: 'Patient', name: [{ family: 'NGUYEN', given: ['Bình'] }], gender: 'male', birthDate: '1990',
    identifier: [{ system: `${system}:two`, value: 'A1' }, { value: 'B2,x|y$z' }],
  },
  chi: { resourceType: 'Patient', name: [{ family: 'Trần', given: ['Chi', 'Mai'] }], birthDate: '2001-12', managingOrganization: to('centre') },
  encounter: { resourceType: 'Encounter', status: 'finished', class: { code: 'AMB' }, subject: to('an'), period: { start: '2024-03-01T08:00:00Z', end: '2024-03-01T09:30:00Z' } },
  pressure: {
    resourceType: 'Observation', status: 'final', code: code('85354-9', 'Blood pressure panel', 'Huyết áp'), subject: to('an'),
    encounter: to('encounter'), performer: [to('doctor')], effectiveDateTime: '2024-03-01',
    component: [{ code: code('8480-6'), valueQuantity: kg(120, 'mm[Hg]') }, { code: code('8462-4'), valueQuantity: kg(80, 'mm[Hg]') }],
  },
  year: weight('an', kg(5.4), { effectiveDateTime: '2024' }),
  span: weight('binh', kg(5.41), { effectivePeriod: { start: '2024-01-15', end: '2024-02-15' } }),
  before: weight('binh', kg(5.6), { effectiveDateTime: '2023-06-15T12:00:00Z', status: 'amended' }),
  since: weight('chi', kg(5.4, 'g'), { effectivePeriod: { start: '2024-06-01T12:00:00Z' } }),
  outside: weight('chi', kg(70), { effectiveDateTime: '2023-06-16T12:00:00Z', subject: { identifier: { system, value: 'EXT' }, display: 'x' } }),
  condition: {
    resourceType: 'Condition', subject: to('an'), onsetPeriod: { start: '2020' },
    code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10', code: 'I10', display: 'Essential hypertension' }], text: 'Tăng huyết áp' },
  },
  order: { resourceType: 'ServiceRequest', status: 'active', intent: 'order', code: code('29463-7'), subject: to('an'), occurrenceTiming: { event: ['2024-05-01', '2024-05-08'] } },
  risk: { resourceType: 'RiskAssessment', status: 'final', subject: to('an'), prediction: [{ probabilityDecimal: 0.5 }] },
  report: { resourceType: 'DiagnosticReport', status: 'final', code: code('85354-9'), subject: to('an'), result: [to('pressure'), to('year')] },
  drug: {
    resourceType: 'MedicationRequest', status: 'active', intent: 'order', subject: to('an'), medicationReference: { reference: '#m' },
    contained: [{ resourceType: 'Medication', id: 'm', code: { coding: [{ system, code: 'PARA' }] } }],
  },
  source: { resourceType: 'Provenance', target: [to('year')], recorded: '2024-03-01T00:00:00Z', agent: [{ who: to('doctor') }] },
  weights: { resourceType: 'ValueSet', status: 'active', url: `urn:tram:clients:weights:${run}`, compose: { include: [{ system: loinc, concept: [{ code: '29463-7' }] }] } },
});

// Seed makes them when they are first asked for, and knows their ids from then on.
export class Seed {
  constructor(stage) {
    this.stage = stage;
  }

  ids() {
    return (this.made ??= this.make());
  }

  async make() {
    const all = Object.entries(records(this.stage));
    const entry = all.map(([label, resource]) => ({ fullUrl: urn(label), resource, request: { method: 'POST', url: resource.resourceType } }));
    const a = await this.stage.call((w) => w.kit.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } }));
    if (a.status !== 200) throw new Error(`the records to look for could not be made: ${a.status} ${a.text}`);
    return Object.fromEntries(all.map(([label], i) => [label, /\/([^/]+)\/_history\//.exec(a.body.entry[i].response.location)[1]]));
  }
}
