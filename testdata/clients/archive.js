// Reads an npm package as it comes: a gzipped tar (POSIX.1 ustar).

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const block = 512;

// files yields the name and the bytes of each regular file.
export function* files(name) {
  const tar = gunzipSync(readFileSync(name));
  for (let at = 0; at + block <= tar.length;) {
    const field = (from, to) => tar.toString('utf8', at + from, at + to).replace(/\0.*$/s, '');
    const size = parseInt(field(124, 136).trim() || '0', 8);
    const prefix = field(345, 500);
    if (field(156, 157) === '0' || field(156, 157) === '') yield [(prefix && `${prefix}/`) + field(0, 100), tar.subarray(at + block, at + block + size)];
    at += block + Math.ceil(size / block) * block;
  }
}
