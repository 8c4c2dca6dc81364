// The three clients against one address, with an ear on the wire: what a server
// answered is judged beneath the client, and what a client made of it beside that.

import http from 'node:http';
import { createRequire } from 'node:module';
import { Client as Kit } from 'fhir-kit-client';
import { MedplumClient } from '@medplum/core';

// patience is how many milliseconds an answer may take.
const patience = 30_000;

// Wire hands out the clients and keeps each answer, in order.
export class Wire {
  constructor(base, token) {
    this.base = base;
    this.token = token;
    this.heard = [];

    const { fetch, Response } = globalThis;
    globalThis.fetch = this.listen('kit', fetch, Response);
    // fhirclient takes its fetch from cross-fetch when it is loaded.
    const require = createRequire(import.meta.url);
    const cross = createRequire(require.resolve('fhirclient'))('cross-fetch');
    cross.fetch = this.listen('smart', cross.fetch, cross.Response);
    const smart = require('fhirclient');

    this.kit = new Kit({ baseUrl: base, bearerToken: token });
    const request = { headers: { host: new URL(base).host }, socket: {}, url: '/' };
    this.smart = smart(request, {}, {}).client({ serverUrl: base, tokenResponse: { access_token: token } });
    const { origin, pathname } = new URL(base);
    this.medplum = new MedplumClient({ baseUrl: origin, fhirUrlPath: pathname, fetch: this.listen('medplum', fetch, Response), cacheTime: 0 });
    this.medplum.setAccessToken(token);
  }

  // listen makes a client's fetch one that keeps what passes. The client gets an answer of its own:
  // two readers of one body may wait for each other.
  listen(client, fetch, Response) {
    return async (input, init = {}) => {
      const asked = input instanceof Request ? input : { url: String(input), method: init.method ?? 'GET' };
      const response = await fetch(input, { ...init, signal: AbortSignal.timeout(patience) });
      const bytes = Buffer.from(await response.arrayBuffer());
      const { status, statusText, headers } = response;
      this.keep(client, asked, status, headers, bytes);
      return new Response(bytes.length > 0 ? bytes : null, { status, statusText, headers });
    };
  }

  keep(client, { method, url }, status, headers, bytes) {
    const answer = { client, method, url, status, headers, text: bytes.toString('utf8'), bytes, body: undefined };
    try {
      answer.body = JSON.parse(answer.text);
    } catch {
      // what is no JSON has no body
    }
    this.heard.push(answer);
    return answer;
  }

  // plain sends what no client library sends: to a path below the base, with exactly
  // these headers and bytes. A body that is announced (Expect: 100-continue) waits until
  // the server asks for it: one that is refused unread may cut the connection.
  plain(method, path, { headers = {}, body, signedIn = true } = {}) {
    const url = this.base + path;
    return new Promise((resolve, reject) => {
      const all = { ...(signedIn && { Authorization: `Bearer ${this.token}` }), ...headers };
      const request = http.request(url, { method, headers: all, agent: false, timeout: patience });
      request.on('response', (response) => {
        const parts = [];
        const headers = new Headers(Object.entries(response.headers).map(([name, value]) => [name, String(value)]));
        const done = () => resolve(this.keep('plain', { method, url }, response.statusCode, headers, Buffer.concat(parts)));
        response.on('data', (part) => parts.push(part));
        response.on('end', done);
        response.on('error', reject);
        response.on('close', () => request.destroy());
      });
      request.on('timeout', () => request.destroy(new Error('no answer in time')));
      request.on('error', reject);
      if (!headers.Expect) return request.end(body);
      request.on('continue', () => request.end(body));
      request.flushHeaders();
    });
  }
}
